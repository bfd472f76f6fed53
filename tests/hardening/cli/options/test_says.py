"""`--set` and the options of mechanisms as a document."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.cli.options.says import Said, document, parse_exception, parse_set
from hardening.errors import UsageError
from hardening.profile import toml_text as toml


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("rootfs.read_only=false", ("rootfs", "read_only"), False),
        ("a.b=3", ("a", "b"), 3),
        ("a.b=64M", ("a", "b"), "64M"),
        ("a.b=", ("a", "b"), ""),
        ('a.b="3"', ("a", "b"), "3"),
        ("a.b='it''", ("a", "b"), "'it''"),
        ('a.b=["x", "y"]', ("a", "b"), ["x", "y"]),
        ("a.b={c = 1}", ("a", "b"), {"c": 1}),
        ("a.b=2030-01-31", ("a", "b"), date(2030, 1, 31)),
        ("a.b=x=y", ("a", "b"), "x=y"),
        ("a.b=022", ("a", "b"), "022"),
        ('a."b.c"=1', ("a", "b.c"), 1),
        ("a.'b=c'=1", ("a", "b=c"), 1),
        ("a./data=ro", ("a", "/data"), "ro"),
        ("a . b = 1", ("a", "b"), 1),
        ("a.b=1\nc = 2", ("a", "b"), "1\nc = 2"),
        ("a.b=1 # not a comment?", ("a", "b"), 1),
        ("limits.a.b=1", ("limits", "a", "b"), 1),
    ],
)
def test_set_is_read_as_toml_or_else_as_a_string(text: str, path: tuple[str, ...], value: Any) -> None:
    assert parse_set(text) == Said(path, value, f"--set {text}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no TABLE.KEY=VALUE"),
        ("a.b", "no TABLE.KEY=VALUE"),
        ("=1", "no TABLE.KEY=VALUE"),
        ("a..b=1", "no TABLE.KEY=VALUE"),
        ("a.=1", "no TABLE.KEY=VALUE"),
        ("a=1", "a is a whole table"),
        ("extends=x", "cannot be set"),
        ("description=x", "cannot be set"),
        ("limits=1", "whole table"),
        ("a.b=[x]", "not TOML"),
        ("a.b={x}", "not TOML"),
        (r'a."\q"=1', "not a quoted key"),
        ("a.b=" + "9" * 5000, "an integer of more than 64 bits"),
        ("a.b=[0x" + "f" * 5000 + "]", "an integer of more than 64 bits"),
        ("a." * 20 + "b=1", "nested deeper than 16 levels"),
        ("a.b=9223372036854775808", "an integer of more than 64 bits"),
    ],
)
def test_a_wrong_set_is_a_usage_error_with_a_hint(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse_set(text)
    assert str(caught.value.origin).startswith("--set")


@pytest.mark.parametrize(
    ("text", "setting", "reason"),
    [
        ("box.size=many things", "box.size", "many things"),
        ("rootfs.tmpfs./var/cache.d = a = b", "rootfs.tmpfs./var/cache.d", "a = b"),
        ("seccomp.@debug=x", "seccomp.@debug", "x"),
    ],
)
def test_an_exception_is_a_setting_and_a_reason(text: str, setting: str, reason: str) -> None:
    assert parse_exception(text) == Said(
        ("exceptions",), [{"setting": setting, "reason": reason}], f"--exception {text}"
    )


@pytest.mark.parametrize("text", ["", "box.size", "box.size=", "=why", " = "])
def test_an_exception_without_a_setting_or_a_reason(text: str) -> None:
    with pytest.raises(UsageError, match="no SETTING=REASON"):
        parse_exception(text)


def test_exceptions_are_put_together() -> None:
    made = document([parse_set("exceptions=[{setting = 'a.b', reason = 'x'}]"), parse_exception("a.c=y")])
    assert made is not None
    assert made.tables == {"exceptions": [{"setting": "a.b", "reason": "x"}, {"setting": "a.c", "reason": "y"}]}
    assert str(made.origin(("exceptions", 1))) == "--exception a.c=y"


def test_nothing_said_is_no_layer() -> None:
    assert document(()) is None


def test_values_keep_the_option_that_they_come_from() -> None:
    made = document(
        [Said(("a", "list"), ["x"], "-v x"), Said(("a", "list"), ["y"], "-v y"), Said(("b", "c"), 1, "--c 1")]
    )
    assert made is not None
    assert made.tables == {"a": {"list": ["x", "y"]}, "b": {"c": 1}}
    assert str(made.origin(("a", "list", 0))) == "-v x"
    assert str(made.origin(("a", "list", 1))) == "-v y"
    assert str(made.origin(("b", "c"))) == "--c 1"
    assert str(made.origin(("b", "c", "deeper"))) == "--c 1"
    assert made.file is None


def test_one_value_joins_a_list() -> None:
    made = document([Said(("a", "b"), "x", "first"), Said(("a", "b"), ["y"], "second")])
    assert made is not None
    assert made.tables == {"a": {"b": ["x", "y"]}}
    assert [str(made.origin(("a", "b", index))) for index in (0, 1)] == ["first", "second"]


def test_tables_are_merged() -> None:
    made = document([Said(("a", "t"), {"x": 1}, "first"), Said(("a", "t", "y"), 2, "second")])
    assert made is not None
    assert made.tables == {"a": {"t": {"x": 1, "y": 2}}}


@pytest.mark.parametrize(
    "says",
    [
        [Said(("a", "b"), 1, "first"), Said(("a", "b"), 2, "second")],
        [Said(("a", "b"), 1, "first"), Said(("a", "b"), 1, "second")],
        [Said(("a", "b"), 1, "first"), Said(("a", "b", "c"), 2, "second")],
        [Said(("a", "b", "c"), 1, "first"), Said(("a", "b"), 2, "second")],
        [Said(("a", "b", "c"), 1, "first"), Said(("a", "b"), [2], "second")],
    ],
)
def test_what_is_said_twice_names_both_places(says: list[Said]) -> None:
    with pytest.raises(UsageError, match="already set by first") as caught:
        document(says)
    assert caught.value.origin == "second"


VALUES = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(exclude_categories=["Cs"])) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.\" '\\", min_size=1), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES, st.lists(st.text("ab.= \"'é/", min_size=1), min_size=1, max_size=3))
def test_what_explain_prints_is_read_back(value: Any, keys: list[str]) -> None:
    path = ("table", *keys)
    said = parse_set(f"{toml.dotted(path)}={toml.inline(value)}")
    assert said.path == path
    assert said.value == value
