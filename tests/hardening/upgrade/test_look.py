"""Two trees of files, compared: what comes of it is values that one process can hand to another."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import attrs
import pytest

from hardening.upgrade import look
from hardening.upgrade.difference import Difference
from hardening.upgrade.look import Compared
from tests.hardening.upgrade.test_foretell import QUIET, tree

CHROOT = "int main(void) { return syscall(SYS_chroot, 0) == 0; }"


@pytest.fixture(autouse=True)
def unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    """What compares bounds the processor time of its process, which is that of the tests here."""
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)


def compared(tmp_path: Path, command: str = "") -> Difference:
    """The new tree held against the old one."""
    return look.compare(Compared([str(tmp_path / "new")], [str(tmp_path / "old")], command=command), [])


def test_a_call_that_is_new_is_found_with_the_program_that_makes_it(tmp_path: Path) -> None:
    tree(tmp_path / "old", QUIET)
    tree(tmp_path / "new", CHROOT)
    found = compared(tmp_path)
    assert [(call.number, call.program, call.likely) for call in found.calls] == [(161, "/usr/bin/demo", True)]
    assert 161 in found.called["/usr/bin/demo"]
    assert (found.programs, found.machine) == (1, "x86_64")


def test_what_is_as_it_was_is_not_looked_at(tmp_path: Path) -> None:
    for place in ("old", "new"):
        tree(tmp_path / place, CHROOT)
    found = compared(tmp_path)
    assert (found.programs, list(found.calls)) == (0, [])


def test_a_command_that_is_not_there_is_missing(tmp_path: Path) -> None:
    tree(tmp_path / "old", QUIET)
    (tmp_path / "new").mkdir()
    found = compared(tmp_path, command="demo")
    assert [(item.path, item.what) for item in found.missing] == [("demo", "the command")]


def test_a_difference_goes_through_json(tmp_path: Path) -> None:
    tree(tmp_path / "old", QUIET)
    tree(tmp_path / "new", CHROOT)
    (tmp_path / "new/var/lib/demo").mkdir(parents=True)
    found = attrs.asdict(compared(tmp_path))
    assert found["directories"] == ["/var/lib/demo"]
    assert attrs.asdict(Difference.of(json.loads(json.dumps(found)))) == found
