"""The rules of the fold, one by one, on single leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from hardening.compose.fold import Fold, LeafEntry, Outcome, Resolved
from hardening.errors import ProfileError
from hardening.mechanism.kinds import Ceiling, Exact, Kind
from hardening.mechanism.schema import Leaf, Statement
from hardening.profile.exemption import Exemption
from hardening.profile.layers import Layer
from hardening.profile.source import Node, Origin
from tests.support.texts import layer

LEAF = Leaf("m", "size")
PATH = Exact(Node.string, "a path", None, ("/a", "/b"))
Build = Callable[[Layer], LeafEntry]


def entry(statement: Any = None, *, limit: Any = None, is_upper_bound: bool = False, excepted: bool = False) -> Build:
    def build(owner: Layer) -> LeafEntry:
        origin = Origin(owner.name, f"{owner.name}.toml:1")
        ceiling = Origin(owner.name, f"{owner.name}.toml:9")
        return LeafEntry(
            owner,
            None if limit is None else Statement("size", "", limit, ceiling),
            None if statement is None else Statement("size", "", statement, origin, is_upper_bound),
            Exemption("m.size", "why", "", None, origin) if excepted else None,
        )

    return build


def fold(*entries: Build, kind: Kind[Any] | None = None, default: Any = 0) -> Resolved:
    layers = [layer("", chr(ord("a") + number)) for number in range(len(entries))]
    built = [build(owner) for build, owner in zip(entries, layers, strict=True)]
    return Fold(LEAF, kind or Ceiling()).run(built, default, "default (hardening_quota)")


def refused(*entries: Build, kind: Kind[Any] | None = None) -> str:
    with pytest.raises(ProfileError) as caught:
        fold(*entries, kind=kind)
    return str(caught.value)


def outcomes(resolved: Resolved) -> list[Outcome]:
    return [step.outcome for step in resolved.steps]


def test_what_nobody_states_has_its_default_and_says_whose() -> None:
    resolved = fold(entry(), entry())
    assert (resolved.value, resolved.origin, resolved.stated, resolved.steps) == (
        0,
        "default (hardening_quota)",
        False,
        (),
    )


def test_the_first_statement_is_free() -> None:
    resolved = fold(entry(5))
    assert (resolved.value, resolved.origin, outcomes(resolved)) == (5, "a.toml:1", [Outcome.STATED])


def test_tightening_is_free_and_decides() -> None:
    resolved = fold(entry(5), entry(), entry(3))
    assert (resolved.value, resolved.origin, outcomes(resolved)) == (3, "c.toml:1", [Outcome.STATED, Outcome.TIGHTENED])


def test_saying_the_same_again_decides_too() -> None:
    resolved = fold(entry(5), entry(5))
    assert (resolved.value, resolved.origin, outcomes(resolved)) == (5, "b.toml:1", [Outcome.STATED, Outcome.SAME])


def test_loosening_is_refused_with_both_places_and_the_exception_to_write() -> None:
    assert refused(entry(3), entry(5)) == (
        "b.toml:1: m.size: 5 is looser than 3, set at a.toml:1\n"
        'hint: keep the stricter value, or add at the end of the same layer:\n[[exceptions]]\nsetting = "m.size"\nreason = "…"'  # noqa: E501
    )


def test_the_measure_is_the_value_so_far_not_the_first() -> None:
    assert "5 is looser than 3, set at b.toml:1" in refused(entry(9), entry(3), entry(5))


def test_what_cannot_be_compared_is_refused() -> None:
    assert "/b cannot be compared with /a, set at a.toml:1" in refused(entry("/a"), entry("/b"), kind=PATH)


def test_an_exception_of_the_same_layer_permits_a_loosening() -> None:
    resolved = fold(entry(3), entry(5, excepted=True))
    assert (resolved.value, resolved.origin, outcomes(resolved)) == (5, "b.toml:1", [Outcome.STATED, Outcome.EXCEPTED])
    assert resolved.steps[-1].exception is not None


def test_an_exception_of_another_layer_permits_nothing() -> None:
    assert "is looser than" in refused(entry(3, excepted=True), entry(5))
    assert "is looser than" in refused(entry(3), entry(excepted=True), entry(5))


def test_an_exception_that_is_not_needed_is_not_used() -> None:
    resolved = fold(entry(3), entry(2, excepted=True))
    assert [step.exception for step in resolved.steps] == [None, None]


def test_the_exception_of_a_value_is_that_of_the_loosening_that_it_still_is() -> None:
    def permitting(*builds: Build) -> str | None:
        found = fold(*builds).exception
        return str(found.origin) if found is not None else None

    raised, again = entry(5, excepted=True), entry(7, excepted=True)
    assert permitting(entry(3), raised) == "b.toml:1"
    for later in (entry(4), entry(limit=4)):
        assert permitting(entry(3), raised, later) == "b.toml:1"
    for later in (entry(3), entry(limit=2)):
        assert permitting(entry(3), raised, later) is None
    assert permitting(entry(3), raised, again, entry(6)) == "c.toml:1"
    assert permitting(entry(3), raised, again, entry(4)) == "b.toml:1"


# --- limits -----------------------------------------------------------------------------------------------------------


def test_a_later_say_beyond_a_limit_is_refused_with_both_places() -> None:
    assert refused(entry(limit=4), entry(5)) == (
        "b.toml:1: m.size: 5 exceeds the limit 4 set at a.toml:9\n"
        "hint: no exception lifts a limit: stay within it, or have it changed where it is set"
    )


def test_no_exception_lifts_a_limit() -> None:
    assert "exceeds the limit 4" in refused(entry(3, limit=4), entry(5, excepted=True))


def test_a_limit_binds_its_own_layer() -> None:
    assert "exceeds the limit 4 set at a.toml:9" in refused(entry(5, limit=4))


def test_a_later_limit_cuts_what_was_said_before() -> None:
    resolved = fold(entry(5), entry(limit=3))
    assert (resolved.value, resolved.origin) == (3, "b.toml:9")
    assert outcomes(resolved) == [Outcome.STATED, Outcome.LIMIT, Outcome.CUT]


def test_a_later_limit_leaves_alone_what_is_within_it() -> None:
    resolved = fold(entry(2), entry(limit=3))
    assert (resolved.value, resolved.origin, outcomes(resolved)) == (2, "a.toml:1", [Outcome.STATED, Outcome.LIMIT])


def test_limits_intersect() -> None:
    for limits in ((3, 5), (5, 3)):
        resolved = fold(*(entry(limit=limit) for limit in limits))
        assert (resolved.limit, resolved.limit_shown) == (3, "3")
    assert fold(entry(limit=3), entry(limit=5)).limit_origin == "a.toml:9"
    assert fold(entry(limit=5), entry(limit=3)).limit_origin == "b.toml:9"


def test_a_limit_is_no_statement() -> None:
    resolved = fold(entry(limit=3), entry(2))
    assert (resolved.value, outcomes(resolved)) == (2, [Outcome.LIMIT, Outcome.STATED])
    assert fold(entry(limit=3)).value == 0


def test_a_limit_cuts_a_default_and_is_the_line_that_decides() -> None:
    cut, within = fold(entry(limit=3), default=7), fold(entry(limit=7), default=7)
    assert (cut.value, cut.origin, cut.stated) == (3, "a.toml:9", False)
    assert (within.value, within.origin) == (7, "default (hardening_quota)")


def test_a_limit_that_excludes_the_default_leaves_its_own_value() -> None:
    resolved = fold(entry(), entry(limit="/b"), kind=PATH, default="/a")
    assert (resolved.value, resolved.origin, resolved.stated) == ("/b", "b.toml:9", False)


def test_a_limit_and_a_value_that_have_nothing_in_common() -> None:
    message = refused(entry("/a"), entry(limit="/b"), kind=PATH)
    assert message == "a.toml:1: m.size: /a and the limit /b set at b.toml:9 have no value in common"


def test_limits_that_have_nothing_in_common() -> None:
    message = refused(entry(limit="/a"), entry(limit="/b"), kind=PATH)
    assert "/b and the limit /a set at a.toml:9 have no value in common" in message


# --- upper bounds -----------------------------------------------------------------------------------------------------


def test_an_upper_bound_never_loosens_and_needs_no_exception() -> None:
    resolved = fold(entry(3), entry(5, is_upper_bound=True))
    assert (resolved.value, resolved.origin, outcomes(resolved)) == (
        3, "a.toml:1", [Outcome.STATED, Outcome.INTERSECTED],
    )  # fmt: skip
    assert fold(entry(5), entry(3, is_upper_bound=True)).origin == "b.toml:1"


def test_a_first_upper_bound_is_a_statement() -> None:
    resolved = fold(entry(5, is_upper_bound=True), entry(4))
    assert (resolved.value, outcomes(resolved)) == (4, [Outcome.STATED, Outcome.TIGHTENED])


def test_an_upper_bound_is_cut_by_a_limit() -> None:
    assert fold(entry(limit=4), entry(9, is_upper_bound=True)).value == 4
    assert fold(entry(limit=4), entry(2), entry(9, is_upper_bound=True)).value == 2


def test_with_an_exception_an_upper_bound_is_meant_as_said() -> None:
    assert fold(entry(3), entry(5, is_upper_bound=True, excepted=True)).value == 5
    assert "exceeds the limit" in refused(entry(3, limit=4), entry(5, is_upper_bound=True, excepted=True))


def test_upper_bounds_without_a_meet_are_refused() -> None:
    assert "cannot be compared with /a" in refused(entry("/a"), entry("/b", is_upper_bound=True), kind=PATH)


def test_every_say_is_kept_in_order_with_the_value_after_it() -> None:
    resolved = fold(entry(9), entry(5, limit=6), entry(8, is_upper_bound=True), entry(6, excepted=True), entry(1))
    assert [(step.layer, step.said, step.value) for step in resolved.steps] == [
        ("a", "9", "9"),
        ("b", "6", "9"),
        ("b", "6", "6"),
        ("b", "5", "5"),
        ("c", "8", "5"),
        ("d", "6", "6"),
        ("e", "1", "1"),
    ]


# --- complete profiles ------------------------------------------------------------------------------------------------


def complete(build: Build) -> Build:
    def built(owner: Layer) -> LeafEntry:
        return build(attrs.evolve(owner, complete=Origin(owner.name, f"{owner.name}.toml:9")))

    return built


def test_a_complete_layer_states_the_strict_default_of_what_is_unstated() -> None:
    resolved = fold(complete(entry()))
    assert (resolved.value, resolved.origin, resolved.stated) == (0, "a.toml:9", True)
    assert outcomes(resolved) == [Outcome.COMPLETED]
    assert "5 is looser than 0, set at a.toml:9 (strict default of a complete profile)\n" in refused(
        complete(entry()), entry(5)
    )
    assert "set at b.toml:1\n" in refused(complete(entry()), entry(0), entry(5))


def test_a_complete_layer_leaves_what_is_stated() -> None:
    assert fold(entry(5), complete(entry())).value == 5
    assert fold(complete(entry(5))).value == 5


def test_a_complete_layer_states_a_default_that_is_not_the_strictest_as_well() -> None:
    with pytest.raises(ProfileError, match="5 is looser than 2"):
        fold(complete(entry()), entry(5), default=2)
    assert fold(complete(entry()), entry(1), default=2).value == 1
    with pytest.raises(ProfileError, match="/b cannot be compared with /a"):
        fold(complete(entry()), entry("/b"), kind=PATH, default="/a")


def test_a_complete_layer_leaves_open_what_says_only_what_runs() -> None:
    class Which(Exact[str]):
        identity = True

    resolved = fold(complete(entry()), entry("/b"), kind=Which(Node.string, "a path"), default="/a")
    assert (resolved.value, outcomes(resolved)) == ("/b", [Outcome.STATED])
    assert fold(complete(entry()), kind=Which(Node.string, "a path"), default="/a").stated is False


@pytest.mark.parametrize("first", [True, False])
def test_a_limit_that_excludes_the_default_of_a_complete_layer_leaves_its_own_value(first: bool) -> None:
    both = [entry(limit="/b"), complete(entry())]
    resolved = fold(*(both if first else reversed(both)), kind=PATH, default="/a")
    assert (resolved.value, resolved.stated) == ("/b", True)
    assert (resolved.origin, outcomes(resolved)[-1]) == (f"{'a' if first else 'b'}.toml:9", Outcome.CUT)


# --- shipped profiles -------------------------------------------------------------------------------------------------


def shipped(build: Build) -> Build:
    return lambda owner: build(attrs.evolve(owner, shipped=True))


def test_what_a_shipped_profile_says_beyond_an_earlier_limit_is_cut_down() -> None:
    resolved = fold(entry(limit=4), shipped(entry(9)))
    assert (resolved.value, resolved.origin) == (4, "a.toml:9")
    assert outcomes(resolved) == [Outcome.LIMIT, Outcome.STATED, Outcome.CUT]
    assert fold(shipped(entry(9)), entry(limit=4)).value == 4
    with pytest.raises(ProfileError, match="9 exceeds the limit 4"):
        fold(entry(limit=4), entry(9))


def test_what_is_cut_is_compared_as_it_is_then() -> None:
    resolved = fold(entry(limit=4), shipped(entry(9)), shipped(entry(6)))
    assert (resolved.value, outcomes(resolved)[-2:]) == (4, [Outcome.SAME, Outcome.CUT])
    with pytest.raises(ProfileError, match="9 is looser than 2"):
        fold(entry(limit=4), entry(2), shipped(entry(9)))


def test_a_shipped_profile_without_a_value_in_common_with_a_limit_is_refused() -> None:
    with pytest.raises(ProfileError, match="have no value in common"):
        fold(entry(limit="/a"), shipped(entry("/b")), kind=PATH, default="/a")
