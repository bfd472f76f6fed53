"""JSON with lines: the same values as `json` reads, and a line for whatever is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.errors import ProfileError
from hardening_trust.jsontree import document

KEYS = st.text(st.characters(codec="utf-8"), max_size=6)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | KEYS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, VALUES, max_size=5), st.sampled_from([None, 1]), st.booleans())
def test_it_reads_what_json_reads(value: dict[str, Any], indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert document(text.encode(), Path("x.json")).tables == json.loads(text)


@given(st.text(alphabet='{}[]",:\\u0123eE.-+ntrf \n/', max_size=30))
def test_it_takes_nothing_that_json_refuses(text: str) -> None:
    try:
        found = document(f'{{"a": {text}}}'.encode(), Path("x.json")).tables
    except ProfileError:
        return
    assert found == json.loads(f'{{"a": {text}}}')


def test_every_key_and_element_has_its_line() -> None:
    found = document(b'{\n"a": [1,\n2],\n\n"b": {"c":\n3}}', Path("x.json"))
    lines = {path: place.rpartition(":")[2] for path, place in found.places.items()}
    assert lines == {("a",): "2", ("a", 0): "2", ("a", 1): "3", ("b",): "5", ("b", "c"): "5"}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (b'{"a": 1,\n"b": 2,\n"a": 3}', 3, 'Duplicate key "a"'),
        (b'{"a": 1\n"b": 2}', 2, "a comma or } is expected here"),
        (b'{"a": 1}\n\n}', 3, "more text after the value"),
        (b'{"a": nan}', 1, "a value is expected here"),
        (b'{"a": NaN}', 1, "a value is expected here"),
        (b'{"a": 01}', 1, "a comma or } is expected here"),
        (b'{"a":\n"\\x"}', 2, "a string is malformed"),
        (b'{"a":\n"b\nc"}', 2, "a string is malformed"),
        (b'{"a": "\\ud800"}', 1, "half of a surrogate pair"),
        (b'{"a": "\xff"}', 1, "byte 0xff is not UTF-8"),
        (b"{a: 1}", 1, "a key in quotes is expected here"),
        (b'{"a" 1}', 1, "a colon is expected after a key"),
        (b'{"a": [1,]}', 1, "a value is expected here"),
        (b'{"a": 1,}', 1, "a key in quotes is expected here"),
        (b'{"a": ' + b"[" * 50 + b"]" * 50 + b"}", 1, "nested deeper than 16 levels"),
        (b'{"a": ' + b"9" * 5000 + b"}", 1, "a number of absurd length"),
        (b"", 1, "a value is expected here"),
        (b"3", 1, "JSON object expected"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: bytes, line: int, message: str) -> None:
    with pytest.raises(ProfileError) as caught:
        document(text, Path("x.json"))
    assert str(caught.value.origin) == f"x.json:{line}"
    assert message in caught.value.message
    assert caught.value.hint
