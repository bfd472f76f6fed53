"""The accounts of a root directory, and links that must not lead out of it."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hardening.errors import HostError
from hardening_process.passwd import Account, Accounts
from tests.plugins.process.stacks import root_with


def test_accounts_are_read_and_damaged_lines_passed_over(tmp_path: Path) -> None:
    long = "1" * 5000
    bad = f"bad:x:y:z::/:\nbad:x:{long}:1::/:\nbad:x:²:1::/:\n"
    passwd = f"root:x:0:0:root:/root:/bin/sh\nbroken\n{bad}app:x:1000:50::/home/app:/bin/sh\n"
    accounts = Accounts.read(root_with(tmp_path, passwd, f"wheel:x:10:\nbad:x:y:\nbad:x:{long}:\nshort\n"))
    assert accounts.user("app") == Account("app", 1000, 50, "/home/app")
    assert accounts.by_uid(0) == Account("root", 0, 0, "/root")
    assert accounts.user("bad") is None
    assert accounts.group("wheel") == 10
    assert accounts.group("short") is None


def test_an_id_of_thousands_of_digits_is_a_damaged_line(tmp_path: Path) -> None:
    number = "1" * 5000
    passwd = f"app:x:{number}:0::/:/bin/sh\nother:x:5:{number}::/:/bin/sh\nfine:x:7:7::/:/bin/sh\n"
    accounts = Accounts.read(root_with(tmp_path, passwd, f"big:x:{number}:\nok:x:9:\n"))
    assert [account.name for account in accounts.users] == ["fine"]
    assert accounts.groups == (("ok", 9),)


def test_a_root_without_accounts_has_none(tmp_path: Path) -> None:
    assert Accounts.read(tmp_path) == Accounts(tmp_path, (), ())
    assert Accounts.read(tmp_path / "missing").users == ()


def test_links_stay_inside_the_root(tmp_path: Path) -> None:
    """The host's accounts must never decide who a name is in another root."""
    root = root_with(tmp_path / "root", "inside:x:7:7::/:\n")
    (tmp_path / "passwd").write_text("outside:x:8:8::/:\n")
    (root / "etc/passwd").rename(root / "accounts")
    for target in ("/accounts", "../accounts", "../../../../accounts", "/../accounts", "/etc/./../accounts"):
        (root / "etc/passwd").symlink_to(target)
        assert [account.name for account in Accounts.read(root).users] == ["inside"], target
        (root / "etc/passwd").unlink()
    (root / "etc/passwd").symlink_to(str(tmp_path / "passwd"))
    assert Accounts.read(root).users == ()


def test_a_linked_directory_stays_inside_too(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root_with(root / "usr", "inside:x:7:7::/:\n")
    (root / "etc").symlink_to("/usr/etc")
    assert [account.name for account in Accounts.read(root).users] == ["inside"]


def test_a_circle_of_links_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").symlink_to("group")
    (tmp_path / "etc/group").symlink_to("passwd")
    with pytest.raises(HostError, match="Too many levels of symbolic links"):
        Accounts.read(tmp_path)


def test_a_link_that_is_laid_meanwhile_leads_nowhere_else(tmp_path: Path) -> None:
    root = root_with(tmp_path / "root", "inside:x:7:7::/:\n")
    root_with(tmp_path / "host", "outside:x:8:8::/:\n")
    stop = threading.Event()

    def swap() -> None:
        (root / "link").symlink_to(tmp_path / "host/etc")
        while not stop.is_set():
            for names in (("etc", "kept"), ("link", "etc"), ("etc", "link"), ("kept", "etc")):
                (root / names[0]).rename(root / names[1])

    with ThreadPoolExecutor(1) as pool:
        swapping = pool.submit(swap)
        try:
            found = {user.name for _ in range(2000) for user in Accounts.read(root).users}
        finally:
            stop.set()
        swapping.result()
    assert found <= {"inside"}


def test_a_pipe_in_place_of_the_file_neither_hangs_nor_passes(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    os.mkfifo(tmp_path / "etc/passwd")
    with pytest.raises(HostError, match="not a regular file"):
        Accounts.read(tmp_path)
