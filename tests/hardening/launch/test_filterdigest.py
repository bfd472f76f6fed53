"""Both halves of a filter are under one digest."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.launch.filterdigest import canonical, digest

DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(DATA)
def test_the_canonical_text_is_json_with_sorted_keys_and_no_spaces(value: object) -> None:
    assert canonical(value) == json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def test_what_has_no_canonical_text() -> None:
    with pytest.raises(TypeError, match="float"):
        canonical({"a": [1.5]})


def test_either_half_changes_the_digest() -> None:
    stated = digest({"a": 1}, b"12345678")
    assert stated == digest({"a": 1}, b"12345678")
    assert len({stated, digest({"a": 2}, b"12345678"), digest({"a": 1}, b"12345679")}) == 3
