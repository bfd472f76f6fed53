"""Locks of directories."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardening.base import locks


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    found = locks.lock(str(tmp_path), shared=True)
    yield found
    os.close(found)


def test_what_is_made_is_held_and_taken_by_nobody(folder: int) -> None:
    for shared in (False, True):
        lock = locks.make("one", folder, 0o700)
        if shared:
            fcntl.flock(lock, fcntl.LOCK_SH)
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
