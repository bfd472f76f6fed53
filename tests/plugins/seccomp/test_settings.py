"""The order of rules as a kind, and what is dumped."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings

from hardening.mechanism.kinds import Order
from hardening.profile.source import Document, Node
from hardening_seccomp import groups
from hardening_seccomp.actions import ALLOW, ENOSYS, EPERM
from hardening_seccomp.conditions import Comparison, ConditionEntry, Op, Rule, TooManyEntries, entries, rule_of
from hardening_seccomp.diagrams import constant
from hardening_seccomp.settings import MAX_DUMPED, RuleKind, StrictDefaults
from tests.plugins.seccomp import generate

KIND = RuleKind()


def parse(raw: object) -> Rule:
    return KIND.parse(Node(raw, ("value",), Document("sample", Path("sample.toml"), {}, {})))


@settings(deadline=None)
@given(generate.rules())
def test_what_is_dumped_reads_back(rule: Rule) -> None:
    try:
        entries(rule, None, MAX_DUMPED)
    except TooManyEntries:
        return
    assert parse(KIND.dump(rule)) == rule


@settings(deadline=None)
@given(generate.rules(), generate.rules())
def test_meet_is_a_greatest_lower_bound(a: Rule, b: Rule) -> None:
    met = KIND.intersect(a, b)
    assert KIND.is_no_looser_than(met, a)
    assert KIND.is_no_looser_than(met, b)
    assert KIND.is_no_looser_than(KIND.intersect(b, a), met)
    assert KIND.is_no_looser_than(a, b) == KIND.is_no_looser_than(a, met)


def test_of_two_errnos_the_later_is_answered() -> None:
    assert KIND.intersect(constant(EPERM), constant(ENOSYS)) == constant(ENOSYS)
    assert KIND.is_no_looser_than(constant(EPERM), constant(ENOSYS))
    assert KIND.is_no_looser_than(constant(ENOSYS), constant(EPERM))


def test_strict_defaults_are_read_on_first_use() -> None:
    defaults = StrictDefaults()
    assert "_rules" not in vars(defaults)
    assert "read" in defaults
    assert len(defaults) == len(list(defaults))


@settings(deadline=None)
@given(generate.rules(), generate.rules(), generate.vectors)
def test_a_case_is_told_of_each_argument_vector_of_which_the_answer_changes(
    before: Rule, after: Rule, vector: tuple[int, ...]
) -> None:
    one, other = before.value(vector), after.value(vector)
    told = {(item.before, item.after): item.order for item in KIND.changes(before, after)}
    if before != after and one != other:
        assert told[str(one), str(other)] is KIND.order(constant(other), constant(one))
    assert (str(one), str(one)) not in told or before == after


def test_the_cases_are_told_as_people_write_them() -> None:
    given = [ConditionEntry(ALLOW, (Comparison(1, Op.EQ, 0x5413, width=32),)), ConditionEntry(ALLOW)]
    fewer = [ConditionEntry(EPERM, (Comparison(1, Op.EQ, 0x5412, width=32),)), ConditionEntry(ALLOW)]
    (case,) = KIND.changes(rule_of(given, EPERM), rule_of(fewer, EPERM))
    assert (case.what, case.before, case.after, case.order) == ("arg1 == 0x5412", "allow", "errno:EPERM", Order.TIGHTER)


def test_what_a_group_allows_has_its_name_where_all_was_answered_alike() -> None:
    rule = groups.load().guards["socket"].rule
    for pair in ((constant(EPERM), rule), (rule, constant(EPERM))):
        (change,) = KIND.changes(*pair)
        assert {change.before, change.after} == {"errno:EPERM", KIND.show(rule)}
        assert KIND.show(rule).startswith("what @socket allows, else ")
