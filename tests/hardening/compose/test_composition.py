"""Whole stacks of a sample mechanism: who decides, who is refused, and what is shown of it."""

from __future__ import annotations

import cProfile
from collections.abc import Iterator
from datetime import date
from typing import Any

import attrs
import pytest

from hardening.compose.composition import Composition, compose, in_order
from hardening.compose.fold import Outcome
from hardening.errors import HardeningError, Problems
from hardening.mechanism import host
from hardening.mechanism.findings import Finding, Severity
from hardening.mechanism.kinds import Ceiling
from hardening.mechanism.mechanism import Mechanism, Reading
from hardening.mechanism.schema import Leaf, Statement, scalar
from hardening.profile.source import Node
from tests.support.texts import TODAY, composed, stack
from tests.support.thirdparty.acme_quota import Quota, QuotaSettings

EXCEPTION = '[[exceptions]]\nsetting = "{}"\nreason = "why"\n'


def quota(*texts: str) -> QuotaSettings:
    settings = composed(*texts, by=[Quota()]).settings["quota"]
    assert isinstance(settings, QuotaSettings)
    return settings


def refused(*texts: str, today: date = TODAY, by: list[Mechanism[Any]] | None = None) -> str:
    with pytest.raises(HardeningError) as caught:
        composed(*texts, by=by or [Quota()], today=today)
    return str(caught.value)


def leaf(composition: Composition, name: str) -> Any:
    return next(resolved for key, resolved in composition.leaves.items() if str(key) == name)


# --- values -----------------------------------------------------------------------------------------------------------


def test_an_empty_stack_is_strict() -> None:
    composition = compose(stack(), [Quota()], host.plain(), TODAY)
    settings = composition.settings["quota"]
    assert (settings.files, settings.strict, settings.mode, settings.place) == (0, True, "deny", "none")
    assert (settings.colours["red"], settings.sizes["core"]) == (False, 0)
    assert leaf(composition, "quota.files").origin == "default (tests.support.thirdparty.acme_quota)"
    assert composition.required("quota")


def test_settings_are_found_by_their_class() -> None:
    composition = composed("[quota]\nfiles = 3", by=[Quota()])
    found = composition.composed[QuotaSettings]
    assert isinstance(found, QuotaSettings)
    assert found.files == 3
    assert Reading(host.plain(), composition.composed).of(QuotaSettings) is found
    assert Reading(host.plain(), {}).of(QuotaSettings) is None


def test_a_list_replaces_and_add_and_drop_change() -> None:
    assert quota('[quota]\ncolours = ["red", "green"]', '[quota]\ncolours = ["red"]').colours.having(True) == ("red",)
    assert quota('[quota]\ncolours = ["red", "green"]', '[quota]\ncolours.drop = ["red"]').colours.having(True) == (
        "green",
    )


def test_a_list_that_grows_is_refused_at_the_member_that_grew() -> None:
    message = refused('[quota]\ncolours = ["red"]', '[quota]\ncolours = [\n  "red",\n  "blue",\n]')
    assert message.startswith("b.toml:4: quota.colours.blue: true is looser than false, set at a.toml:2\n")


def test_adding_to_a_list_that_nobody_closed_is_free() -> None:
    assert quota('[quota]\ncolours.add = ["red"]', '[quota]\ncolours.add = ["blue"]').colours.having(True) == (
        "blue", "red",
    )  # fmt: skip


def test_what_is_said_of_all_others_holds_for_a_member_that_a_later_layer_names() -> None:
    texts = ('[quota.sizes]\n"*" = 0', "[quota.sizes]\ncore = 20")
    assert "quota.sizes.core: 20 is looser than 0, set at a.toml:2" in refused(*texts)
    assert quota(texts[0], "[quota.sizes]\ncore = 0").sizes["core"] == 0


def test_what_is_said_of_all_others_later_holds_for_members_named_before() -> None:
    settings = quota("[quota.sizes]\ncore = 20", '[quota.sizes]\n"*" = 0\nlog = 0')
    assert (settings.sizes["core"], settings.sizes["log"]) == (0, 0)


# --- exceptions -------------------------------------------------------------------------------------------------------


def test_an_exception_permits_its_leaf_and_no_other() -> None:
    strict = "[quota]\nfiles = 1\nstrict = true"
    loose = EXCEPTION.format("quota.files") + "[quota]\nfiles = 5"
    assert quota(strict, loose).files == 5
    assert "quota.strict: false is looser than true" in refused(strict, loose + "\nstrict = false")


def test_an_exception_names_a_member_of_a_family() -> None:
    closed = '[quota]\ncolours = ["red"]'
    loose = '[quota]\ncolours.add = ["blue"]'
    assert quota(closed, EXCEPTION.format("quota.colours.blue") + loose).colours["blue"]
    assert "quota.colours.blue" in refused(closed, EXCEPTION.format("quota.colours.green") + loose)


def test_the_used_exceptions_are_listed_and_the_unused_found() -> None:
    composition = composed(
        "[quota]\nfiles = 1",
        EXCEPTION.format("quota.files") + EXCEPTION.format("quota.strict") + "[quota]\nfiles = 5\nstrict = true",
        by=[Quota()],
    )
    assert [(str(name), used.reason) for name, used in composition.used_exceptions()] == [("quota.files", "why")]
    (finding,) = composition.findings
    assert (finding.rule, finding.leaf, finding.origin) == ("core/unused-exception", "quota.strict", "b.toml:4")


@pytest.mark.parametrize("reason", ["…", "...", "REASON", "reason", "Todo:", "<TBD>", "?", "why this is needed"])
def test_a_reason_that_is_a_placeholder_is_found(reason: str) -> None:
    loose = '[[exceptions]]\nsetting = "quota.files"\nreason = "{}"\n[quota]\nfiles = 5'
    (finding,) = composed("[quota]\nfiles = 1", loose.format(reason), by=[Quota()]).findings
    assert (finding.rule, finding.severity) == ("core/placeholder-reason", Severity.WARNING)
    assert (finding.leaf, finding.origin) == ("quota.files", "b.toml:1")
    for empty in ("", "  "):
        assert "an exception needs a reason" in refused("[quota]\nfiles = 1", loose.format(empty))


def test_what_a_hint_gives_to_paste_is_found_until_it_has_a_reason() -> None:
    strict, loose = "[quota]\nfiles = 1", "[quota]\nfiles = 5\n"
    pasted = refused(strict, loose).partition("same layer:\n")[2]
    (finding,) = composed(strict, loose + pasted, by=[Quota()]).findings
    assert finding.rule == "core/placeholder-reason"
    assert not composed(strict, loose + pasted.replace("…", "it opens every ledger"), by=[Quota()]).findings


@pytest.mark.parametrize(("expires", "expired"), [("2025-12-31", True), ("2026-01-01", False), ("2026-01-02", False)])
def test_an_exception_holds_through_its_last_day(expires: str, expired: bool) -> None:
    texts = ("[quota]\nfiles = 1", EXCEPTION.format("quota.files") + f"expires = {expires}\n[quota]\nfiles = 5")
    if expired:
        assert "b.toml:4: the exception for quota.files ended on 2025-12-31" in refused(*texts)
    else:
        assert quota(*texts).files == 5


def test_an_expired_exception_is_an_error_even_where_nothing_needs_it() -> None:
    text = EXCEPTION.format("quota.files") + "expires = 2020-01-01\n"
    assert "ended on 2020-01-01" in refused(text)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("quota.fils", 'did you mean "quota.files"?'),
        ("quta.files", 'did you mean "quota"?'),
        ("quota", "name a leaf"),
        ("quota.colours", "colours"),
        ("quota.beyond", ""),
    ],
)
def test_an_exception_for_what_is_no_leaf_is_refused(name: str, hint: str) -> None:
    message = refused(EXCEPTION.format(name))
    assert message.startswith(f'a.toml:2: the exception names "{name}", which is not a setting\nhint: ')
    assert hint in message


# --- limits -----------------------------------------------------------------------------------------------------------


def test_a_limit_on_a_list_closes_it_for_all_layers_to_come() -> None:
    limit = '[limits.quota]\ncolours = ["red"]'
    assert quota(limit, '[quota]\ncolours.add = ["red"]').colours["red"]
    message = refused(limit, EXCEPTION.format("quota.colours.blue") + '[quota]\ncolours.add = ["blue"]')
    assert "b.toml:5: quota.colours.blue: true exceeds the limit false set at a.toml:2" in message


def test_limits_of_several_layers_intersect() -> None:
    texts = ('[limits.quota]\ncolours = ["red", "green"]', '[limits.quota]\ncolours = ["green", "blue"]')
    assert quota(*texts, '[quota]\ncolours = ["green"]').colours.having(True) == ("green",)
    for colour in ("red", "blue"):
        assert "exceeds the limit" in refused(*texts, f'[quota]\ncolours = ["{colour}"]')


def test_a_later_limit_cuts_the_list_that_stands() -> None:
    composition = composed('[quota]\ncolours = ["red", "green"]', '[limits.quota]\ncolours = ["green"]', by=[Quota()])
    assert composition.settings["quota"].colours.having(True) == ("green",)
    red = leaf(composition, "quota.colours.red")
    assert (red.origin, red.steps[-1].outcome) == ("b.toml:2", Outcome.CUT)


def test_a_limit_that_permits_a_member_of_an_open_list_means_nothing_and_is_refused() -> None:
    assert "limits.quota.colours.red: permitting a member limits nothing" in refused(
        '[limits.quota]\ncolours.add = ["red"]'
    )
    assert not quota('[limits.quota]\ncolours.drop = ["red"]').colours["red"]


def test_what_has_no_order_cannot_be_limited() -> None:
    assert "a.toml:2: limits.quota.label: this setting has no order" in refused('[limits.quota]\nlabel = "x"')


def test_a_best_effort_mechanism_can_be_forbidden_by_a_limit() -> None:
    effort = '[quota]\nrequirement = "best-effort"'
    assert not composed(effort, by=[Quota()]).required("quota")
    assert "quota.requirement: best-effort exceeds the limit required" in refused(
        '[limits.quota]\nrequirement = "required"', effort
    )


# --- tables, several problems, order ----------------------------------------------------------------------------------


def test_a_table_that_nobody_owns_is_refused() -> None:
    assert refused("[qota]\nfiles = 1").startswith(
        'a.toml:1: qota: no plugin owns this table\nhint: did you mean "quota"?'
    )
    assert "installed mechanisms: quota" in refused("[zzz]")
    assert "limits.qota: no plugin owns this table" in refused("[limits.qota]")


def test_several_problems_are_shown_at_once() -> None:
    with pytest.raises(Problems) as caught:
        composed("[quota]\nfiles = 1\nstrict = true", "[quota]\nfiles = 2\nstrict = false", by=[Quota()])
    assert [str(problem.origin) for problem in caught.value.problems] == ["b.toml:2", "b.toml:3"]


def test_a_limit_that_goes_wrong_for_several_members_is_one_problem_a_place() -> None:
    message = refused('[quota]\ncolours = ["red"]', '[quota]\ncolours = ["red", "blue"]', "[quota]\nfiles = 1")
    assert message.count("b.toml:2") == 1


@attrs.frozen
class After:
    """Settings of mechanisms that wait for others."""


def waiting(name: str, *after: str) -> Mechanism[Any]:
    kind = type(name, (Quota,), {"name": name, "after": after})
    mechanism: Mechanism[Any] = kind()
    return mechanism


def test_mechanisms_come_after_those_they_read() -> None:
    mechanisms = [waiting("a", "c"), waiting("b"), waiting("c", "b", "not installed")]
    assert [mechanism.name for mechanism in in_order(mechanisms)] == ["b", "c", "a"]


def test_mechanisms_that_wait_for_each_other_are_refused() -> None:
    with pytest.raises(HardeningError, match="mechanisms wait for each other: a -> b -> a"):
        in_order([waiting("a", "b"), waiting("b", "a")])


def test_a_mechanism_reads_what_it_waits_for() -> None:
    seen: list[object] = []

    class Reads(Quota):
        name = "reads"
        after = ("quota",)

        def statements(self, table: Any, reading: Reading) -> Any:
            seen.append(reading.of(QuotaSettings))
            return super().statements(table, reading)

    composed("[quota]\nfiles = 3\n[reads]\nfiles = 1", by=[Reads(), Quota()])
    assert [settings.files for settings in seen if isinstance(settings, QuotaSettings)] == [3]


def test_stated_values_and_limits_are_known_by_leaf() -> None:
    composition = composed('[limits.quota]\nfiles = 9\n[quota]\nfiles = 3\ncolours = ["red"]', by=[Quota()])
    assert composition.stated("quota") == {
        ("files", ""): 3, ("colours", "*"): False, ("colours", "red"): True,
    }  # fmt: skip
    assert composition.limits("quota") == {("files", ""): 9}
    with pytest.raises(TypeError):  # what one plugin writes there would bind the others
        composition.limits("quota")["files", ""] = 10  # type: ignore[index]
    assert composition.leaves[Leaf("quota", "files")].limit_origin == "a.toml:2"


def test_a_finding_is_located_at_what_decided_its_leaf() -> None:
    @attrs.frozen
    class Settings:
        files: int = scalar(Ceiling(0, 9), 0, "A strict default.")
        sizes: int = scalar(Ceiling(0, 9), 9, "A default that a limit may exclude.")
        links: int = scalar(Ceiling(0, 9), 9, "Another.")

    class Lax(Mechanism[Settings]):
        name = "lax"
        summary = "what is lax by default"

    composition = composed("[limits.lax]\nfiles = 3\nsizes = 3\n[lax]\nlinks = 5", by=[Lax()])
    about = (Finding("lax/x", Severity.NOTE, "why", leaf=f"lax.{name}") for name in ("files", "sizes", "links"))
    assert [composition.located(finding).origin for finding in about] == ["", "a.toml:3", "a.toml:5"]


# --- notes ------------------------------------------------------------------------------------------------------------


class NotingQuota(Quota):
    """One that has something to say about each table that it reads."""

    def statements(self, table: Node, reading: Reading) -> Iterator[Statement]:
        reading.noted.append(Finding("quota/seen", Severity.NOTE, "a table", origin=str(table.origin)))
        return super().statements(table, reading)


def test_what_is_noted_while_layers_are_read_stands_among_the_findings_once() -> None:
    composition = composed("[quota]\nfiles = 3", "[quota]\nfiles = 2", by=[NotingQuota()])
    places = [finding.origin for finding in composition.findings if finding.rule == "quota/seen"]
    assert len(places) == len(set(places)) == 2
    assert composed("", by=[NotingQuota()]).findings == ()


def test_the_work_grows_with_what_layers_say_and_not_with_their_number_squared() -> None:
    def calls(layers: int) -> int:
        found = stack(*(f"[quota.sizes]\nmember-{number} = {number}" for number in range(layers)))
        profile = cProfile.Profile()
        profile.runcall(compose, found, [Quota()], host.plain(), TODAY)
        return sum(entry.callcount for entry in profile.getstats())

    assert calls(160) < 2.1 * calls(80)


def test_a_requirement_that_decides_nothing_is_told() -> None:
    class Judging(Quota):
        may_fall_short = False

    text = '[quota]\nrequirement = "best-effort"'
    assert [item.rule for item in composed(text, by=[Quota()]).findings] == []
    (found,) = composed(text, by=[Judging()]).findings
    assert (found.rule, found.leaf, found.origin) == ("core/idle-requirement", "quota.requirement", "a.toml:2")
    assert composed('[quota]\nrequirement = "required"', by=[Judging()]).findings == ()
