"""Locks (flock(2)): what outlives a process is locked for as long as somebody is there to remove it.

Each launch has a directory of its own in the state directory (`hardening.launch.container.directory`), and locks it:

- who makes one has locked the *folder* of all, shared, until the new directory is locked (`lock`, `make`);
- who looks for what nobody has locked has the folder alone: nobody is between making a directory and locking it;
- what can be locked alone (`try_lock`), nobody will remove but the one who has locked it.

So nothing has to grow old before it may be removed, and a process that is killed needs nobody to tell.
"""

from __future__ import annotations

import errno
import fcntl

from hardening.base import files
from hardening.base.linux.system import os

_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def open_directory(path: str, folder: int | None = None) -> int:
    """A descriptor of a directory, never through a symbolic link. Raises `OSError`."""
    return os.open(path, _DIRECTORY, dir_fd=folder)


def acquire(fd: int, *, shared: bool = False, wait: bool = True) -> int:
    """Lock what a descriptor is of, alone or with others: the descriptor, which is closed where that fails. Raises
    `OSError`, and `BlockingIOError` for what somebody else has locked where nobody is to ``wait``."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(fd)
        raise
    return fd


def lock(path: str, folder: int | None = None, *, shared: bool = False) -> int:
    """Lock a directory, alone or with others, as soon as that can be: its descriptor. Raises `OSError`."""
    return acquire(open_directory(path, folder), shared=shared)


def lock_file(path: str, *, shared: bool = False, wait: bool = True) -> int:
    """Lock a file that is there for that alone, and made where it is missing: its descriptor. Raises as `acquire` does."""
    return acquire(os.open(path, _LOCK, 0o600), shared=shared, wait=wait)


def make(name: str, folder: int, mode: int) -> int:
    """Make a directory of just this mode in a folder that is locked, and lock it: its descriptor. Raises `OSError`."""
    if not files.make_directory(name, mode, folder):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
    try:
        return lock(name, folder)
    except OSError:
        os.rmdir(name, dir_fd=folder)
        raise


def try_lock(path: str, folder: int | None = None) -> int | None:
    """Lock a directory alone that nobody has locked: its descriptor; None for one that somebody has, that is gone, and for
    what is no directory. Raises `OSError`."""
    try:
        return acquire(open_directory(path, folder), wait=False)
    except (FileNotFoundError, NotADirectoryError, BlockingIOError):
        return None


def is_in_use(path: str) -> bool:
    """Whether somebody has locked a directory that is there, alone or with others. Raises `OSError`."""
    fd = try_lock(path)
    if fd is not None:
        os.close(fd)
    return fd is None and files.exists(path)


def is_locked(path: str, folder: int | None = None, *, file: bool = False) -> bool:
    """Whether somebody has locked a directory, or a ``file``, alone. Raises `OSError` for what is none."""
    try:
        fd = (files.open_file if file else open_directory)(path, folder)
    except FileNotFoundError:
        return False
    try:
        os.close(acquire(fd, shared=True, wait=False))
    except BlockingIOError:
        return True
    return False
