"""What differs between two compositions, and what comes of it."""

from __future__ import annotations

import pytest

from hardening.compare.difference import Subject, beyond, both, compare
from hardening.mechanism.kinds import Order
from tests.support.texts import composed
from tests.support.thirdparty.acme_quota import Quota

FLOOR = '[quota]\nfiles = 3\nstrict = true\ncolours = ["red"]\nsizes.core = 5\n'
EXCEPTION = '[[exceptions]]\nsetting = "quota.colours.blue"\nreason = "why"\n'


def found(*texts: str) -> dict[str, tuple[str, str]]:
    """The leaves in which a stack permits more than `FLOOR`: what they are, and what they are there."""
    items = beyond(composed(*texts, by=[Quota()]), composed(FLOOR, by=[Quota()]))
    return {str(item.leaf): (item.after, item.before) for item in items}


def differences(before: str, after: str) -> tuple[Order, list[tuple[str, str, str, Order]]]:
    item = compare(composed(before, by=[Quota()]), composed(after, by=[Quota()]))
    return item.order, [(one.name, one.before, one.after, one.order) for one in item.differences]


def test_the_same_and_the_stricter_are_not_beyond() -> None:
    assert found(FLOOR) == {}
    assert found(FLOOR, "[quota]\nfiles = 1\ncolours = []\nsizes.core = 0") == {}


def test_looser_leaves_are_shown_with_both_values() -> None:
    looser = FLOOR.replace("3", "4").replace("true", "false")
    assert found(looser) == {"quota.files": ("4", "3"), "quota.strict": ("false", "true")}


def test_a_member_that_one_of_them_does_not_name_has_the_value_of_all_others() -> None:
    assert found(FLOOR + "sizes.log = 1") == {"quota.sizes.log": ("1", "0")}
    assert found('[quota]\ncolours = ["blue"]') == {"quota.colours.blue": ("true", "false")}


def test_the_exception_that_permitted_it_is_named() -> None:
    stack = composed(FLOOR, EXCEPTION + '[quota]\ncolours.add = ["blue"]', by=[Quota()])
    (item,) = beyond(stack, composed(FLOOR, by=[Quota()]))
    assert item.origins == ("a.toml:4", "b.toml:5")
    assert item.exception is not None
    assert item.exception.reason == "why"
    (unexcepted,) = beyond(composed("[quota]\nfiles = 9", by=[Quota()]), composed(FLOOR, by=[Quota()]))
    assert unexcepted.exception is None


def test_each_direction_is_told_and_both_make_a_whole_that_cannot_be_compared() -> None:
    assert differences(FLOOR, FLOOR) == (Order.SAME, [])
    tighter = FLOOR.replace("files = 3", "files = 2")
    assert differences(FLOOR, tighter) == (Order.TIGHTER, [("quota.files", "3", "2", Order.TIGHTER)])
    assert differences(tighter, FLOOR) == (Order.LOOSER, [("quota.files", "2", "3", Order.LOOSER)])
    mixed = tighter.replace("true", "false")
    assert differences(FLOOR, mixed)[0] is Order.INCOMPARABLE


def test_a_limit_that_is_gone_lets_later_layers_say_more() -> None:
    limited = "[limits.quota]\nfiles = 8\n"
    assert differences(limited + FLOOR, FLOOR) == (
        Order.LOOSER,
        [("limits.quota.files", "8", "no limit", Order.LOOSER)],
    )
    lower = limited.replace("8", "7")
    assert differences(limited + FLOOR, lower + FLOOR)[1] == [("limits.quota.files", "8", "7", Order.TIGHTER)]
    assert not found(limited + FLOOR)


def test_findings_that_refuse_a_run_no_longer_are_a_loosening() -> None:
    gate = '[findings]\nrefuse = "warning"\nrules."quota/large" = "never"\n'
    order, items = differences(gate + FLOOR, gate.replace('"warning"', '"error"') + FLOOR)
    assert (order, items) == (Order.LOOSER, [("findings.rules", "warning", "error", Order.LOOSER)])
    assert differences(FLOOR, gate + FLOOR)[0] is Order.TIGHTER
    stack = compare(composed(gate + FLOOR, by=[Quota()]), composed(FLOOR, by=[Quota()]))
    assert [(item.subject, item.origins) for item in stack.differences] == [(Subject.FINDINGS, ("a.toml:2", ""))]


def test_an_exception_that_is_new_is_told_and_permits_nothing_by_itself() -> None:
    item = compare(composed(FLOOR, by=[Quota()]), composed(EXCEPTION + FLOOR, by=[Quota()]))
    assert (item.order, [one.setting for one in item.added], item.removed) == (Order.SAME, ["quota.colours.blue"], ())
    same = compare(composed(EXCEPTION + FLOOR, by=[Quota()]), composed("\n\n" + EXCEPTION + FLOOR, by=[Quota()]))
    assert not same.added


@pytest.mark.parametrize("one", Order)
def test_the_order_of_a_whole_follows_from_its_parts_in_any_order(one: Order) -> None:
    assert both(one, Order.SAME) is both(Order.SAME, one) is one
    assert both(one, Order.INCOMPARABLE) is both(Order.INCOMPARABLE, one) is Order.INCOMPARABLE
    for other in Order:
        assert both(one, other) is both(other, one)
        assert all(both(both(one, other), third) is both(one, both(other, third)) for third in Order)
