"""Sizes, spans and points of time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.base import units

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("64", 64),
        ("64b", 64),
        ("16k", 16384),
        ("64M", 64 << 20),
        ("64MiB", 64 << 20),
        (" 3 gb ", 3 << 30),
        ("1T", 1 << 40),
    ],
)
def test_a_size(text: str, value: int) -> None:
    assert units.size(text) == value


@pytest.mark.parametrize("text", ["", "k", "-1", "1.5M", "1 M B", "1P", "1 6", "99999999999999999999", "٣"])
def test_no_size(text: str) -> None:
    for read in (units.size, units.kernel_size):
        with pytest.raises(ValueError, match="invalid size"):
            read(text)


def test_the_kernel_takes_one_letter() -> None:
    assert [units.kernel_size(text) for text in ("512", "8k", "8K", "2t")] == [512, 8192, 8192, 2 << 40]
    for text in ("8kb", "8 k", "8b", "max"):
        with pytest.raises(ValueError, match="invalid size"):
            units.kernel_size(text)


@given(st.integers(0, 2**63 - 1))
def test_a_shown_size_reads_back(value: int) -> None:
    assert units.size(units.show_size(value)) == value


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (1023, "1023"), (1024, "1K"), (1536, "1536"), (3 << 30, "3G")])
def test_a_size_is_shown_in_its_largest_unit(value: int, text: str) -> None:
    assert units.show_size(value) == text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 seconds"), (1, "1 second"), (59, "59 seconds"), (60, "1 minute"), (7300, "2 hours"), (90000, "1 day")],
)
def test_a_span_is_shown_in_its_largest_unit(seconds: float, words: str) -> None:
    assert units.show_span(seconds) == words


@pytest.mark.parametrize(
    ("word", "time"),
    [
        ("90s", "2026-01-31T11:58:30+00:00"),
        ("1h30m", "2026-01-31T10:30:00+00:00"),
        ("1d", "2026-01-30T12:00:00+00:00"),
        ("1w", "2026-01-24T12:00:00+00:00"),
        ("2026-01-31T13:00:00+02:00", "2026-01-31T11:00:00+00:00"),
        ("2026-01-31T11:00:00.5Z", "2026-01-31T11:00:00.500000+00:00"),
    ],
)
def test_a_moment(word: str, time: str) -> None:
    assert units.moment(word, NOON).astimezone(UTC).isoformat() == time


@pytest.mark.parametrize(
    ("word", "local"),
    [
        ("today", (31, 0, 0)),
        ("yesterday", (30, 0, 0)),
        ("08:30", (31, 8, 30)),
        ("08:30:00", (31, 8, 30)),
        ("2026-01-29", (29, 0, 0)),
        ("2026-01-29T08:30", (29, 8, 30)),
    ],
)
def test_a_moment_without_a_zone_is_the_callers(word: str, local: tuple[int, int, int]) -> None:
    found = units.moment(word, NOON)
    assert found.tzinfo is not None
    assert (found.day, found.hour, found.minute) == local


@pytest.mark.parametrize("word", ["", "soon", "10", "10x", "-3m", "24:30", "999999999d", "99999999999999d"])
def test_no_moment(word: str) -> None:
    with pytest.raises(ValueError, match="invalid time"):
        units.moment(word, NOON)


@pytest.mark.parametrize(
    ("digits", "text"),
    [(0, "2026-03-01T08:30:00Z"), (3, "2026-03-01T08:30:00.012Z"), (9, "2026-03-01T08:30:00.012345678Z")],
)
def test_a_timestamp(digits: int, text: str) -> None:
    assert units.timestamp(1772353800_012345678, digits) == text
