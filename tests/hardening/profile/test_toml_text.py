"""TOML in one line."""

from __future__ import annotations

import tomllib
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.profile import toml_text as toml


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (7, "7"),
        (1.5, "1.5"),
        ('a "b" \\ é', '"a \\"b\\" \\\\ é"'),
        ("\x7f\n", '"\\u007f\\n"'),
        (date(2030, 1, 31), "2030-01-31"),
        (["a", 1], '["a", 1]'),
        ({"a b": [], "c": {"d": False}}, '{"a b" = [], c = {d = false}}'),
    ],
)
def test_values_on_one_line(value: Any, text: str) -> None:
    assert toml.inline(value) == text
    assert tomllib.loads(f"value = {text}") == {"value": value}


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_key_is_read_back(name: str) -> None:
    assert tomllib.loads(f"{toml.key(name)} = 1") == {name: 1}
    assert tomllib.loads(f"{toml.dotted(('a', name))} = 1") == {"a": {name: 1}}


def test_tables_are_flattened_down_to_their_values() -> None:
    assert list(toml.flat({"a": {"b": 1, "c": {}}, "d": [2]})) == [(("a", "b"), 1), (("a", "c"), {}), (("d",), [2])]
