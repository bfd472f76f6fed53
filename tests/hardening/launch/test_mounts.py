"""Patterns of masked paths."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.launch.mounts import matches


@given(st.text(alphabet="ab", max_size=8), st.text(alphabet="ab*", max_size=6).filter(lambda text: "*" in text))
def test_a_star_is_any_text(name: str, pattern: str) -> None:
    assert matches(name, pattern) == fnmatchcase(name, pattern)


@pytest.mark.parametrize(("name", "found"), [("cpu0", True), ("cpu12", True), ("cpu", True), ("acpu0", False)])
def test_processors(name: str, found: bool) -> None:
    assert matches(name, "cpu*") == found
