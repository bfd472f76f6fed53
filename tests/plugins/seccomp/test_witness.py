"""Arguments of a call that one rule permits and another one refuses."""

from __future__ import annotations

from hypothesis import given, settings

from hardening_seccomp.actions import ALLOW, EPERM
from hardening_seccomp.conditions import Comparison, ConditionEntry, Op, Rule, rule_of
from hardening_seccomp.diagrams import MAX_ARGUMENT, apply, constant
from hardening_seccomp.witness import _calls, vector
from tests.plugins.seccomp import generate


@settings(deadline=None)
@given(generate.rules(), generate.rules())
def test_each_pair_of_answers_has_arguments_that_lead_to_it(one: Rule, other: Rule) -> None:
    pairs = apply(lambda *pair: pair, one, other)
    for pair in pairs.leaves:
        for free in (MAX_ARGUMENT, MAX_ARGUMENT ^ (1 << 31), 0):
            found = vector(pairs, pair, free)
            assert (one.value(found), other.value(found)) == pair
            assert not pairs.is_constant or found == [free] * 6


def test_a_signal_is_sent_to_nobody() -> None:
    """Nor to everybody: -1 and 0 stand for more processes than one (kill(2))."""
    allowed = rule_of([ConditionEntry(ALLOW, (Comparison(1, Op.EQ, 9),))], EPERM)
    (item,) = _calls("kill", 62, allowed, constant(EPERM))
    assert "62, *map(ctypes.c_ulong, [0xffffffff7fffffff, 0x9, " in item.attempt
    everybody = rule_of([ConditionEntry(ALLOW, (Comparison(0, Op.EQ, 0xFFFFFFFF, width=32),))], EPERM)
    assert [*_calls("kill", 62, everybody, constant(EPERM))] == []
