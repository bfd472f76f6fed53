"""What is held, and what is left of a launch: whatever nobody holds, but for a container whose end is written down."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardening.base import files, locks
from hardening.base.locks import BLANK, FOLDERS, any_left, has_ended
from hardening.launch.container.container_state import KILLED, Entry, describe, ended
from hardening.launch.request import LaunchRequest


def entry(state: Path, identity: str) -> Entry:
    request = LaunchRequest(id=identity, state=str(state), detach=True)
    made = Entry(request.directory, describe(request, {}))
    made.create("")
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    found = locks.lock(str(tmp_path), shared=True)
    yield found
    os.close(found)


def test_what_is_made_is_held_and_taken_by_nobody(folder: int) -> None:
    for shared in (False, True):
        lock = locks.make("one", folder, 0o700, shared=shared)
        assert locks.try_lock("one", folder) is None
        assert locks.is_locked("one", folder) is not shared
        os.close(lock)
        taken = locks.try_lock("one", folder)
        assert taken is not None
        assert locks.try_lock("one", folder) is None
        assert locks.is_locked("one", folder)
        os.close(taken)
        assert not locks.is_locked("one", folder)
        os.rmdir("one", dir_fd=folder)


def test_no_two_make_one(folder: int) -> None:
    lock = locks.make("one", folder, 0o700)
    with pytest.raises(FileExistsError):
        locks.make("one", folder, 0o700)
    assert locks.is_locked("one", folder)
    os.close(lock)


def test_who_looks_has_the_folder_alone(tmp_path: Path, folder: int) -> None:
    assert locks.try_lock(str(tmp_path)) is None
    os.close(locks.lock(str(tmp_path), shared=True))  # others may make something, too


def test_what_is_no_directory_is_neither_held_nor_taken(tmp_path: Path, folder: int) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("file", "link", "missing"):
        assert locks.try_lock(name, folder) is None
    assert not locks.is_locked("missing", folder)
    for name in ("file", "link"):
        with pytest.raises(NotADirectoryError):
            locks.is_locked(name, folder)


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
    lock = locks.lock(str(tmp_path / folder / "one"), shared=True)
    assert not any_left(str(tmp_path))
    os.close(lock)


def test_a_file_is_none_of_a_launch(tmp_path: Path) -> None:
    (tmp_path / "bundles").mkdir()
    (tmp_path / "bundles/file").touch()
    assert not any_left(str(tmp_path))


@pytest.mark.parametrize("kind", ["fifo", "link", "dangling", "directory"])
def test_what_stands_in_the_place_of_the_end_is_damage_and_nothing_that_is_left(tmp_path: Path, kind: str) -> None:
    made = entry(tmp_path, "one")
    path = tmp_path / "containers/one/exit"
    path.unlink()
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case _:
            path.symlink_to("/dev/zero" if kind == "link" else "nothing")
    with pytest.raises(OSError, match=r"is not a regular file|Too many levels"):
        files.open_file(str(path))
    os.close(made._fd)
    assert not any_left(str(tmp_path))
    made.remove()
    assert not path.parent.exists()
