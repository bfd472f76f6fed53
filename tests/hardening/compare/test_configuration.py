"""What differs between two configurations, and which of them permits more."""

from __future__ import annotations

import json
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.compare.configuration import Change, between, changes
from hardening.mechanism.kinds import Order

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


@pytest.mark.parametrize(
    ("pointer", "before", "after", "told"),
    [
        ("mounts", ["/a", "/a/b", "/c"], ["/a/b", "/a", "/c"], (["/a", "/a/b", "/c"], ["/a/b", "/a", "/c"])),
        ("env", ["A=1", "A=2", "B=1"], ["A=2", "A=1", "B=1"], (["A=1", "A=2", "B=1"], ["A=2", "A=1", "B=1"])),
        ("env", ["A=1", "B=1"], ["B=1", "A=1"], None),
        ("args", ["cp", "a", "b"], ["cp", "b", "a"], (["cp", "a", "b"], ["cp", "b", "a"])),
        ("args", ["a"], ["a", "a"], (["a"], ["a", "a"])),
    ],
)
def test_order_counts_where_it_decides(
    pointer: str, before: list[str], after: list[str], told: tuple[list[str], list[str]] | None
) -> None:
    def document(items: list[str]) -> dict[str, Any]:
        if pointer == "mounts":
            return {"mounts": [{"destination": item, "type": "tmpfs"} for item in items]}
        return {"process": {pointer: items}}

    place = "/mounts" if pointer == "mounts" else f"/process/{pointer}"
    found = changes(document(before), document(after), {})
    assert found == ([Change(place, *told)] if told else [])


def test_a_mount_that_moves_and_changes_is_told_twice() -> None:
    before = {"mounts": [{"destination": "/a", "type": "tmpfs"}, {"destination": "/a/b"}]}
    after = {"mounts": [{"destination": "/a/b"}, {"destination": "/a", "type": "proc"}]}
    assert [change.pointer for change in changes(before, after, {})] == ["/mounts/1", "/mounts"]


def test_true_is_not_1() -> None:
    assert changes({"a": True, "b": [True]}, {"a": 1, "b": [1]}, {}) == [
        Change("/a", True, 1),
        Change("/b/0", True, None),
        Change("/b/0", None, 1),
    ]


WHOLE: dict[str, Any] = {
    "ociVersion": "1.2.0",
    "root": {"path": "/a", "readonly": True},
    "process": {
        "args": ["true"], "cwd": "/", "user": {"uid": 0, "gid": 0}, "noNewPrivileges": True,
        "capabilities": {"bounding": ["CAP_CHOWN"]},
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20}],
    },
    "mounts": [{"destination": "/tmp", "type": "tmpfs", "options": ["noexec"]}],
    "linux": {
        "namespaces": [{"type": "pid"}, {"type": "network", "path": "/x"}],
        "maskedPaths": ["/proc/kcore"],
        "resources": {"pids": {"limit": 5}},
        "seccomp": {"defaultAction": "SCMP_ACT_ERRNO"},
    },
    "annotations": {"a": "b", "run.oci.keep_original_groups": "1"},
}  # fmt: skip


def changed(pointer: str, value: Any) -> dict[str, Any]:
    """The whole with another value at a pointer; None takes it away, for an element of an array ``-1`` is a new one."""
    found: dict[str, Any] = json.loads(json.dumps(WHOLE))
    *path, last = pointer.removeprefix("/").split("/")
    inner: Any = reduce(lambda part, key: part[int(key)] if isinstance(part, list) else part[key], path, found)
    if isinstance(inner, list):
        inner[:] = [*inner, value] if last == "-1" else [*inner[: int(last)], *([] if value is None else [value]),
                                                         *inner[int(last) + 1 :]]  # fmt: skip
    elif value is None:
        del inner[last]
    else:
        inner[last] = value
    return found


@pytest.mark.parametrize(
    ("pointer", "value", "order"),
    [
        ("/process/capabilities/bounding/-1", "CAP_KILL", Order.LOOSER),
        ("/process/capabilities/bounding", None, Order.TIGHTER),
        ("/linux/maskedPaths/-1", "/x", Order.TIGHTER),
        ("/linux/maskedPaths", None, Order.LOOSER),
        ("/root/readonly", None, Order.LOOSER),
        ("/process/noNewPrivileges", False, Order.LOOSER),
        ("/linux/namespaces/0", None, Order.LOOSER),
        ("/linux/namespaces/-1", {"type": "ipc"}, Order.TIGHTER),
        ("/linux/namespaces/-1", {"type": "user"}, Order.INCOMPARABLE),
        ("/linux/namespaces/1", None, Order.INCOMPARABLE),
        ("/linux/resources/pids/limit", 4, Order.TIGHTER),
        ("/linux/resources/pids/limit", 0, Order.INCOMPARABLE),
        ("/linux/resources/pids/limit", -1, Order.LOOSER),
        ("/linux/resources", None, Order.LOOSER),
        ("/linux/resources/memory", {"limit": 100}, Order.TIGHTER),
        ("/process/rlimits/0/soft", 11, Order.LOOSER),
        ("/process/rlimits/0", {"type": "RLIMIT_NOFILE", "soft": 9, "hard": 21}, Order.INCOMPARABLE),
        ("/process/rlimits/0", None, Order.INCOMPARABLE),
        ("/mounts/0/options", [], Order.INCOMPARABLE),
        ("/mounts/0/options", ["nodev", "noexec"], Order.INCOMPARABLE),
        ("/linux/seccomp", None, Order.LOOSER),
        ("/linux/seccomp/defaultAction", "SCMP_ACT_ALLOW", Order.INCOMPARABLE),
        ("/annotations/a", "c", Order.OTHER),
        ("/annotations/run.oci.keep_original_groups", "0", Order.INCOMPARABLE),
        ("/root/path", "/b", Order.OTHER),
        ("/process/user/uid", 1, Order.INCOMPARABLE),
    ],
)
def test_of_two_configurations_a_field_says_which_permits_more_or_that_it_cannot_be_said(
    pointer: str, value: Any, order: Order
) -> None:
    files = Path("/a"), Path("/b")
    after = changed(pointer, value)
    (there,), (back,) = (between(*pair, files).differences for pair in ((WHOLE, after), (after, WHOLE)))
    opposite = {Order.LOOSER: Order.TIGHTER, Order.TIGHTER: Order.LOOSER}
    assert (there.order, back.order) == (order, opposite.get(order, order))
    assert between(WHOLE, WHOLE, files).differences == ()


@given(DOCUMENTS)
def test_nothing_differs_from_itself(document: dict[str, Any]) -> None:
    assert changes(document, document, {}) == []


@given(DOCUMENTS, DOCUMENTS)
def test_what_differs_is_never_silent(before: dict[str, Any], after: dict[str, Any]) -> None:
    if repr(_stated(before)) != repr(_stated(after)):
        assert changes(before, after, {})


def _stated(value: Any) -> Any:
    """A document without members that are null, which is how JSON says nothing, and with the others by their names."""
    if isinstance(value, dict):
        return {key: _stated(value[key]) for key in sorted(value) if value[key] is not None}
    return [*map(_stated, value)] if isinstance(value, list) else value


def test_options_in_another_order_are_shown_whole() -> None:
    one, other = changed("/mounts/0/options", ["ro", "rw"]), changed("/mounts/0/options", ["rw", "ro"])
    (found,) = between(one, other, (Path("/a"), Path("/b"))).differences
    assert (found.before, found.after) == ('{"options": ["ro", "rw"]}', '{"options": ["rw", "ro"]}')
