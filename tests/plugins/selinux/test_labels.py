"""Contexts and levels: what is read, what is refused, and the form that the kernel prints."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening_selinux.labels import CATEGORIES, Label, Level, Point

CATEGORY = st.integers(0, CATEGORIES - 1)
POINTS = st.builds(
    Point, st.integers(0, 15), st.lists(CATEGORY, unique=True, max_size=12).map(lambda found: tuple(sorted(found)))
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s0", "s0"),
        ("s0:c1", "s0:c1"),
        ("s0:c5,c2", "s0:c2,c5"),
        ("s0:c1,c2", "s0:c1,c2"),
        ("s0:c1,c2,c3", "s0:c1.c3"),
        ("s0:c1.c2", "s0:c1,c2"),
        ("s0:c0.c1023", "s0:c0.c1023"),
        ("s0:c1,c1", "s0:c1"),
        ("s0:c0.c2,c7,c9.c11", "s0:c0.c2,c7,c9.c11"),
        ("s0-s0", "s0"),
        ("s0-s0:c0.c1023", "s0-s0:c0.c1023"),
        ("s1:c3-s15:c3,c4", "s1:c3-s15:c3,c4"),
    ],
)
def test_levels_are_shown_as_the_kernel_prints_them(text: str, shown: str) -> None:
    assert str(Level.parse(text)) == shown


@pytest.mark.parametrize(
    "text",
    ["", "c1", "s", "s01", "s-1", "s0:", "s0:c", "s0:c1024", "s0:c01", "s0:c5.c2", "s0:c1,", "s0:c1..c3", "s0:c1.c2.c3",
     "s0-", "s0:c1-s0:c2", "s1-s0", "s0:c1 ", "s0:C1", "s0:c1;c2", "S0"],
)  # fmt: skip
def test_what_is_no_level(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Level.parse(text)


@given(POINTS)
def test_a_point_reads_back(point: Point) -> None:
    assert Level.parse(str(point)) == Level(point, point)


@given(POINTS, POINTS)
def test_a_range_reads_back(a: Point, b: Point) -> None:
    if b.dominates(a):
        assert Level.parse(f"{a}-{b}") == Level(a, b)
        assert Level.parse(str(Level(a, b))) == Level(a, b)
    else:
        with pytest.raises(ValueError, match="does not dominate"):
            Level.parse(f"{a}-{b}")


@given(st.lists(CATEGORY, min_size=2, max_size=2, unique=True))
def test_a_pair_is_ascending_and_recognised(numbers: list[int]) -> None:
    level = Level.of_pair((numbers[0], numbers[1]))
    assert level.pair == tuple(sorted(numbers))
    assert str(level) == f"s0:c{min(numbers)},c{max(numbers)}"


@pytest.mark.parametrize("text", ["s0", "s0:c1", "s0:c1.c3", "s0-s0:c1,c2"])
def test_what_is_no_pair(text: str) -> None:
    assert Level.parse(text).pair is None


def test_a_context_is_split_at_most_in_four() -> None:
    label = Label.parse("system_u:system_r:container_t:s0:c1,c2")
    assert label == Label("system_u", "system_r", "container_t", Level.parse("s0:c1,c2"))
    assert str(label) == "system_u:system_r:container_t:s0:c1,c2"
    assert str(Label.parse("u:r:my.process_t")) == "u:r:my.process_t"
    assert Label.parse("u:r:t:s0-s0:c0.c1023\0").level == Level.parse("s0-s0:c0.c1023")


@pytest.mark.parametrize("text", ["", "unconfined", "u:r", "u::t", "u:r:t:", "u:r:t:x", "u:r:t t:s0", "u:r:t\n:s0"])
def test_what_is_no_context(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Label.parse(text)
