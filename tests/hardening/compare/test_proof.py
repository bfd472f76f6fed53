"""Whether one stack stays within another, and what shows it where it does not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from hardening.assemble import pipeline
from hardening.compare.proof import UNKNOWN, counterexamples, violated
from hardening.compose.composition import compose
from hardening.errors import HardeningError
from hardening.mechanism import host
from hardening.mechanism.evidence import Witness
from hardening.mechanism.mechanism import Context, Mechanism
from hardening.mechanism.schema import Leaf
from hardening.profile.layers import Stack
from hardening.runs.receipt import is_before_launch
from hardening.testing.laws import Case, to_layer
from tests.hardening.compare.measure import installed
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
    assert [([one.what for one in item.witnesses], item.why) for item in items] == [
        (["has 9 files, and not 3"], ""),
        ([], UNKNOWN),
    ]


def witnesses(mechanism: Mechanism[Any]) -> Iterator[tuple[str, list[Witness]]]:
    """What a mechanism shows of its settings: of each two samples of which one is no stricter, where a stack has that."""
    mechanisms, here = installed()
    others = [mechanisms[name] for name in mechanism.after]
    samples = [item for item in mechanism.samples() if not mechanism.schema.settings[item[0]].kind.unordered]
    for setting, member, value in samples:
        leaf = mechanism.leaf(setting, member)
        if is_before_launch(mechanism, leaf):
            continue
        for case in (Case({(setting, member): value}), Case()):  # one alone may be no stack
            with suppress(HardeningError):
                layers = (to_layer(mechanism, case, "layer"),)
                stack = compose(Stack(layers), [mechanism, *others], here, date(2000, 1, 1))
                context = pipeline.examine(stack, here)
                break
        kind = mechanism.schema.settings[setting].kind
        floors = (floor for name, of, floor in samples if (name, of) == (setting, member))
        for floor in floors:
            if not kind.is_no_looser_than(value, floor):
                found = [*mechanism.witness(stack.settings[mechanism.name], context, leaf, value, floor)]
                yield str(mechanism.leaf(setting)), found


@cache
def silent() -> dict[str, dict[str, bool]]:
    """By setting, why some value of it is shown by no program, and whether programs show others."""
    found: dict[str, dict[str, bool]] = {}
    for mechanism in installed()[0].values():
        for setting, shown in witnesses(mechanism):
            entry = found.setdefault(setting, {})
            for one in shown:
                entry[one.what if not one.attempt else ""] = True
    return found


def test_each_setting_has_a_program_or_a_reason_why_none_shows_it() -> None:
    ordered = {
        str(mechanism.leaf(name))
        for mechanism in installed()[0].values()
        for name, setting in mechanism.schema.settings.items()
        if not (setting.kind.unordered or is_before_launch(mechanism, mechanism.leaf(name)))
    }
    assert {setting for setting, entry in silent().items() if entry} == ordered


def test_the_table_of_what_no_program_shows_is_true() -> None:
    rows: dict[str, list[str]] = {}
    for setting, entry in silent().items():
        for why in entry:
            if why:
                rows.setdefault(why, []).append(f"`{setting}`")
    page = (Path(__file__).parents[3] / "docs/reference/cli.md").read_text().partition("\n## prove\n")[2]
    table = page.partition("| setting | why no program shows it |\n| --- | --- |\n")[2].partition("\n\n")[0]
    assert set(table.splitlines()) == {f"| {', '.join(names)} | {why} |" for why, names in rows.items()}
