"""Whether a launch has left something that was killed with all that would have cleaned up after it.

Everything of a launch that outlives a process is held under flock(2) for as long as somebody is there to remove it.
"""

from __future__ import annotations

import fcntl

from hardening.launch import places
from hardening.launch.system import os

#: Folders of the state directory with one entry for each launch.
FOLDERS = (places.BUNDLES, places.RUNTIMES, places.CONTAINERS)
#: The file in which a container's end is written down, and its content until then: its place is taken already, so that a
#: full disk cannot keep the end from it.
EXIT = "exit"
BLANK = b" " * 127 + b"\n"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def any_left(place: str) -> bool:
    """Whether there is something to remove in a state directory (`hardening.tidying.tidy` does). Raises `OSError`."""
    for folder in FOLDERS:
        try:
            directory = os.open(f"{place}/{folder}", _DIRECTORY)
        except FileNotFoundError:
            continue
        try:
            if any(_is_left(name, directory) for name in os.listdir(directory)):
                return True
        finally:
            os.close(directory)
    return False


def has_ended(content: bytes) -> bool:
    """Whether this content of `EXIT` says how a container ended."""
    return bool(content.strip())


def _is_left(name: str, directory: int) -> bool:
    try:
        fd = os.open(name, _DIRECTORY, dir_fd=directory)
    except (FileNotFoundError, NotADirectoryError):  # it has just been removed, or is none of a launch
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A container in the background stays when it has ended, until somebody removes it.
        return not has_ended(_read(EXIT, fd))
    except BlockingIOError:
        return False
    except FileNotFoundError:
        return True
    finally:
        os.close(fd)


def _read(name: str, directory: int) -> bytes:
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        return os.read(fd, len(BLANK))
    finally:
        os.close(fd)
