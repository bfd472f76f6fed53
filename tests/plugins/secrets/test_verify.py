"""What a receipt must show of secrets."""

from __future__ import annotations

from typing import Any

import pytest

from hardening.mechanism.host import plain
from hardening.mechanism.mechanism import Context
from hardening_secrets.verify import verify
from tests.plugins.secrets.test_spec import given

MOUNT = "9 1 0:9 / {place} {options} - tmpfs tmpfs rw"


def receipt(**changes: Any) -> dict[str, Any]:
    row = {
        "name": "db",
        "type": "mount",
        "target": "/run/secrets/db",
        "found": True,
        "mode": 0o400,
        "uid": 1000,
        "gid": 1001,
    }
    status = {"Uid": "1000\t1000\t1000\t1000", "Gid": "1001\t1001\t1001\t1001"}
    lines = [MOUNT.format(place="/run/secrets", options="ro,nosuid,nodev,noexec,relatime")]
    maps = {"uid_map": "0 100000 1000\n1000 1000 1", "gid_map": "0 100000 65536"}
    return {"secrets": [row | changes], "status": status, "mountinfo": lines, **maps}


def held(item: str, found: dict[str, Any]) -> list[bool]:
    """Of the file, and of its mount."""
    return [
        check.holds for check in verify(given(item), Context(plain(), {}), found) if check.leaf != "secrets.given.*"
    ]


def test_a_receipt_holds_where_the_file_is_the_command_s_and_nobody_else_reads_it() -> None:
    assert held("db", receipt()) == [True, True]
    assert held("db,mode=0440", receipt()) == [True, True]  # with fewer rights than were given
    assert held("db,uid=5,gid=6", receipt(uid=100_005, gid=100_006)) == [True, True]


@pytest.mark.parametrize(
    "changes",
    [{"mode": 0o440}, {"uid": 0}, {"gid": 0}, {"found": False}, {"target": "/x"}, {"mode": "0400"}, {"uid": None}],
)
def test_a_receipt_fails_where_the_file_is_another(changes: dict[str, Any]) -> None:
    assert held("db", receipt(**changes)) == [False, True]


@pytest.mark.parametrize("value", [None, {}, [1], "x"])
def test_a_receipt_that_says_nothing_of_secrets_fails(value: object) -> None:
    assert held("db", {**receipt(), "secrets": value}) == [False, True]


@pytest.mark.parametrize("options", ["rw,nosuid,nodev,noexec", "ro,nodev,noexec", "ro,nosuid,nodev"])
def test_a_receipt_fails_where_the_mount_can_be_more_than_read(options: str) -> None:
    found = receipt() | {"mountinfo": [MOUNT.format(place="/run/secrets", options=options)]}
    assert held("db", found) == [True, False]
    assert held("db", receipt() | {"mountinfo": []}) == [True, False]


def test_of_a_variable_the_name_is_checked() -> None:
    assert held("db,type=env", receipt() | {"environment": {"db": None}}) == [True]
    assert held("db,type=env", receipt() | {"environment": {"db": "of a profile"}}) == [False]
    assert held("db,type=env", receipt() | {"environment": {}}) == [False]
    assert held("db,type=env", receipt() | {"environment": None}) == [False]


def test_nothing_was_given_beside_what_was_composed() -> None:
    def no_other(*items: str, **changes: Any) -> bool:
        (line,) = [
            line
            for line in verify(given(*items), Context(plain(), {}), receipt() | changes)
            if line.leaf == "secrets.given.*"
        ]
        return line.holds

    assert no_other("db")
    assert not no_other("other")
    assert not no_other()
    assert not no_other("db,type=env", environment={})
    assert no_other("db,type=env", environment={}, secrets=[])
    assert not no_other(secrets=None)  # there is a place for files, and nobody knows which
    assert no_other(secrets=None, mountinfo=[])
