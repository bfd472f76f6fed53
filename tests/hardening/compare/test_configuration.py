"""What differs between two configurations."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hardening.compare.configuration import Change, changes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["a", "b"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b/c", "type"]), inner, max_size=3)
    ),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(st.sampled_from(["a", "b", "c~d"]), JSON, max_size=3)


def test_scalars_members_and_elements() -> None:
    before = {"a": 1, "gone": 2, "list": ["x", "y"], "same": {"deep": [1]}}
    after = {"a": 3, "new": 4, "list": ["y", "z"], "same": {"deep": [1]}}
    assert changes(before, after, {}) == [
        Change("/a", 1, 3),
        Change("/gone", 2, None),
        Change("/list/0", "x", None),
        Change("/list/1", None, "z"),
        Change("/new", None, 4),
    ]


def test_mounts_are_paired_by_their_destination() -> None:
    before = {"mounts": [{"destination": "/a", "options": []}, {"destination": "/b"}]}
    after = {"mounts": [{"destination": "/c"}, {"destination": "/a", "options": ["ro"]}]}
    assert changes(before, after, {}) == [
        Change("/mounts/1", {"destination": "/a", "options": []}, {"destination": "/a", "options": ["ro"]}),
        Change("/mounts/1", {"destination": "/b"}, None),
        Change("/mounts/0", None, {"destination": "/c"}),
    ]


def test_the_leaves_are_those_at_above_or_below_the_pointer() -> None:
    leaves = {"/a": ("box.a",), "/b/c": ("box.b", "box.c")}
    found = changes({}, {"a": {"x": 1}, "b": {"c": 1}, "d": 1}, leaves)
    assert [(change.pointer, change.leaves) for change in found] == [
        ("/a", ("box.a",)),
        ("/b", ("box.b", "box.c")),
        ("/d", ()),
    ]
    assert changes({"a": {"x": 1}}, {"a": {"x": 2}}, leaves)[0].leaves == ("box.a",)


def test_what_took_an_element_away_is_what_decided_the_list() -> None:
    before = {"mounts": [{"destination": "/a"}, {"destination": "/b"}]}
    leaves = {"/mounts": ("box.mounts",), "/mounts/0": ("box.b",)}
    found = changes(before, {"mounts": [{"destination": "/b"}]}, leaves)
    assert found == [Change("/mounts/0", {"destination": "/a"}, None, ("box.mounts",))]


def test_true_is_not_1() -> None:
    assert changes({"a": True, "b": [True]}, {"a": 1, "b": [1]}, {}) == [
        Change("/a", True, 1),
        Change("/b/0", True, None),
        Change("/b/0", None, 1),
    ]


@given(DOCUMENTS)
def test_nothing_differs_from_itself(document: dict[str, Any]) -> None:
    assert changes(document, document, {}) == []


@given(DOCUMENTS, DOCUMENTS)
def test_what_differs_is_never_silent(before: dict[str, Any], after: dict[str, Any]) -> None:
    if _ordered(before) != _ordered(after):
        assert changes(before, after, {})


def _ordered(value: Any) -> Any:
    """A document without the order of arrays, and without members that are null, which is how JSON says nothing."""
    if isinstance(value, dict):
        return {key: _ordered(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return sorted(map(repr, map(_ordered, value)))
    return value
