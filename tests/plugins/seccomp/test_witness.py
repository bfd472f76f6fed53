"""Arguments of a call that one rule permits and another one refuses."""

from __future__ import annotations

from hypothesis import given, settings

from hardening_seccomp.conditions import Rule
from hardening_seccomp.diagrams import apply
from hardening_seccomp.witness import vector
from tests.plugins.seccomp import generate


@settings(deadline=None)
@given(generate.rules(), generate.rules())
def test_each_pair_of_answers_has_arguments_that_lead_to_it(one: Rule, other: Rule) -> None:
    pairs = apply(lambda *pair: pair, one, other)
    for pair in pairs.leaves:
        found = vector(pairs, pair)
        assert (one.value(found), other.value(found)) == pair
