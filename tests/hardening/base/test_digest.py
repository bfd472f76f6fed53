"""SHA-256, the canonical text, and both halves of a filter under one digest."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.base.digest import canonical, of_filter, sha256

DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(DATA)
def test_the_canonical_text_is_json_with_sorted_keys_and_no_spaces(value: object) -> None:
    assert canonical(value) == json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def test_what_has_no_canonical_text() -> None:
    with pytest.raises(TypeError, match="bytes"):
        canonical({"a": [b""]})


def test_either_half_changes_the_digest() -> None:
    stated = of_filter({"a": 1}, b"12345678")
    assert stated == of_filter({"a": 1}, b"12345678")
    assert len({stated, of_filter({"a": 2}, b"12345678"), of_filter({"a": 1}, b"12345679")}) == 3


@given(st.binary(max_size=200))
def test_the_interpreter_s_own_sha256_is_that_of_hashlib(data: bytes) -> None:
    assert sha256(data) == hashlib.sha256(data).hexdigest()
