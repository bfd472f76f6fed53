"""Frozen records."""

from __future__ import annotations

import pytest

from hardening.base.frozen import Frozen


class Point(Frozen):
    """A record with a default."""

    x: int
    y: int = 2


def test_fields_come_from_keywords_and_defaults() -> None:
    point = Point(x=1)
    assert (point.x, point.y) == (1, 2)
    assert point == Point(x=1, y=2)
    assert hash(point) == hash(Point(x=1, y=2))
    assert repr(point) == "Point(x=1, y=2)"


def test_missing_and_unknown_fields_are_errors() -> None:
    with pytest.raises(TypeError, match="missing fields"):
        Point(y=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unknown fields"):
        Point(x=1, z=3)  # type: ignore[call-arg]


def test_a_record_cannot_change() -> None:
    point = Point(x=1)
    with pytest.raises(AttributeError, match="frozen"):
        point.x = 3  # type: ignore[misc]
    with pytest.raises(AttributeError, match="frozen"):
        del point.x
