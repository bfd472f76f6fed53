"""Who runs the command, for every id map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hardening.errors import ProfileError
from hardening.mechanism.host import Host
from hardening.mechanism.idmaps import IdRange
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import Identity, natural_ids
from hardening_process.kinds import User
from hardening_process.settings import ProcessSettings
from hardening_process.users import identify
from tests.plugins.process.stacks import context, host, root_with, strict

PASSWD = "root:x:0:0:root:/root:/bin/sh\napp:x:33:44:app:/srv/app:/bin/sh\nodd:x:55:55::relative:/bin/sh\n"
GROUP = "root:x:0:\napp:x:44:\naudio:x:29:app\n"


def who(text: str, on: Host, root: Path, **namespaces: Any) -> Identity:
    user, _, group = text.partition(":")
    return identify(User(user, group), (), context(on, root=root, **namespaces))


@pytest.mark.parametrize(
    ("uid", "namespaces", "expected"),
    [
        (1000, {}, (1000, 1000)),
        (0, {}, (0, 0)),
        (1000, {"id_map": "root"}, (0, 0)),
        (1000, {"id_map": "one-id"}, (1000, 1000)),
        (1000, {"id_map": "keep-id"}, (1000, 1000)),
        (1000, {"user": "host"}, (1000, 1000)),
        (0, {"user": "host"}, (0, 0)),
        (1000, {"user": "/proc/1/ns/user"}, (0, 0)),
        (1000, {"uid_map": (IdRange(7, 1000, 1),), "gid_map": (IdRange(8, 1000, 1),)}, (7, 8)),
    ],
)
def test_the_natural_user_is_the_one_of_the_id_map(
    tmp_path: Path, uid: int, namespaces: dict[str, Any], expected: tuple[int, int]
) -> None:
    found = who("", host(uid), root_with(tmp_path, PASSWD), **namespaces)
    assert (found.uid, found.gid) == expected
    assert found.is_root == (expected[0] == 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("app", Identity(33, 44, (), "/srv/app")),
        ("33", Identity(33, 44, (), "/srv/app")),
        ("33:29", Identity(33, 29, (), "/srv/app")),
        ("app:audio", Identity(33, 29, (), "/srv/app")),
        ("55", Identity(55, 55, (), "/")),
        ("1000", Identity(1000, 1000, (), "/")),
        ("4000", Identity(4000, 4000, (), "/")),
        ("0:0", Identity(0, 0, (), "/root")),
    ],
)
def test_users_are_looked_up_in_the_root(tmp_path: Path, text: str, expected: Identity) -> None:
    assert who(text, host(), root_with(tmp_path, PASSWD, GROUP)) == expected


def test_an_id_without_account_never_gets_group_0(tmp_path: Path) -> None:
    assert who("4000", host(0), root_with(tmp_path)).gid == 4000


def test_the_callers_id_keeps_the_callers_group(tmp_path: Path) -> None:
    assert who("1000", host(1000, gid=100), root_with(tmp_path)).gid == 100


def test_a_name_that_is_root_s_is_no_other_user_s(tmp_path: Path) -> None:
    root = root_with(tmp_path, "root:x:0:0::/root:\nadmin:x:0:0::/:\n")
    assert who("0", host(0), root).uid == 0
    with pytest.raises(ProfileError, match='"admin" is root, uid 0, in ') as caught:
        who("admin", host(0), root)
    assert 'write "root"' in (caught.value.hint or "")


@pytest.mark.parametrize(("text", "message"), [("nobody", 'no user "nobody"'), ("app:nogroup", 'no group "nogroup"')])
def test_unknown_names_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ProfileError, match=message) as caught:
        who(text, host(), root_with(tmp_path, PASSWD, GROUP))
    assert str(tmp_path / "etc") in str(caught.value)


@pytest.mark.parametrize(("text", "message"), [("70000:0", "uid 70000"), ("33:70000", "gid 70000")])
def test_ids_outside_the_map_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ProfileError, match=f"{message} is not in the user namespace"):
        who(text, host(), root_with(tmp_path, PASSWD, GROUP))


def test_a_single_mapped_id_says_why_there_are_no_more(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="has 1000; there is no range for the caller"):
        who("33", host(subids=()), root_with(tmp_path, PASSWD, GROUP))


def test_supplementary_groups_are_only_those_named(tmp_path: Path) -> None:
    within = context(host(), root=root_with(tmp_path, PASSWD, GROUP))
    assert identify(User("app"), (), within).groups == ()
    assert identify(User("app"), ("audio", "7"), within).groups == (7, 29)
    with pytest.raises(ProfileError, match=r"process\.groups: there is no group"):
        identify(User("app"), ("nogroup",), within)


def test_other_mechanisms_learn_the_composed_identity(tmp_path: Path) -> None:
    own = strict(ProcessSettings, user=User("app"))
    within = context(host(), own, root=root_with(tmp_path, PASSWD, GROUP))
    assert own.resolve(within) == Identity(33, 44, (), "/srv/app")
    alone = Context(host(), {})
    assert natural_ids(alone) == (1000, 1000)
