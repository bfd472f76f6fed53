"""What outlives a process, held for as long as somebody is there to remove it: the protocol of locks (flock(2)).

Each launch has directories of its own in folders of the state directory (`hardening.base.places`), and holds them:

- who makes one holds the *folder*, shared, until the new directory is held (`hold`, `make`);
- who looks for what nobody holds has the folder alone: nobody is between making a directory and holding it (`hold`);
- what can be taken (`take`), nobody will remove but the one who has taken it.

So nothing has to grow old before it may be removed, and a process that is killed needs nobody to tell.
"""

from __future__ import annotations

import _stat as stat
import errno
import fcntl

from hardening.base import places
from hardening.base.linux.system import os

#: Folders of the state directory with one entry for each launch.
FOLDERS = (places.BUNDLES, places.RUNTIMES, places.CONTAINERS)
#: The file in which a container's end is written down, and its content until then: its place is taken already, so that a
#: full disk cannot keep the end from it.
EXIT = "exit"
BLANK = b" " * 127 + b"\n"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def open_directory(path: str, folder: int | None = None) -> int:
    """A descriptor of a directory, never through a symbolic link. Raises `OSError`."""
    return os.open(path, _DIRECTORY, dir_fd=folder)


def open_file(path: str, folder: int | None = None) -> int:
    """A descriptor of a regular file, to read it: never through a symbolic link, and never waiting for who would write into
    a FIFO in its place. Raises `OSError`."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "is not a regular file", path)
    return fd


def hold(path: str, folder: int | None = None, *, shared: bool = False) -> int:
    """Hold a directory, alone or with others, as soon as that can be: its descriptor. Raises `OSError`."""
    fd = open_directory(path, folder)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    except OSError:
        os.close(fd)
        raise
    return fd


def make(name: str, folder: int, mode: int, *, shared: bool = False) -> int:
    """Make a directory in a folder that is held, and hold it: its descriptor. Raises `OSError`."""
    os.mkdir(name, mode, dir_fd=folder)
    try:
        return hold(name, folder, shared=shared)
    except OSError:
        os.rmdir(name, dir_fd=folder)
        raise


def take(path: str, folder: int | None = None) -> int | None:
    """Hold a directory alone that nobody holds: its descriptor; None for one that is held or gone, and for what is no
    directory. Raises `OSError`."""
    try:
        fd = open_directory(path, folder)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return fd


def is_held(path: str, folder: int | None = None, *, flags: int = _DIRECTORY) -> bool:
    """Whether somebody holds a directory alone, or with other ``flags`` (open(2)) a file. Raises `OSError` for what is
    neither."""
    try:
        fd = os.open(path, flags, dir_fd=folder)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def any_left(place: str) -> bool:
    """Whether there is something to remove in a state directory (`hardening.runs.tidying.tidy` does), because all who
    would have done so were killed. Raises `OSError`."""
    for name in FOLDERS:
        try:
            folder = open_directory(f"{place}/{name}")
        except FileNotFoundError:
            continue
        try:
            if any(_is_left(entry, folder) for entry in os.listdir(folder)):
                return True
        finally:
            os.close(folder)
    return False


def has_ended(content: bytes) -> bool:
    """Whether this content of `EXIT` says how a container ended."""
    return bool(content.strip())


def _is_left(name: str, folder: int) -> bool:
    fd = take(name, folder)
    if fd is None:
        return False
    try:
        # A container in the background stays when it has ended, until somebody removes it.
        return not has_ended(_read(EXIT, fd))
    except FileNotFoundError:
        return True
    except OSError:  # damage: for `hardening ps` to show, and for `rm`
        return False
    finally:
        os.close(fd)


def _read(name: str, directory: int) -> bytes:
    fd = open_file(name, directory)
    try:
        return os.read(fd, len(BLANK))
    finally:
        os.close(fd)
