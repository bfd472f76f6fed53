"""Leases: files that the launcher holds under flock(2) for as long as its container lives.

The annotation `org.hardening.leases` is a JSON list of absolute paths. Whoever reserved the name of a lease (an MCS
pair, for example) sees from the lock whether its container still runs, also after a crash.
"""

from __future__ import annotations

import _stat as stat

from hardening.base import files, jsontext, locks, places, trusted
from hardening.base.files import Opened
from hardening.base.linux.system import os
from hardening.base.pointer import lookup
from hardening.errors import LaunchError
from hardening.launch.config.bundle import LEASES

HINT = "compose the bundle again"
#: Folders of a state directory in which no lease lies.
OTHERS = (places.LAUNCHES, places.CACHE, places.RECORDS)


def paths(document: object, origin: str) -> tuple[str, ...]:
    """The lease files that a configuration names; `LaunchError` when the annotation is malformed."""
    text = lookup(document, f"/annotations/{LEASES}")
    if text is None:
        return ()
    place = f"{origin}:/annotations/{LEASES}"
    if not isinstance(text, str):
        raise LaunchError("must be a string", origin=place)
    names = jsontext.parse(text.encode("utf-8", "replace"), place)
    if not isinstance(names, list) or not all(isinstance(name, str) and name.startswith("/") for name in names):
        raise LaunchError("must be a JSON list of absolute paths", origin=place)
    return tuple(names)


def require_ours(names: tuple[str, ...], state: str, origin: str) -> None:
    """Raise `LaunchError` for what does not lie in this state directory, or is something else there: a bundle that was made
    elsewhere could have any file of the caller's locked, and removed at the end."""
    for name in names:
        folder = name.removeprefix(f"{state}/").partition("/")[0]
        if files.absolute(name) != name or not name.startswith(f"{state}/") or folder in OTHERS:
            raise LaunchError(
                f"{name} is not a lease of the state directory {state}",
                origin=f"{origin}:/annotations/{LEASES}",
                hint=f"{HINT}, or launch it with the HARDENING_STATE with which it was composed",
            )


def hold(names: tuple[str, ...]) -> dict[str, int]:
    """Lock each lease file: the descriptors that keep the locks, by name. `LaunchError` when one is missing or held."""
    held: dict[str, int] = {}
    try:
        for name in names:
            held[name] = _hold_one(name)
    except LaunchError:
        release(held)
        raise
    return held


def _hold_one(name: str) -> int:
    try:
        fd = _open(name)
    except OSError as error:
        raise LaunchError(f"the lease cannot be opened: {error.strerror}", origin=name, hint=HINT) from error
    try:
        locks.acquire(fd, wait=False)
    except BlockingIOError as error:
        raise LaunchError("another running container holds this lease", origin=name, hint=HINT) from error
    except OSError as error:
        raise LaunchError(f"the lease cannot be locked: {error.strerror}", origin=name) from error
    if not _lies_there(fd, name):
        os.close(fd)
        raise LaunchError("the lease was removed meanwhile", origin=name, hint=HINT)
    return fd


def _open(name: str) -> int:
    """Open a lease to read. To open a device would already do something, so that what it is is looked at before."""
    with Opened(os.open(name, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)) as place:
        status = os.fstat(place)
        if not stat.S_ISREG(status.st_mode):
            raise LaunchError("the lease is not a regular file", origin=name)
        if not trusted.is_own(status, f"/proc/self/fd/{place}"):
            raise LaunchError("the lease belongs to another user, or other users can write to it", origin=name)
        return os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_CLOEXEC)


def _lies_there(fd: int, name: str) -> bool:
    try:
        return files.same(os.fstat(fd), os.lstat(name))
    except FileNotFoundError:
        return False


def release(held: dict[str, int]) -> None:
    """Give the locks back."""
    for fd in held.values():
        os.close(fd)


def remove(held: dict[str, int]) -> None:
    """Unlink the lease files that this process holds. What lies in the place of one by now is another's, and stays."""
    for name, fd in held.items():
        if _lies_there(fd, name):
            os.unlink(name)


def remove_free(names: tuple[str, ...]) -> None:
    """Unlink the lease files that nobody holds; those already gone are fine."""
    for name in names:
        try:
            held = hold((name,))
        except LaunchError:
            continue
        try:
            remove(held)
        finally:
            release(held)
