"""Removing a directory with all below it: through no symbolic link, across no mount, and however deep it is.

By descriptors, so that nobody who renames a directory meanwhile leads the removal elsewhere; with two of them, and no
function that calls itself. What a container or an image makes is as deep as it likes: `shutil.rmtree` holds a descriptor for
each level, or a frame of Python's stack.
"""

from __future__ import annotations

import errno

from hardening.base import files
from hardening.base.files import Opened
from hardening.base.linux import abi, kernel
from hardening.base.linux.system import os

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_OPEN = 0o700


def remove(path: str | bytes, folder: int | None = None, *, closed: bool = False) -> None:
    """Remove a directory, seen from one that is held open; one that is gone already is fine. With ``closed`` it belongs to
    the caller, and its directories may be closed to him. Raises `OSError`, also for what is no directory, and where
    something is mounted on or in it, which stays as it is."""
    above, slash, name = (files.encode(path) if isinstance(path, str) else path).rpartition(b"/")
    try:
        # Mounts on the way to it are no matter.
        parent = os.open(above or slash or b".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return
    with Opened(parent):
        try:
            top = _open(name, parent, closed=closed)
        except FileNotFoundError:
            return
        with Opened(top):
            _clear(top, closed=closed)
        os.rmdir(name, dir_fd=parent)


def _clear(top: int, *, closed: bool) -> None:
    """Remove whatever is in an open directory. Nobody else moves its parts meanwhile; where somebody does, that is an
    error. Raises `OSError`, as `remove` does."""
    here = os.dup(top)
    left = _unlink_files(here)
    way: list[tuple[list[str], os.stat_result]] = []  # of each directory above: what it has left, and which it is
    try:
        while left or way:
            if left:
                below = _open(files.encode(left[-1]), here, closed=closed)
                way.append((left, os.fstat(here)))
                os.close(here)
                here = below
                left = _unlink_files(here)
                continue
            left, wanted = way.pop()
            above = kernel.openat2(here, b"..", _FOLDER, abi.RESOLVE_NO_XDEV)
            os.close(here)
            here = above
            if not files.same(os.fstat(here), wanted):
                raise OSError("a directory was moved while it was removed")
            os.rmdir(left.pop(), dir_fd=here)
    finally:
        os.close(here)


def _unlink_files(folder: int) -> list[str]:
    """Remove all but the directories in one: the names of these."""
    inner = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                inner.append(entry.name)
                continue
            try:
                os.unlink(entry.name, dir_fd=folder)
            except FileNotFoundError:  # who made it was faster
                continue
    return inner


def _open(name: bytes, folder: int, *, closed: bool) -> int:
    # By the device a directory of the same file system that is mounted here would not show.
    try:
        if closed:  # once it is seen to be a directory, where nobody else can make it a link
            os.close(kernel.openat2(folder, name, _FOLDER | os.O_PATH, abi.RESOLVE_NO_XDEV))
            os.chmod(name, _OPEN, dir_fd=folder)
        return kernel.openat2(folder, name, _FOLDER, abi.RESOLVE_NO_XDEV)
    except OSError as error:
        why = "something is mounted on it" if error.errno == errno.EXDEV else error.strerror
        raise OSError(error.errno, why, files.decode(name)) from None
