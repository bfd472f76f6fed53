"""Whose group is nobody else's."""

from __future__ import annotations

import errno
import grp
import os
import posix
import pwd
from pathlib import Path

import attrs
import pytest

from hardening.base.linux import group

ME = 5000


def account(name: str, uid: int = ME, gid: int = ME) -> pwd.struct_passwd:
    return pwd.struct_passwd((name, "x", uid, gid, "", "/", "/bin/sh"))


def members(name: str, *names: str, gid: int = ME) -> grp.struct_group:
    return grp.struct_group((name, "x", gid, list(names)))


@attrs.frozen
class Case:
    """A system as passwd(5), group(5) and acl(5) describe it, and whether the group of a file is one's own there."""

    own: bool
    accounts: tuple[pwd.struct_passwd, ...] = (account("alice"),)
    groups: tuple[grp.struct_group, ...] = (members("alice"),)
    listed: bool = True
    uid: int = ME
    gid: int = ME
    caller: tuple[int, int] = (ME, ME)
    acl: int | None = errno.ENODATA


BOB = account("bob", 5001, 5001)
CASES = {
    "one's own": Case(True),
    "beside others": Case(True, (account("alice"), BOB), (members("alice"), members("bob", "alice", gid=5001))),
    "with oneself as a member": Case(True, groups=(members("alice", "alice"),)),
    "of somebody without a name": Case(True, (), ()),
    "with a member without a name of one's own": Case(False, (), (members("alice", "bob"),)),
    "a member without a name of one's own, not listed": Case(False, (), (members("a", "bob"),), listed=False),
    "with a second name of one's own": Case(True, (account("alice"), account("alias")), (members("a", "alias"),)),
    "not listed": Case(True, listed=False),
    "a member, not listed": Case(False, groups=(members("alice", "bob"),), listed=False),
    "a member": Case(False, (account("alice"), BOB), (members("alice", "bob"),)),
    "a member by a second name of the group": Case(False, groups=(members("alice"), members("staff", "bob"))),
    "somebody's primary group": Case(False, (account("alice"), account("bob", 5001))),
    "somebody's primary group, without a name": Case(False, (account("alice"), account("bob", 5001)), ()),
    "somebody's, before one's own": Case(False, (account("bob", 5001), account("alice"))),
    "another's file": Case(False, uid=5001),
    "another group": Case(False, gid=100),
    "not the primary one": Case(False, caller=(ME, 100)),
    "root's": Case(False, (account("root", 0, 0),), (members("root", gid=0),), uid=0, gid=0, caller=(0, 0)),
    "with an access control list": Case(False, acl=None),
    "with a list that cannot be read": Case(False, acl=errno.EACCES),
}


@pytest.mark.parametrize("name", CASES)
def test_whose_group_it_is(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES[name]

    def getxattr(place: str, attribute: str) -> bytes:
        assert (place, attribute) == (str(tmp_path), "system.posix_acl_access")
        if case.acl is not None:
            raise OSError(case.acl, os.strerror(case.acl))
        return b""

    def found(entries: tuple[tuple[object, ...], ...], number: int) -> object:
        for entry in entries:
            if entry[2] == number:
                return entry
        raise KeyError(number)

    monkeypatch.setattr(posix, "geteuid", lambda: case.caller[0])
    monkeypatch.setattr(posix, "getegid", lambda: case.caller[1])
    monkeypatch.setattr(posix, "getxattr", getxattr)
    monkeypatch.setattr(pwd, "getpwall", lambda: list(case.accounts) if case.listed else [])
    monkeypatch.setattr(grp, "getgrall", lambda: list(case.groups) if case.listed else [])
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: found(case.accounts, uid))
    monkeypatch.setattr(grp, "getgrgid", lambda gid: found(case.groups, gid))
    assert group.is_private(str(tmp_path), case.uid, case.gid) is case.own
