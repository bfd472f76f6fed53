"""Frozen values: equal by their fields, hashed and shown by them, and unchangeable."""

from __future__ import annotations

import attrs
import pytest

from hardening.base.values import frozen


@frozen
class Point:
    """A value with a field of each kind."""

    x: int
    y: int = 0
    note: str = attrs.field(default="", eq=False)
    secret: str = attrs.field(default="", repr=False)
    seen: tuple[int, ...] | list[int] = attrs.field(default=(), hash=False)


@frozen
class Other:
    """One field, of the same value."""

    x: int


@frozen
class Nothing:
    """No field."""


@frozen(eq=False)
class Each:
    """No two are equal."""

    x: int


@frozen(order=True)
class Version:
    """Values with an order."""

    major: int
    minor: int = 0


@frozen
class Own:
    """Methods of its own."""

    text: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Own) and self.text.lower() == other.text.lower()

    def __hash__(self) -> int:
        return hash(self.text.lower())


def test_values_are_equal_where_their_fields_are() -> None:
    assert Point(1, 2) == Point(1, 2)
    assert Point(1, 2) != Point(2, 1)
    assert Point(1, note="one") == Point(1, note="two")
    assert Point(1, secret="one") != Point(1, secret="two")
    assert Other(1) == Other(1) != Other(2)
    assert Nothing() == Nothing()


def test_values_of_different_classes_are_never_equal() -> None:
    one: object = Other(1)
    assert one not in (Point(1), Each(1), 1)


def test_equal_values_have_one_hash() -> None:
    assert len({Point(1), Point(1, note="other"), Point(2)}) == 2
    assert hash(Point(1, seen=[1])) == hash(Point(1, seen=[2]))
    assert hash(Nothing()) == hash(Nothing())


def test_without_eq_each_is_itself() -> None:
    one, other = Each(1), Each(1)
    assert one != other
    assert len({one, other, one}) == 2


def test_an_order_is_that_of_the_fields() -> None:
    assert sorted([Version(2), Version(1, 2), Version(1, 1)]) == [Version(1, 1), Version(1, 2), Version(2)]
    assert len({Version(1), Version(1, 0)}) == 1
    assert Version(1) < Version(1, 1) <= Version(1, 1) < Version(2) > Version(1) >= Version(1, 0)
    assert not Version(1) < Version(1)
    with pytest.raises(TypeError):
        sorted([Version(1), Other(1)])  # type: ignore[type-var]


def test_a_value_is_shown_by_its_fields() -> None:
    assert repr(Point(1, secret="hidden")) == "Point(x=1, y=0, note='', seen=())"
    assert repr(Version(1)) == "Version(major=1, minor=0)"


def test_a_value_does_not_change() -> None:
    value = Point(1)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        value.x = 2  # type: ignore[misc]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        value.other = 2  # type: ignore[attr-defined]
    assert attrs.evolve(value, x=3) == Point(3)


def test_methods_of_its_own_stay() -> None:
    assert Own("A") == Own("a")
    assert len({Own("A"), Own("a")}) == 1
