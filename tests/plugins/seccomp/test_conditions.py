"""Comparisons, rules, and the disjoint entries that give a rule back."""

from __future__ import annotations

import operator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardening_seccomp.actions import ALLOW, ENOSYS, EPERM, LOG, Action
from hardening_seccomp.conditions import (
    Comparison,
    ConditionEntry,
    Op,
    Rule,
    Style,
    TooManyEntries,
    describe,
    entries,
    rule_of,
)
from hardening_seccomp.diagrams import constant
from tests.plugins.seccomp import generate

OPERATORS = {
    Op.NE: operator.ne,
    Op.LT: operator.lt,
    Op.LE: operator.le,
    Op.EQ: operator.eq,
    Op.GE: operator.ge,
    Op.GT: operator.gt,
}


def holds(item: Comparison, vector: tuple[int, ...]) -> bool:
    word = vector[item.index] & ((1 << item.width) - 1)
    if item.op is Op.MASKED_EQ:
        return word & item.mask == item.value
    return bool(OPERATORS[item.op](word, item.value))


@given(generate.comparisons(1), generate.vectors)
def test_a_comparison_means_what_it_says(item: Comparison, vector: tuple[int, ...]) -> None:
    assert item.test().value(vector) == holds(item, vector)


@given(st.sampled_from(list(Op)), st.sampled_from([0, 1, 0x5412, 0xFFFFFFFF]), generate.vectors)
def test_a_width_of_32_ignores_the_upper_half(op: Op, value: int, vector: tuple[int, ...]) -> None:
    item = Comparison(0, op, value, width=32)
    assert item.test().value(vector) == holds(item, vector)


@given(st.lists(generate.entries(), max_size=4), generate.actions, generate.vectors)
def test_the_strictest_matching_entry_decides(
    listed: list[ConditionEntry], otherwise: Action, vector: tuple[int, ...]
) -> None:
    matching = [entry.action for entry in listed if all(holds(item, vector) for item in entry.comparisons)]
    strictest = max((action.kind for action in matching), default=otherwise.kind)
    wanted = next((action for action in matching if action.kind == strictest), otherwise)
    assert rule_of(listed, otherwise).value(vector) == wanted


@settings(deadline=None)
@given(generate.rules(), st.sampled_from(list(Style)), generate.vectors)
def test_entries_give_the_rule_back_and_are_disjoint(rule: Rule, style: Style, vector: tuple[int, ...]) -> None:
    try:
        found = entries(rule, ENOSYS, 256, style)
    except TooManyEntries:
        return
    assert rule_of(found, ENOSYS) == rule
    assert sum(all(holds(item, vector) for item in entry.comparisons) for entry in found) <= 1
    for entry in found:
        indices = [item.index for item in entry.comparisons]
        assert style is Style.WRITTEN or len(indices) == len(set(indices))
        assert style is not Style.MASKS or all(item.op in (Op.EQ, Op.MASKED_EQ) for item in entry.comparisons)


@settings(deadline=None)
@given(generate.rules())
def test_entries_on_top_of_nothing_cover_everything(rule: Rule) -> None:
    try:
        found = entries(rule, None, 1024)
    except TooManyEntries:
        return
    assert rule_of(found, Action(ENOSYS.kind, 99)) == rule


@pytest.mark.parametrize("op", list(Op))
def test_one_comparison_stays_one(op: Op) -> None:
    rule = rule_of([ConditionEntry(ALLOW, (Comparison(2, op, 4, 6 if op is Op.MASKED_EQ else (1 << 64) - 1),))], EPERM)
    assert len(entries(rule, EPERM, 256)) == 1


def test_a_bound_is_kept() -> None:
    rule = rule_of([ConditionEntry(ALLOW, (Comparison(0, Op.EQ, value * 3),)) for value in range(40)], EPERM)
    with pytest.raises(TooManyEntries):
        entries(rule, EPERM, 10)


def test_rules_are_shown_with_what_is_usual_last() -> None:
    rule = rule_of([ConditionEntry(LOG), ConditionEntry(EPERM, (Comparison(1, Op.EQ, 0x5412, width=32),))], ENOSYS)
    assert describe(rule) == "errno:EPERM if arg1 & 0xffffffff == 0x5412, else log"
    assert describe(constant(ALLOW)) == "allow"
