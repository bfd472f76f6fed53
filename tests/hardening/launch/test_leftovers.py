"""What counts as left of a launch: whatever nobody holds, but for a container whose end is written down."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from hardening.launch import main
from hardening.launch.container_state import KILLED, Entry, describe, ended
from hardening.launch.leftovers import BLANK, FOLDERS, any_left, has_ended


def entry(state: Path, identity: str) -> Entry:
    arguments = main.parse(["--record", str(state / "containers" / identity), "--detach", "/b"])
    made = Entry(arguments.record, describe(arguments, {}))
    made.create("")
    return made


def test_an_end_is_told_from_none() -> None:
    assert not has_ended(b"")
    assert not has_ended(BLANK)
    assert has_ended(ended(0, killed=False).encode())
    assert len(ended(KILLED, killed=True).encode()) == len(BLANK)


def test_a_container_is_left_once_its_stage_is_gone_without_a_word(tmp_path: Path) -> None:
    made = entry(tmp_path, "one")
    assert not any_left(str(tmp_path))
    os.close(made._fd)
    assert any_left(str(tmp_path))


def test_a_container_that_has_ended_is_kept_and_not_left(tmp_path: Path) -> None:
    made = entry(tmp_path, "one")
    made.finish(0)
    os.close(made._fd)
    assert not any_left(str(tmp_path))


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_nobody_holds_is_left(folder: str, tmp_path: Path) -> None:
    assert not any_left(str(tmp_path))
    (tmp_path / folder / "one").mkdir(parents=True)
    assert any_left(str(tmp_path))
    held = os.open(tmp_path / folder / "one", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_SH)
    assert not any_left(str(tmp_path))
    os.close(held)


def test_a_file_is_none_of_a_launch(tmp_path: Path) -> None:
    (tmp_path / "bundles").mkdir()
    (tmp_path / "bundles/file").touch()
    assert not any_left(str(tmp_path))
