from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.assemble.spec import assemble
from hardening.base.pointer import escape, lookup, unescape
from hardening.errors import PluginError, SpecError
from hardening.launch.config.bundle import HELPERS, LEASES
from hardening.launch.config.confinement import POINTER
from hardening.mechanism.fragment import Directory, Fragment, Symlink


def fragment(owner: str, **values: Any) -> Fragment:
    made = Fragment(owner)
    for pointer, value in values.items():
        made.put("/" + pointer.replace("__", "/"), value, f"{owner}.x")
    return made


def test_fragments_become_one_document_with_the_leaves_behind_it() -> None:
    rootfs = fragment("rootfs", root={"path": "rootfs"}, linux__maskedPaths=["/proc/kcore"])
    spec = assemble([rootfs, fragment("selinux", linux__mountLabel="label")])
    assert spec.document == {
        "ociVersion": "1.2.0",
        "root": {"path": "rootfs"},
        "linux": {"maskedPaths": ["/proc/kcore"], "mountLabel": "label"},
    }
    assert spec.leaves["/linux/mountLabel"] == ("selinux.x",)


def test_the_order_of_fragments_does_not_matter() -> None:
    parts = [fragment("a", linux__x=1), fragment("b", linux__y__z=2), fragment("c", process={"args": []})]
    assert assemble(parts).document == assemble(parts[::-1]).document


def test_keys_with_slashes_are_escaped() -> None:
    made = Fragment("a")
    made.put("/annotations/" + escape("org.example/a~b"), "x")
    document = assemble([made]).document
    assert document["annotations"] == {"org.example/a~b": "x"}
    assert lookup(document, "/annotations/org.example~1a~0b") == "x"


@given(st.text())
def test_escaping_is_undone(token: str) -> None:
    assert unescape(escape(token)) == token
    assert "/" not in escape(token)


def test_two_owners_of_one_pointer_are_named() -> None:
    with pytest.raises(PluginError, match="a and b both set /root"):
        assemble([fragment("a", root=1), fragment("b", root=1)])


def test_an_owner_inside_another_one_s_value_is_named() -> None:
    with pytest.raises(PluginError, match="a owns /linux and b sets /linux/seccomp inside it"):
        assemble([fragment("b", linux__seccomp=1), fragment("a", linux={})])


def test_one_owner_may_refine_its_own_value() -> None:
    assert assemble([fragment("a", root={"path": "x"}, root__readonly=True)]).document["root"] == {
        "path": "x", "readonly": True,
    }  # fmt: skip


def items(owner: str, pointer: str, *keys: str) -> Fragment:
    made = Fragment(owner)
    for key in keys:
        made.item(pointer, key, {"destination": key}, f"{owner}.{key}")
    return made


def test_mounts_are_ordered_parents_first_whoever_adds_them() -> None:
    spec = assemble([items("a", "/mounts", "/a/b/c", "/z"), items("b", "/mounts", "/a/b", "/a", "/")])
    assert [mount["destination"] for mount in spec.document["mounts"]] == ["/", "/a", "/z", "/a/b", "/a/b/c"]
    assert spec.leaves["/mounts/3"] == ("b./a/b",)


def test_other_lists_keep_the_order_of_their_items() -> None:
    spec = assemble([items("a", "/process/rlimits", "z", "a")])
    assert [item["destination"] for item in spec.document["process"]["rlimits"]] == ["z", "a"]


def test_one_item_of_two_owners_or_twice_is_refused() -> None:
    with pytest.raises(PluginError, match="a and b both contribute /proc to /mounts"):
        assemble([items("a", "/mounts", "/proc"), items("b", "/mounts", "/proc")])
    with pytest.raises(PluginError, match="a contributes /proc to /mounts twice"):
        items("a", "/mounts", "/proc", "/proc")


def test_a_list_set_whole_takes_no_items() -> None:
    with pytest.raises(PluginError, match="a sets /mounts whole"):
        assemble([fragment("a", mounts=[]), items("b", "/mounts", "/proc")])


def test_a_file_of_two_owners_is_refused() -> None:
    first, second = Fragment("a"), Fragment("b")
    for made in (first, second):
        made.file("seccomp.bpf", b"")
    with pytest.raises(PluginError, match=r"a and b both contribute the bundle's seccomp\.bpf"):
        assemble([first, second])
    first.file("rootfs", Directory())
    assert assemble([first]).files == {"seccomp.bpf": b"", "rootfs": Directory()}


def test_a_foreign_document_is_kept_where_nobody_says_anything_and_not_changed_in_place() -> None:
    foreign = {"ociVersion": "1.0.2", "process": {"args": ["sh"], "env": ["A=1"]}, "mounts": [{"destination": "/x"}]}
    spec = assemble([fragment("a", process__env=None, process__cwd="/")], foreign)
    assert spec.document == {
        "ociVersion": "1.0.2", "process": {"args": ["sh"], "cwd": "/"}, "mounts": [{"destination": "/x"}],
    }  # fmt: skip
    assert foreign["process"] == {"args": ["sh"], "env": ["A=1"]}


def test_removing_what_is_not_there_makes_nothing() -> None:
    assert assemble([fragment("a", linux__seccomp=None)], {"root": {}}).document == {"root": {}}


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("", {"a": [{"b": 1}], "c": "text"}),
        ("/a/0/b", 1),
        ("/a/1", None),
        ("/a/x", None),
        ("/c/0", None),
        ("/z/z", None),
    ],
)
def test_lookup_follows_tables_and_lists(pointer: str, value: object) -> None:
    assert lookup({"a": [{"b": 1}], "c": "text"}, pointer) == value


def test_a_replaced_list_is_empty_where_nothing_is_contributed() -> None:
    fragment = Fragment("rootfs")
    foreign = {"mounts": [{"destination": "/secret"}]}
    assert assemble([fragment], foreign).document["mounts"] == foreign["mounts"]
    fragment.replace("/mounts")
    assert assemble([fragment], foreign).document["mounts"] == []


# --- one owner for each place -----------------------------------------------------------------------------------------


def owned(owner: str, *deeds: tuple[str, str]) -> Fragment:
    fragment = Fragment(owner)
    for deed, place in deeds:
        if deed == "item":
            fragment.item(place, "key", 1)
        elif deed == "file":
            fragment.file(place, b"")
        elif deed == "link":
            fragment.file(place, Symlink("/etc"))
        elif deed == "replace":
            fragment.replace(place)
        else:
            fragment.put(place, {"x": 1})
    return fragment


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("item", "/mounts"), ("put", "/mounts/0/options")),
        (("item", "/process/env"), ("put", "/process")),
        (("item", "/mounts"), ("put", "/mounts")),
        (("replace", "/mounts"), ("replace", "/mounts")),
        (("replace", "/mounts"), ("put", "/mounts")),
        (("put", "/linux"), ("put", "/linux/seccomp")),
        (("put", "/linux"), ("item", "/linux/devices")),
        (("file", "seccomp.bpf"), ("file", "seccomp.bpf")),
        (("link", "rootfs/foo"), ("file", "rootfs/foo/bar")),
        (("file", "rootfs/foo"), ("file", "rootfs/foo/bar")),
    ],
)
def test_a_place_has_one_owner(first: tuple[str, str], second: tuple[str, str]) -> None:
    for order in ((first, second), (second, first)):
        with pytest.raises(PluginError):
            assemble([owned("one", order[0]), owned("two", order[1])])


@pytest.mark.parametrize("path", ["/abs", "../x", "a/../../x", "config.json", "", ".", "a//b", "./a"])
def test_a_file_stays_in_the_bundle(path: str) -> None:
    with pytest.raises(PluginError):
        Fragment("one").file(path, b"")


def test_a_place_is_set_once() -> None:
    fragment = owned("one", ("put", "/a"), ("file", "f"))
    with pytest.raises(PluginError, match="twice"):
        fragment.put("/a", 2)
    with pytest.raises(PluginError, match="twice"):
        fragment.file("f", b"")


def test_leases_of_all_mechanisms_form_one_annotation() -> None:
    one, two = Fragment("one"), Fragment("two")
    one.lease(Path("/run/a"))
    two.lease(Path("/run/b"))
    assert json.loads(assemble([one, two]).document["annotations"][LEASES]) == ["/run/a", "/run/b"]
    assert "annotations" not in assemble([Fragment("one")]).document


def test_what_was_contributed_cannot_be_changed_afterwards() -> None:
    fragment, value = Fragment("one"), {"deep": [1]}
    fragment.put("/a", value)
    spec = assemble([fragment])
    value["deep"].append(2)
    spec.document["a"]["deep"].append(3)
    assert spec.document["a"] == {"deep": [1]}


def confining(owner: str, *words: str) -> Fragment:
    made = Fragment(owner)
    made.confine(words, f"{owner}.x")
    return made


def test_helpers_stand_before_the_command_in_the_order_of_their_owners_and_once() -> None:
    parts = [confining("a", "/a", "1"), confining("b", "/b"), fragment("the core", process__args=["sh"])]
    spec = assemble(parts)
    assert spec.document["process"]["args"] == ["/a", "1", "--", "/b", "--", "sh"]
    assert spec.leaves[POINTER] == ("a.x", "b.x")
    assert lookup(spec.document, POINTER) == '[["/a", "1"], ["/b"]]'
    again = assemble(parts[:2], spec.document)
    assert again.document == spec.document


def test_helpers_without_a_command_are_kept_for_the_one_that_comes() -> None:
    document = assemble([confining("a", "/a")]).document
    assert document == {"ociVersion": "1.2.0", "annotations": {HELPERS: '[["/a"]]'}}


def test_what_a_foreign_configuration_is_confined_by_confines_it_still() -> None:
    loose = assemble([confining("a", "/a", "loose"), fragment("the core", process__args=["sh"])]).document
    strict = assemble([confining("a", "/a", "strict")], loose).document
    assert strict["process"]["args"] == ["/a", "strict", "--", "/a", "loose", "--", "sh"]
    assert assemble([], strict).document == strict
    # Words that it only claims to have there are no helper.
    claimed = {"process": {"args": ["sh"]}, "annotations": {HELPERS: '[["/a"]]'}}
    assert assemble([], claimed).document == {"process": {"args": ["sh"]}, "annotations": {}}
    with pytest.raises(SpecError, match="list of lists"):
        assemble([], {"annotations": {HELPERS: "[7]"}})
