"""Whether one stack stays within another, and what shows it where it does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hardening.assemble import pipeline
from hardening.compare.proof import counterexamples, violated
from hardening.mechanism import host
from hardening.mechanism.evidence import Witness
from hardening.mechanism.mechanism import Context
from hardening.mechanism.schema import Leaf
from tests.support.texts import composed
from tests.support.thirdparty.acme_quota import Quota, QuotaSettings

HOST = host.plain()
FLOOR = "[quota]\nfiles = 3\nstrict = true\nsizes.core = 5\n"


class Shown(Quota):
    """A mechanism that has programs for some of its leaves."""

    def witness(
        self, settings: QuotaSettings, context: Context, leaf: Leaf, value: Any, floor: Any
    ) -> Iterator[Witness]:
        if leaf.setting == "files":
            yield Witness(f"has {value} files, and not {floor}", "pass")


def test_a_stack_is_within_another_where_each_leaf_is_and_unordered_ones_count_for_nothing() -> None:
    assert violated(composed(FLOOR, by=[Quota()]), composed(FLOOR, by=[Quota()]), HOST) == []
    tighter = FLOOR.replace("3", "2").replace("5", "4")
    assert violated(composed(tighter, by=[Quota()]), composed(FLOOR, by=[Quota()]), HOST) == []
    found = violated(composed(FLOOR, by=[Quota()]), composed(tighter, by=[Quota()]), HOST)
    assert [str(item.leaf) for item in found] == ["quota.files", "quota.sizes.core"]


def test_a_tighter_leaf_makes_up_for_no_looser_one() -> None:
    mixed = FLOOR.replace("3", "4").replace("5", "1")
    found = violated(composed(mixed, by=[Quota()]), composed(FLOOR, by=[Quota()]), HOST)
    assert [(str(item.leaf), item.before, item.after) for item in found] == [("quota.files", "3", "4")]


def test_a_mechanism_gives_the_programs_by_both_values() -> None:
    inner = composed(FLOOR.replace("3", "9").replace("5", "6"), by=[Shown()])
    found = violated(inner, composed(FLOOR, by=[Shown()]), HOST)
    items = list(counterexamples(inner, pipeline.examine(inner, host.plain()), found))
    assert [[one.what for one in item.witnesses] for item in items] == [["has 9 files, and not 3"], []]
