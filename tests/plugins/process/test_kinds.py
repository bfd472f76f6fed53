"""The orders of users, limits, masks, scores and ceilings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.errors import ProfileError
from hardening.mechanism.kinds import Kind
from hardening.profile.source import Document, Node, command_line
from hardening.testing.laws import check_kind
from hardening_process.kinds import (
    MAX_LIMIT,
    NO_CEILING,
    UNLIMITED,
    Bound,
    CpuBound,
    OomKind,
    ResourceLimit,
    RlimitKind,
    UmaskKind,
    User,
    UserKind,
)

LIMITS = st.none() | st.integers(0, MAX_LIMIT)
NAMES = st.sampled_from(["0", "1", "1000", "daemon"])


def node(raw: object, *, typed: bool = False) -> Node:
    """A value of a profile, or of the command line."""
    if typed:
        return Node(raw, ("value",), command_line({}, {}))
    return Node(raw, ("value",), Document("layer", Path("layer.toml"), {}, {("value",): "layer.toml:1"}))


@st.composite
def rlimits(draw: st.DrawFn) -> ResourceLimit:
    soft, hard = draw(LIMITS), draw(LIMITS)
    ordered = sorted((soft, hard), key=lambda value: (value is None, value or 0))
    return ResourceLimit(*ordered)


@st.composite
def users(draw: st.DrawFn) -> User:
    name = draw(st.just("") | NAMES)
    if not name:
        return User()
    return User(name, draw(NAMES if name == "0" else st.just("") | NAMES))


KINDS = st.one_of(
    st.tuples(st.just(RlimitKind()), st.lists(rlimits(), min_size=3, max_size=4)),
    st.tuples(st.just(UserKind()), st.lists(users(), min_size=3, max_size=5)),
    st.tuples(st.just(UmaskKind()), st.lists(st.integers(0, 0o777), min_size=3, max_size=4)),
    st.tuples(st.just(OomKind()), st.lists(st.integers(-1000, 1000), min_size=3, max_size=4)),
    st.tuples(st.just(CpuBound()), st.lists(st.integers(1000, 10**9), min_size=3, max_size=4)),
    st.tuples(st.just(Bound(1, size=True)), st.lists(st.integers(1, NO_CEILING), min_size=3, max_size=4)),
)


@pytest.mark.parametrize(
    "kind",
    [UserKind(), RlimitKind(), UmaskKind(), OomKind(), Bound(1), CpuBound()],
    ids=lambda kind: type(kind).__name__,
)
def test_kinds_are_lawful_for_their_samples(kind: Kind[Any]) -> None:
    assert check_kind(kind) == []


@given(KINDS)
def test_kinds_are_lawful_for_any_values(drawn: tuple[Kind[Any], list[Any]]) -> None:
    kind, values = drawn
    assert check_kind(kind, values) == []


@given(rlimits(), rlimits())
def test_a_limit_at_most_another_permits_no_use_that_the_other_does_not(a: ResourceLimit, b: ResourceLimit) -> None:
    """What an order is for: every soft and hard limit below `a` is below `b` too."""

    def within(value: int, limit: int | None) -> bool:
        return limit is None or value <= limit

    probes = [value for limit in (a, b) for side in (limit.soft, limit.hard) if side is not None
              for value in (side - 1, side, side + 1)] + [0, MAX_LIMIT]  # fmt: skip
    contained = all(within(value, b.hard) or not within(value, a.hard) for value in probes) and all(
        within(value, b.soft) or not within(value, a.soft) for value in probes
    )
    # Above the largest number there is only `unlimited`.
    contained &= not ((a.hard is None and b.hard is not None) or (a.soft is None and b.soft is not None))
    assert RlimitKind().is_no_looser_than(a, b) == contained


@given(st.integers(0, 0o777), st.integers(0, 0o777), st.integers(0, 0o777))
def test_a_stricter_mask_grants_no_permission_that_the_other_withholds(a: int, b: int, mode: int) -> None:
    if UmaskKind().is_no_looser_than(a, b):
        assert mode & ~a & ~(mode & ~b) == 0
    met = UmaskKind().intersect(a, b)
    assert mode & ~met == mode & ~a & ~b


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (1024, ResourceLimit(1024, 1024)),
        (0, ResourceLimit(0, 0)),
        ("unlimited", UNLIMITED),
        (-1, UNLIMITED),
        ("64M", ResourceLimit(64 << 20, 64 << 20)),
        ("1024:4096", ResourceLimit(1024, 4096)),
        ("1024:unlimited", ResourceLimit(1024, None)),
        ("1024:-1", ResourceLimit(1024, None)),
        ({"soft": 10, "hard": "1K"}, ResourceLimit(10, 1024)),
        ({"hard": 10}, ResourceLimit(10, 10)),
    ],
)
def test_limits_are_read(raw: object, expected: ResourceLimit) -> None:
    assert RlimitKind().parse(node(raw)) == expected


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("4096:1024", "above the hard limit"),
        ("unlimited:5", "above the hard limit"),
        ({"soft": 1}, "needs `hard`"),
        ({"hard": 1, "sof": 1}, "unknown key"),
        ("many", "invalid size"),
        (-2, "out of range"),
        (True, "true or false|a boolean"),
        (1.5, "a float"),
        ([], "an array"),
    ],
)
def test_wrong_limits_are_refused_with_their_place(raw: object, message: str) -> None:
    with pytest.raises(ProfileError, match=message) as caught:
        RlimitKind().parse(node(raw))
    assert str(caught.value.origin) == "layer.toml:1"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("", User()),
        ("1000", User("1000")),
        (1000, User("1000")),
        ("01000", User("1000")),
        ("1000:50", User("1000", "50")),
        ("root", User("0", "0")),
        ("0", User("0", "0")),
        (0, User("0", "0")),
        ("root:wheel", User("0", "wheel")),
        ("1000:root", User("1000", "0")),
        ("www-data:adm", User("www-data", "adm")),
    ],
)
def test_users_are_read(raw: object, expected: User) -> None:
    assert UserKind().parse(node(raw)) == expected


@pytest.mark.parametrize(
    "raw", [":5", "a:", "a b", "a:b:c", "-1", -1, "4294967295", 4294967295, "1000:4294967295", "1" * 5000, "-x", True]
)
def test_wrong_users_are_refused(raw: object) -> None:
    with pytest.raises(ProfileError):
        UserKind().parse(node(raw))


def test_a_named_user_is_within_the_natural_one_and_others_cannot_be_compared() -> None:
    kind = UserKind()
    root, natural, one, other = User("0", "0"), User(), User("1000"), User("1001")
    assert kind.is_no_looser_than(one, natural)
    for user in (natural, one, User("0", "5")):
        assert not kind.is_no_looser_than(user, root)
        assert not kind.is_no_looser_than(root, user)
    assert not kind.is_no_looser_than(natural, one)
    assert not kind.is_no_looser_than(one, other)
    assert kind.intersect(one, other) is None
    assert kind.intersect(natural, one) == one
    # Another ordinary group may own devices and sockets: it is no tightening.
    assert not kind.is_no_looser_than(User("1000", "6"), User("1000"))


@pytest.mark.parametrize(("raw", "mask"), [("022", 0o022), ("0077", 0o077), ("7", 0o007), ("000", 0)])
def test_masks_are_read_as_octal(raw: str, mask: int) -> None:
    assert UmaskKind().parse(node(raw)) == mask


@pytest.mark.parametrize("raw", [22, 0o22, "8", "0o22", "1777", "", "-22"])
def test_masks_that_could_be_misread_are_refused(raw: object) -> None:
    with pytest.raises(ProfileError):
        UmaskKind().parse(node(raw))


@pytest.mark.parametrize(
    ("raw", "quota"),
    [(1, 100_000), (1.5, 150_000), ("1.5", 150_000), ("50%", 50_000), ("150%", 150_000), ("12.5%", 12_500),
     (0.01, 1000), ("1%", 1000), ("unlimited", NO_CEILING)],
)  # fmt: skip
def test_processor_time_is_read(raw: object, quota: int) -> None:
    assert CpuBound().parse(node(raw)) == quota


@pytest.mark.parametrize("raw", [0, -1, "0%", "0.1%", 1e-9, "half", True, float("nan"), float("inf"), 1e30, "1.5.5"])
def test_wrong_processor_time_is_refused(raw: object) -> None:
    with pytest.raises(ProfileError):
        CpuBound().parse(node(raw))


def test_only_the_command_line_may_write_numbers_as_text() -> None:
    assert Bound(1).parse(node("50", typed=True)) == 50
    assert OomKind().parse(node("-5", typed=True)) == -5
    with pytest.raises(ProfileError):
        Bound(1).parse(node("50"))
    with pytest.raises(ProfileError):
        OomKind().parse(node("-5"))


def test_of_a_misspelt_word_the_nearest_is_told() -> None:
    for parse in (RlimitKind().parse, Bound(1, size=True).parse):
        with pytest.raises(ProfileError) as caught:
            parse(node("unlimted"))
        assert caught.value.hint == 'did you mean "unlimited"?'


def test_no_ceiling_is_looser_than_every_ceiling() -> None:
    kind = Bound(1)
    assert kind.is_no_looser_than(10**12, NO_CEILING)
    assert not kind.is_no_looser_than(NO_CEILING, 10**12)
    assert kind.show(NO_CEILING) == "unlimited"
    assert kind.parse(node("unlimited")) == kind.parse(node("max")) == NO_CEILING


@pytest.mark.parametrize(("mask", "first"), [(0o077, 0o037), (0o022, 0o002), (0o777, 0o737)])
def test_a_looser_umask_has_one_permission_more(mask: int, first: int) -> None:
    assert next(value for value in UmaskKind().candidates(mask) if value != mask) == first
    assert {(mask & ~value).bit_count() for value in UmaskKind().candidates(mask)} <= {0, 1}
