from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.base.text import nearest
from hardening.errors import ProfileError
from hardening.mechanism.kinds import Ceiling, Choice, Exact, Flag, Kind, Unordered
from hardening.profile.source import Node
from hardening.testing.laws import check_kind
from tests.support.texts import node

WORD = Exact(Node.string, "a word", None, ("a", "b", "c"))
KINDS: list[Kind[Any]] = [
    Flag(strict=True),
    Flag(strict=False),
    Choice(("none", "some", "all")),
    Ceiling(),
    Ceiling(1, 9),
    Ceiling(-5, 5),
    Ceiling(size=True),
    Unordered(Node.string, "text", ("a", "b")),
    WORD,
    Exact(Node.string, "a word", "none", ("none", "a", "b")),
]


def named(kind: Kind[Any]) -> str:
    """The same in every process: without addresses."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(kind))


@pytest.mark.parametrize("kind", KINDS, ids=named)
def test_is_lawful(kind: Kind[Any]) -> None:
    assert check_kind(kind) == []


@given(st.lists(st.integers(0, 2**63 - 1), min_size=2, max_size=5))
def test_ceiling_is_lawful_for_any_numbers(samples: list[int]) -> None:
    assert check_kind(Ceiling(size=True), samples) == []


@pytest.mark.parametrize(("strict", "looser"), [(True, False), (False, True)])
def test_flag_is_stricter_where_it_says(strict: bool, looser: bool) -> None:
    kind = Flag(strict=strict)
    assert kind.is_no_looser_than(strict, looser)
    assert not kind.is_no_looser_than(looser, strict)
    assert kind.intersect(strict, looser) is kind.intersect(looser, strict) is strict
    assert kind.intersect(looser, looser) is looser
    assert (kind.show(True), kind.show(False)) == ("true", "false")


def test_choice_goes_from_strict_to_loose() -> None:
    kind = Choice(("required", "best-effort"))
    assert kind.is_no_looser_than("required", "best-effort")
    assert not kind.is_no_looser_than("best-effort", "required")
    assert kind.intersect("best-effort", "required") == "required"
    with pytest.raises(ProfileError, match='"requird" is none of required, best-effort\nhint: did you mean "required"'):
        kind.parse(node("requird"))


def test_a_smaller_number_is_stricter() -> None:
    assert Ceiling().is_no_looser_than(1, 2)
    assert not Ceiling().is_no_looser_than(2, 1)
    assert Ceiling().intersect(2, 1) == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("64M", 64 << 20),
        ("64MiB", 64 << 20),
        ("64 mb", 64 << 20),
        ("1k", 1024),
        ("3", 3),
        ("2G", 2 << 30),
        ("1T", 1 << 40),
    ],
)
def test_sizes_are_binary_multiples(text: str, value: int) -> None:
    assert Ceiling(size=True).parse(node(text)) == value


@pytest.mark.parametrize("text", ["", "M", "-1", "1.5G", "64X", "64MM", "1e3", "٣M", "9" * 19, "99999999T"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ProfileError, match=r"^profile\.toml:1: value: "):
        Ceiling(size=True).parse(node(text))


def test_a_number_takes_no_size_and_keeps_its_range() -> None:
    with pytest.raises(ProfileError, match="a string where an integer"):
        Ceiling().parse(node("64M"))
    with pytest.raises(ProfileError, match="0 is out of range, it must be from 1 to 9"):
        Ceiling(1, 9).parse(node(0))
    with pytest.raises(ProfileError, match="out of range"):
        Ceiling(0, 1024, size=True).parse(node("2K"))


def test_a_neutral_value_never_loosens() -> None:
    kind = Unordered(Node.string, "text", ("a", "b"))
    assert kind.unordered
    assert kind.is_no_looser_than("a", "b")
    assert kind.is_no_looser_than("b", "a")


def test_an_exact_value_is_equal_or_incomparable() -> None:
    assert WORD.is_no_looser_than("a", "a")
    assert not WORD.is_no_looser_than("a", "b")
    assert not WORD.is_no_looser_than("b", "a")
    assert WORD.intersect("a", "b") is None
    assert WORD.intersect("a", "a") == "a"


def test_the_strictest_exact_value_is_below_all() -> None:
    kind = Exact(Node.string, "a word", "none", ("none", "a", "b"))
    assert kind.is_no_looser_than("none", "a")
    assert not kind.is_no_looser_than("a", "none")
    assert kind.intersect("a", "b") == "none"


def test_the_nearest_word_is_offered() -> None:
    assert nearest("NET_RWA", ["NET_RAW", "CHOWN"]) == 'did you mean "NET_RAW"?'
    assert nearest("zzz", ["NET_RAW", "CHOWN"]) is None


@pytest.mark.parametrize("kind", KINDS, ids=named)
def test_every_grammar_is_written_down(kind: Kind[Any]) -> None:
    assert kind.grammar()
