"""Strict JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.base import jsontext
from hardening.errors import LaunchError
from tests.support.users import REPOSITORY

values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_reads_what_json_reads(value: Any) -> None:
    assert jsontext.parse(json.dumps(value).encode(), "f") == json.loads(json.dumps(value))


@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:0123456789truefalsn \\/u', max_size=80).map(str.encode))
def test_any_text_is_a_value_or_one_error(text: bytes) -> None:
    try:
        value = jsontext.parse(text, "f")
    except LaunchError as error:
        refused = error
    else:
        assert value == json.loads(text)
        return
    assert str(refused).startswith("f")
    assert refused.exit_code == 125


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b'{"a": {"b/c": 1, "b/c": 2}}', "f:/a/b~1c: the key 'b/c' is given twice"),
        (b'[{"x": 1}, {"y": 1, "y": 1}]', "f:/1/y: the key 'y' is given twice"),
        (b'{"%s": 1, "%s": 2}' % (b"k" * 5000, b"k" * 5000), f"f:/{'k' * 199}…: the key '{'k' * 200}…' is given twice"),
        (b"[" * 1500 + b'{"a": 1, "a": 2}' + b"]" * 1500, "nested too deep"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "nested too deep"),
        (b"[NaN]", "NaN is not JSON"),
        (b"[-1e999]", "not JSON: -1e999 is out of range"),
        (b"[1" + b"0" * 5000 + b".0]", "is out of range"),
        (b"[" * 100_000, "nested too deep"),
        (b"{}\n {}", "more text after the value: line 2 column 2 (char 4)"),
        (b"", "a value is missing: line 1 column 1 (char 0)"),
        (b"\xff", "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"9" * 5000, "not JSON"),
        (b" " * (jsontext.MAX_BYTES + 1), "larger than"),
    ],
)
def test_refusals(text: bytes, words: str) -> None:
    with pytest.raises(LaunchError) as caught:
        jsontext.parse(text, "f")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        -7,
        1e300,
        1e-999,
        "",
        '\x00\x1b\n"\\',
        "ü\ud800",
        [],
        [1, [None]],
        {"a": {"b": [True]}, "ü": "x"},
    ],
)
def test_what_is_dumped_is_one_line_of_ascii_json(value: object) -> None:
    text = jsontext.dump(value)
    assert json.loads(text) == value
    assert text.isascii()
    assert text.isprintable()


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_what_no_reader_takes_is_not_written(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        jsontext.dump([value])


def test_what_is_no_json_is_not_dumped() -> None:
    with pytest.raises(TypeError):
        jsontext.dump({"a": object()})


def test_keys_and_levels_are_counted_unless_the_text_was_checked_before() -> None:
    assert jsontext.parse(b'{"a": 1, "a": 2}', "f", checked=True) == {"a": 2}
    deep = b"[" * 100 + b"]" * 100
    with pytest.raises(LaunchError, match="more than 64 levels"):
        jsontext.parse(deep, "f")
    assert jsontext.dump(jsontext.parse(deep, "f", checked=True)).encode() == deep


@pytest.mark.parametrize("text", ["{", '{"a"', '{"a": 1,', "[1,", '"a', '"\\x"', "[1 2]", "nul"])
def test_text_that_ends_too_early_is_one_error_where_json_is_not_imported(text: str) -> None:
    """As in a launch: the interpreter's own scanner words its errors with the help of `json`."""
    code = f"""
import sys
sys.path.append({str(REPOSITORY)!r})
from hardening.errors import LaunchError
from hardening.base import jsontext
assert "json" not in sys.modules
try:
    jsontext.parse(sys.argv[1].encode(), "f")
except LaunchError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code, text], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("f: not JSON: ")
