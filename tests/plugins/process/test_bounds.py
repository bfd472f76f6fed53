"""Limits of users and groups bind what names and accounts turn out to be."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import attrs
import pytest

from hardening.assemble.spec import assemble
from hardening.errors import ProfileError
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.roles import Volume
from hardening.mechanism.schema import WILDCARD, Members
from hardening_process import bounds
from hardening_process.kinds import User
from hardening_process.passwd import Account, Accounts
from hardening_process.settings import ProcessSettings
from hardening_process.users import identify
from hardening_rootfs.paths import RootPath
from hardening_rootfs.settings import RootfsSettings
from tests.plugins.process.stacks import PROCESS, context, host, root_with, strict

HOST = Accounts(
    Path("/"),
    (Account("man", 6, 12, "/"), Account("ann", 1000, 1000, "/"), Account("bob", 1001, 100, "/")),
    (("disk", 6), ("man", 12), ("audio", 29), ("users", 100), ("docker", 999)),
)
NONE = {("groups", WILDCARD): False}
NO_DISK = {("groups", "disk"): False}
AUDIO = {**NONE, ("groups", "audio"): True}
PASSWD = "evil:x:1000:0::/:\nsix:x:1002:6::/:\nown:x:1003:1003::/:\n"
GROUP = "zero:x:0:\naudio:x:29:\nplugdev:x:6:\n"


@pytest.fixture(autouse=True)
def _the_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "_host", lambda: HOST)


def who(text: str, limits: Mapping[tuple[str, str], Any], root: Path, groups: tuple[str, ...] = (), **more: Any) -> str:
    """The user, group and groups that a user is under limits, or why not."""
    user, _, group = text.partition(":")
    held = attrs.evolve(context(host(0), root=root, **more), limits=lambda _: limits)
    try:
        found = identify(User(user, group), groups, held)
    except ProfileError as error:
        return str(error).partition(" ")[2]
    return f"{found.uid}:{found.gid}" + "".join(f" {gid}" for gid in found.groups)


@pytest.mark.parametrize(
    ("text", "limits", "expected"),
    [
        ("1000", {}, "1000:0"),
        ("1000", {("user", ""): User("1000")}, "1000:0 exceeds the limit 1000"),
        ("evil", {("user", ""): User("evil")}, "1000:0 exceeds the limit evil"),
        ("1002", {("user", ""): User("1002")}, "1002:6 exceeds the limit 1002"),
        ("own", {("user", ""): User("own")}, "1003:1003"),
        ("4000", {("user", ""): User("4000")}, "4000:4000"),
        ("1000:5", {("user", ""): User("1000", "5"), **NONE}, "1000:5"),
        ("1002", {("user", ""): User("1002"), **NONE, ("groups", "6"): True}, "1002:6"),
        ("1000", NONE, "1000:0 has a group that exceeds"),
        ("1000", {**NONE, ("groups", "zero"): True}, "1000:0 has a group that exceeds"),
        ("1000", {**NONE, ("groups", "0"): True}, "1000:0"),
        ("own:29", NONE, "1003:29 has a group that exceeds"),
        ("own:29", AUDIO, "1003:29"),
        ("own:audio", AUDIO, "1003:29"),
        ("six", NO_DISK, "1002:6 has a group that exceeds"),
        ("", NONE, "0:0"),
        ("own", NO_DISK, "1003:1003"),
        ("0:6", {("user", ""): User("0", "6"), **NONE}, "0:6"),
        ("0:6", {("user", ""): User("0", "0"), **NONE}, "0:6 has a group that exceeds"),
    ],
)
def test_the_first_group_is_permitted_or_the_users_own(
    tmp_path: Path, text: str, limits: dict[tuple[str, str], Any], expected: str
) -> None:
    assert who(text, limits, root_with(tmp_path, PASSWD, GROUP)).startswith(expected)


@pytest.mark.parametrize(
    ("text", "limits", "groups"),
    [
        ("six", {("user", ""): User("six")}, ()),
        ("1000", {("user", ""): User("1000")}, ()),
        ("six", {("user", ""): User("six"), **AUDIO}, ("audio",)),
        ("own:29", NONE, ()),
        ("own", AUDIO, ("audio", "6")),
    ],
)
def test_the_line_of_the_hint_permits_the_group_and_keeps_what_was_permitted(
    tmp_path: Path, text: str, limits: dict[tuple[str, str], Any], groups: tuple[str, ...]
) -> None:
    root = root_with(tmp_path, PASSWD, GROUP)
    user, _, group = text.partition(":")
    with pytest.raises(ProfileError) as refused:
        identify(User(user, group), groups, attrs.evolve(context(host(0), root=root), limits=lambda _: limits))
    line = tomllib.loads(str(refused.value.hint).splitlines()[-1])
    permitted = {**NONE, **{("groups", name): True for name in line["groups"]}}
    assert "exceeds" not in who(text, {**limits, **permitted}, root, groups)


@pytest.mark.parametrize(
    ("text", "is_own"),
    [("1000", True), ("6", False), ("6:12", True), ("6:6", False), ("999", False), ("4000", True), ("1001:100", True)],
)
@pytest.mark.parametrize("how", ["no user namespace", "a volume with idmap"])
def test_where_ids_are_the_hosts_its_accounts_say_whose_a_group_is(
    tmp_path: Path, text: str, is_own: bool, how: str
) -> None:
    root = root_with(tmp_path)
    volumes = Members({"/x": Volume("/srv", "/x", idmap=True)}, None)
    rootfs = strict(RootfsSettings, path=RootPath(str(root)), **({"volumes": volumes} if "idmap" in how else {}))
    held = context(host(0)) if "idmap" in how else context(host(0), user="host")
    held = attrs.evolve(held, composed={**held.composed, RootfsSettings: rootfs}, limits=lambda _: NONE)
    user, _, group = text.partition(":")
    expected = nullcontext() if is_own else pytest.raises(ProfileError, match="has a group that exceeds")
    with expected:
        assert identify(User(user, group), (), held).uid == int(user)


@pytest.mark.parametrize(
    ("groups", "limits", "expected"),
    [
        (("6",), NO_DISK, "6 exceeds the limit of process.groups"),
        (("plugdev",), NO_DISK, "6 exceeds the limit of process.groups"),
        (("29",), NO_DISK, "1003:1003 29"),
        (("audio",), AUDIO, "1003:1003 29"),
        (("zero",), {}, '"zero" is root\'s group, gid 0'),
    ],
)
def test_supplementary_groups_are_held_by_their_ids(
    tmp_path: Path, groups: tuple[str, ...], limits: dict[tuple[str, str], Any], expected: str
) -> None:
    assert who("own", limits, root_with(tmp_path, PASSWD, GROUP), groups).startswith(expected)


@pytest.mark.parametrize(
    ("limits", "own", "asked", "after"),
    [
        ({("user", ""): User("1000")}, "1000", "1000:0", "1000:1000"),
        ({("user", ""): User("1000")}, "1000", "1000:1000", "1000:1000"),
        (NONE, "", "1000:6", "1000:1000"),
        (NONE, "1000", "1000:6", "1000:1000"),
        (NO_DISK, "", "1000:6", "1000:1000"),
        (NO_DISK, "", "1000:29", "1000:29"),
        ({}, "", "1000:6", "1000:6"),
    ],
)
def test_the_group_of_a_foreign_configuration_becomes_the_users_own(
    tmp_path: Path, limits: dict[tuple[str, str], Any], own: str, asked: str, after: str
) -> None:
    uid, gid = map(int, asked.split(":"))
    root = root_with(tmp_path, PASSWD, GROUP)
    document = {"root": {"path": str(root)}, "process": {"user": {"uid": uid, "gid": gid}}}
    settings = strict(ProcessSettings, user=User(own))
    held = attrs.evolve(
        context(host(0), settings), limits=lambda _: limits,
        limit=lambda leaf, other=None: limits.get((leaf.setting, leaf.member), other),
    )  # fmt: skip
    fragment = Fragment("process")
    told = list(PROCESS.tighten(settings, document, held, fragment))
    found = assemble([fragment], document).document["process"]["user"]
    assert f"{found['uid']}:{found['gid']}" == after
    assert [item.asked for item in told if item.leaf == "process.user"] == ([asked] if asked != after else [])
