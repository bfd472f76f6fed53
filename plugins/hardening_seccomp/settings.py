"""The composed settings of `[seccomp]`, and the order of rules."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache, cached_property

from hardening.base.linux.libseccomp import YOUNG
from hardening.base.text import nearest
from hardening.base.values import frozen
from hardening.mechanism.kinds import Choice, Flag, Kind, Unordered, ValueChange
from hardening.mechanism.roles import CallFilter
from hardening.mechanism.schema import Members, family, listing, scalar
from hardening.profile.source import Node
from hardening_seccomp import groups
from hardening_seccomp.actions import ALLOW, DENY, KILL_PROCESS, LOG, Action, is_denial, read_action
from hardening_seccomp.conditions import (
    Comparison,
    ConditionEntry,
    Op,
    Rule,
    Style,
    TooManyEntries,
    described_where,
    entries,
    fill,
    join,
    partial,
    rule_of,
    singly,
    where,
)
from hardening_seccomp.diagrams import ARGUMENTS, MAX_ARGUMENT, WIDTH, apply, constant
from hardening_seccomp.filters import rule_intersect, rule_is_no_looser_than
from hardening_seccomp.oci import ARCHITECTURES, architecture_of, strictest

#: The family of system calls has no name: its members stand for ``seccomp.<syscall>``.
FAMILY = ""
NATIVE = "native"
MAX_DUMPED = 1024
#: The most cases of a call's arguments that are told apart where one is to be allowed.
_MOST_CASES = 12
_TOML_MAX = (1 << 63) - 1


def read_number(node: Node) -> int:
    """A number from 0 to 2**64 - 1: an integer, or a string such as ``"0xffffffff00000000"`` beyond TOML's range."""
    if isinstance(node.raw, str):
        try:
            value = int(node.raw, 0)
        except ValueError:
            raise node.error(f'"{node.raw}" is not a number', hint='write 21522 or "0x5412"') from None
        return Node(value, node.path, node.document).integer(0, MAX_ARGUMENT)
    return node.integer(0, MAX_ARGUMENT)


def read_comparison(node: Node, names: Sequence[str]) -> Comparison:
    """One element of ``args``: ``index``, ``op``, ``value``, for masked_eq ``mask``, and ``width`` 32 or 64."""
    fields = dict(node.members())
    for key, extra in fields.items():
        if key not in ("index", "op", "value", "mask", "width"):
            raise extra.error("unknown key", hint="an argument has index, op, value, mask and width")
    missing = [key for key in ("index", "op", "value") if key not in fields]
    if missing:
        raise node.error(f"{missing[0]} is missing", hint='write { index = 1, op = "eq", value = 0x5412 }')
    index = fields["index"].integer(0, ARGUMENTS - 1)
    word = Choice(tuple(op.value for op in Op)).parse(fields["op"])
    if (word == "masked_eq") != ("mask" in fields):
        raise node.error(
            "masked_eq, and only masked_eq, takes a mask", hint='write op = "masked_eq" and mask = 0x…, or neither'
        )
    value = read_number(fields["value"])
    mask = read_number(fields["mask"]) if "mask" in fields else MAX_ARGUMENT
    width = _width(node, fields.get("width"), names, index)
    if max(value, mask if "mask" in fields else 0) >> width:
        raise node.error(
            f"the kernel looks at {width} bits of this argument, and the number has more",
            hint="write the number without its upper half, or set width = 64",
        )
    if value & ~mask:
        raise node.error(
            "the value has bits that the mask does not, so this never matches",
            hint="add these bits to the mask, or leave them out of the value",
        )
    return Comparison(index, Op(word), value, mask, width)


def _width(node: Node, stated: Node | None, names: Sequence[str], index: int) -> int:
    if stated is not None:
        if stated.integer() not in (32, WIDTH):
            raise stated.error("width is 32 or 64", hint="write width = 32, or width = 64")
        return stated.integer()
    widths = {groups.load().width(name, index) for name in names}
    if len(widths) > 1:
        raise node.error(
            "the kernel reads this argument of these system calls with different widths",
            hint="set width = 32 or width = 64, or write one rule for each",
        )
    return widths.pop() if widths else WIDTH


def dump_entries(rule: Rule, gap: Action | None = None) -> list[dict[str, object]]:
    """TOML data of the fewest entries that say exactly ``rule`` under 'the strictest entry that matches'; ``gap`` is what
    happens where a table that allows something of a call states nothing."""
    shares = rule.shares()
    usual = max(shares, key=lambda action: shares[action])
    forms: list[Sequence[ConditionEntry]] = []
    with suppress(TooManyEntries):
        special = entries(rule, usual, MAX_DUMPED)
        if (special or rule.is_constant) and all(action.is_no_looser_than(usual) for action in rule.leaves):
            # Of two errnos the one written first counts, so what is special goes first.
            forms.append((*special, ConditionEntry(usual)))
    for default in (None, gap):
        with suppress(TooManyEntries):
            stated = entries(rule, default, MAX_DUMPED, Style.WRITTEN)
            if default is None or not all(is_denial(item.action) for item in stated):
                forms.append(stated)
    if not forms:
        return [{"action": str(strictest(rule))}]
    return [_dump_entry(entry) for entry in min(forms, key=lambda form: len(form))]


def _dump_entry(entry: ConditionEntry) -> dict[str, object]:
    data: dict[str, object] = {"action": str(entry.action)}
    if entry.comparisons:
        data["args"] = [_dump_comparison(item) for item in entry.comparisons]
    return data


def _dump_comparison(item: Comparison) -> dict[str, object]:
    alone = singly(item)
    item = alone[0] if len(alone) == 1 else item
    numbers = {"value": item.value} | ({"mask": item.mask} if item.op is Op.MASKED_EQ else {})
    shown = {key: number if number <= _TOML_MAX else hex(number) for key, number in numbers.items()}
    return {"index": item.index, "op": item.op.value, "width": item.width, **shown}


@cache
def _samples() -> Sequence[Rule]:
    low = Comparison(1, Op.LE, 7)
    return (
        constant(KILL_PROCESS),
        constant(DENY),
        constant(LOG),
        constant(ALLOW),
        rule_of([ConditionEntry(ALLOW, (Comparison(0, Op.EQ, 1),))], DENY),
        rule_of([ConditionEntry(ALLOW), ConditionEntry(DENY, (Comparison(0, Op.MASKED_EQ, 4, 6), low))], DENY),
        rule_of([ConditionEntry(LOG, (Comparison(0, Op.NE, 1),)), ConditionEntry(ALLOW, (low,))], DENY),
    )


@frozen(eq=False)
class RuleKind(Kind[Rule]):
    """What a filter answers to one system call, for every argument vector.

    The order is that of actions, argument vector by argument vector. Two errnos are equally strict; where two layers deny
    alike, the later one's errno is answered, as with two filters in the kernel.
    """

    def parse(self, node: Node) -> Rule:
        if isinstance(node.raw, str):
            return constant(read_action(node))
        parts = []
        for item in node.items():
            action = item.get("action")
            if action is None:
                raise item.error("action is missing", hint='write { action = "errno" }')
            cases = item.get("args")
            comparisons = tuple(read_comparison(one, ()) for one in cases.items()) if cases else ()
            parts.append(partial(ConditionEntry(read_action(action), comparisons)))
        return fill(join(parts), DENY)

    def is_no_looser_than(self, a: Rule, b: Rule) -> bool:
        return rule_is_no_looser_than(a, b)

    def intersect(self, a: Rule, b: Rule) -> Rule:
        return rule_intersect(a, b)

    def grammar(self) -> str:
        return (
            '`"allow"`, `"log"`, `"trace[:N]"`, `"errno[:NAME]"`, `"deny"`, `"trap"`, `"kill-thread"` or `"kill-process"`, '
            "for all arguments or by comparisons of them"
        )

    def samples(self) -> Sequence[Rule]:
        return _samples()

    def candidates(self, value: Rule) -> Sequence[Rule]:
        """Each case of the arguments that is not allowed, allowed; of all alike, logged or allowed."""
        if value.is_constant:
            return (constant(LOG), constant(ALLOW))
        try:
            cases = entries(value, ALLOW, _MOST_CASES, Style.WRITTEN)
        except TooManyEntries:
            return (constant(ALLOW),)
        return [apply(lambda held, answer: ALLOW if held else answer, where(case.comparisons), value) for case in cases]

    def show(self, value: Rule) -> str:
        return groups.load().described(value)

    def is_whole(self, value: Rule) -> bool:
        return value.is_constant

    def changes(self, before: Rule, after: Rule) -> Sequence[ValueChange]:
        """The cases of the arguments in which the answer is another one; against one answer for all, what a group allows
        has its name."""
        named = groups.load()
        whole = before.is_constant and (after.is_constant or named.group_of(after) is not None)
        if whole or (after.is_constant and named.group_of(before) is not None):
            return super().changes(before, after)
        answers = apply(lambda *pair: pair, before, after)
        return [
            ValueChange(
                described_where(answers, (one, other)), str(one), str(other), self.order(constant(other), constant(one))
            )
            for one, other in dict.fromkeys(answers.leaves)
            if one != other
        ]

    def dump(self, value: Rule) -> object:
        return str(value.leaves[0]) if value.is_constant else dump_entries(value)


class StrictDefaults(Mapping[str, Rule]):
    """What an unstated filter allows: the members of ``@strict``, read from the data file on first use. ``machine`` is
    named as uname(2) does; None is this one."""

    def __init__(self, machine: str | None = None) -> None:
        self._machine = machine

    @cached_property
    def _rules(self) -> dict[str, Rule]:
        data = groups.load()
        native = architecture_of(self._machine or os.uname().machine)
        return {name: fill(data.allowed(name, native), DENY) for name in sorted(data.members[groups.STRICT])}

    def __getitem__(self, name: str) -> Rule:
        return self._rules[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rules)

    def __len__(self) -> int:
        return len(self._rules)


def calls() -> set[str]:
    """The system calls that have a name here, whichever this machine and its library know."""
    return {*groups.load().names, *YOUNG}


def read_call(node: Node) -> str:
    """The name of a system call; raises `ProfileError` for an unknown one."""
    name, known = node.string(), calls()
    if name not in known:
        raise node.error(f'unknown system call "{name}"', hint=nearest(name, known) or "syscalls(2) has their names")
    return name


def read_architecture(node: Node) -> str:
    """``native`` or a name of libseccomp's; raises `ProfileError` for an unknown one."""
    name = node.string()
    known = (NATIVE, *ARCHITECTURES)
    if name not in known:
        raise node.error(f'unknown architecture "{name}"', hint=nearest(name, known) or f"one of {', '.join(known)}")
    return name


@frozen
class SeccompSettings(CallFilter):
    """Composed `[seccomp]`."""

    syscalls: Members[Rule] = family(
        RuleKind(),
        name=FAMILY,
        rest=constant(DENY),
        absent=constant(DENY),
        default=StrictDefaults(),
        read_member=read_call,
        help="What happens to each system call: `default`, `allow`, `deny`, `log`, `rules` and `profile` decide. "
        "Unstated, the group `@strict` is allowed and everything else denied: with ENOSYS what is in `@fallback` or has no "
        "name here, else with EPERM.",
        examples=("ptrace", "personality"),
        lenient="a command without any system call cannot even start, and one killed for asking cannot fall back",
    )
    architectures: Members[bool] = listing(
        read_architecture,
        "Architectures whose system calls are filtered by the same rules, beside the machine's own; any other kills.",
        examples=("x86", "x32"),
    )
    restrict_suid_sgid: bool = scalar(
        Flag(strict=True),
        True,
        "Whether no file gets a set-user-ID or set-group-ID bit, nor capabilities: on a volume the host heeds them.",
    )
    log: bool = scalar(
        Unordered(Node.boolean, "`true` or `false`", (False, True)),
        False,
        "Whether the kernel logs every answer but `allow` (SECCOMP_FILTER_FLAG_LOG).",
        name="flags.log",
    )
    spec_allow: bool = scalar(
        Flag(strict=False),
        False,
        "Whether speculative store bypass stays permitted (SECCOMP_FILTER_FLAG_SPEC_ALLOW).",
        name="flags.spec-allow",
    )

    def lets_run(self, call: str) -> bool:
        return not all(map(is_denial, self.syscalls[call].leaves))

    def permitted(self, calls: Collection[str]) -> tuple[int, int]:
        """How many of these system calls get through, and how many others with some arguments."""
        denied = [list(map(is_denial, self.syscalls[call].leaves)) for call in calls]
        return sum(not any(leaves) for leaves in denied), sum(any(leaves) and not all(leaves) for leaves in denied)


#: What the lists of the table say.
ALLOWED, DENIED, LOGGED = ALLOW, DENY, LOG
