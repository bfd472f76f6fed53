"""What one composition permits beyond another."""

from __future__ import annotations

from hardening.report.beyond import beyond
from tests.support.texts import composed
from tests.support.thirdparty.acme_quota import Quota

FLOOR = '[quota]\nfiles = 3\nstrict = true\ncolours = ["red"]\nsizes.core = 5\n'
EXCEPTION = '[[exceptions]]\nsetting = "quota.colours.blue"\nreason = "why"\n'


def found(*texts: str) -> dict[str, tuple[str, str]]:
    """The leaves in which a stack permits more than `FLOOR`: what they are, and what they are there."""
    items = beyond(composed(*texts, by=[Quota()]), composed(FLOOR, by=[Quota()]))
    return {str(item.leaf): (item.shown, item.floor) for item in items}


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
    assert (item.origin, item.value) == ("b.toml:5", True)
    assert item.exception is not None
    assert item.exception.reason == "why"
    (unexcepted,) = beyond(composed("[quota]\nfiles = 9", by=[Quota()]), composed(FLOOR, by=[Quota()]))
    assert unexcepted.exception is None
