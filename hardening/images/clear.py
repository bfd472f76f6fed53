"""Removing a directory with all below it, however deep: with two descriptors, and no function that calls itself.

What an image makes is as deep as it likes; `shutil.rmtree` holds a descriptor for each level, or a frame of Python's stack.
"""

from __future__ import annotations

import os
from contextlib import suppress

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN = 0o700


def remove(name: str | bytes, folder: int | None = None, *, closed: bool = False) -> None:
    """Remove the directory ``name``, seen from a directory that is held open. With ``closed`` it belongs to the caller, and
    its directories may be closed to him. Raises `OSError`."""
    top = _open(name, folder, closed=closed)
    try:
        _clear(top, closed=closed)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=folder)


def _clear(top: int, *, closed: bool) -> None:
    """Remove whatever is in a directory. Nobody else moves its parts meanwhile; where somebody does, that is an error."""
    here = os.dup(top)
    left = _unlink_files(here)
    way: list[tuple[list[str], tuple[int, int]]] = []  # of each directory above: what it has left, and which it is
    try:
        while left or way:
            if left:
                below = _open(left[-1], here, closed=closed)
                way.append((left, _identity(here)))
                os.close(here)
                here = below
                left = _unlink_files(here)
                continue
            left, wanted = way.pop()
            above = os.open("..", _FOLDER, dir_fd=here)
            os.close(here)
            here = above
            if _identity(here) != wanted:
                raise OSError("a directory was moved while it was removed")
            os.rmdir(left.pop(), dir_fd=here)
    finally:
        os.close(here)


def _unlink_files(folder: int) -> list[str]:
    """Remove all but the directories in one: the names of those."""
    inner = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                inner.append(entry.name)
            else:
                with suppress(FileNotFoundError):
                    os.unlink(entry.name, dir_fd=folder)
    return inner


def _open(name: str | bytes, folder: int | None, *, closed: bool) -> int:
    if closed:  # it was just seen to be a directory, where nobody else can make it a link
        os.chmod(name, _OPEN, dir_fd=folder)
    return os.open(name, _FOLDER, dir_fd=folder)


def _identity(folder: int) -> tuple[int, int]:
    status = os.fstat(folder)
    return status.st_dev, status.st_ino
