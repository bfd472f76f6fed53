"""Patterns of hidden, masked and read-only paths."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.base.patterns import MOST, expand, matches
from hardening.errors import ProfileError


@given(st.text(alphabet="ab", max_size=8), st.text(alphabet="ab*", max_size=6).filter(lambda text: "*" in text))
def test_a_star_is_any_text(name: str, pattern: str) -> None:
    assert matches(name, pattern) == fnmatchcase(name, pattern)


@pytest.mark.parametrize(("name", "found"), [("cpu0", True), ("cpu12", True), ("cpu", True), ("acpu0", False)])
def test_processors(name: str, found: bool) -> None:
    assert matches(name, "cpu*") == found


@pytest.mark.parametrize("name", [".env", "[k]", "a?c", "**", ""])
def test_nothing_but_a_star_stands_for_anything_else(name: str) -> None:
    assert matches(name, "*")
    assert matches(name, name)
    assert not matches("k", "[k]")
    assert not matches("abc", "a?c")


def test_what_a_star_stands_for_is_no_pattern() -> None:
    names = {"/": ["a", "b"], "/a": ["*", ".x", "y"], "/a/*": ["z"], "/top": ["one"]}
    assert expand("/a/*/z", names.__getitem__) == ["/a/*/z", "/a/.x/z", "/a/y/z"]
    assert expand("/*/x", names.__getitem__) == ["/a/x", "/b/x"]
    assert expand("/*", names.__getitem__, "/top") == ["/top/one"]
    assert expand("/a/[b]", names.__getitem__, "/t*p") == ["/t*p/a/[b]"]


def test_a_pattern_of_too_many_paths_is_refused_before_they_are_all_looked_for() -> None:
    listed = []

    def listing(place: str) -> list[str]:
        listed.append(place)
        return [str(number) for number in range(100)]

    assert len(expand("/*/*", listing)) == MOST
    with pytest.raises(ProfileError, match=r'^the pattern "/\*/\*/\*/\*" means more than 10,000 paths\n'):
        expand("/*/*/*/*", listing)
    assert len(listed) < 500
