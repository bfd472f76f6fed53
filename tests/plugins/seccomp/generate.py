"""Random actions, conditions, rules and BPF programs."""

from __future__ import annotations

from hypothesis import strategies as st

from hardening_seccomp import bpf
from hardening_seccomp.actions import ALLOW, ENOSYS, EPERM, KILL_PROCESS, LOG, Action, ActionKind
from hardening_seccomp.conditions import Comparison, ConditionEntry, Op, rule_of

EDGES = (0, 1, 2, 5, 7, 0x20000, 0xFFFFFFFF, 0x100000000, 0x100000005, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
MASKS = (1, 0xF, 0xFF00, 0xFFFFFFFF, 0xFFFFFFFF00000000, (1 << 64) - 1)
ACTIONS = (ALLOW, LOG, Action(ActionKind.TRACE, 3), EPERM, ENOSYS, Action(ActionKind.ERRNO, 7), KILL_PROCESS)

numbers = st.sampled_from(EDGES) | st.integers(0, (1 << 64) - 1)
vectors = st.tuples(*[numbers] * 6)
actions = st.sampled_from(ACTIONS)


@st.composite
def comparisons(draw: st.DrawFn, index: int) -> Comparison:
    op = draw(st.sampled_from(list(Op)))
    value = draw(st.sampled_from(EDGES))
    if op is Op.MASKED_EQ:
        mask = draw(st.sampled_from(MASKS))
        return Comparison(index, op, value & mask, mask)
    return Comparison(index, op, value)


@st.composite
def entries(draw: st.DrawFn, arguments: int = 2) -> ConditionEntry:
    indices = draw(st.lists(st.integers(0, arguments - 1), max_size=arguments, unique=True))
    return ConditionEntry(draw(actions), tuple(draw(comparisons(index)) for index in sorted(indices)))


def rules(arguments: int = 2, most: int = 3) -> st.SearchStrategy[object]:
    return st.builds(rule_of, st.lists(entries(arguments), min_size=1, max_size=most), actions)


_CODES = sorted(bpf._KNOWN)
_WORDS = st.sampled_from([0, 1, 4, 15, 16, 20, 24, 31, 32, 60, 64, 0x7FFF0000, 0x50001, 0xC000003E, 0xFFFFFFFF])


@st.composite
def programs(draw: st.DrawFn) -> bpf.Program:
    """Mostly valid programs: jumps within reach, a return at the end."""
    size = draw(st.integers(1, 12))
    found = []
    for left in range(size, 0, -1):
        code = draw(st.sampled_from(_CODES) | st.integers(0, 0xFFFF))
        reach = st.integers(0, left)
        constant = draw(reach if code == bpf.JA else _WORDS)
        found.append(bpf.Instruction(code, draw(reach), draw(reach), constant))
    last = draw(st.sampled_from([bpf.RET_K, bpf.RET_A]))
    found.append(bpf.Instruction(last, 0, 0, draw(st.sampled_from([0x7FFF0000, 0x50001, 0x50026]))))
    return tuple(found)
