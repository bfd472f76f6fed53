"""Leases: files that the launch stage holds under flock(2) for as long as its container lives.

The annotation `org.hardening.leases` is a JSON list of absolute paths. Whoever reserved the name of a lease (an MCS
pair, for example) sees from the lock whether its container still runs, also after a crash.
"""

from __future__ import annotations

import _stat as stat
import errno
import fcntl

from hardening.errors import LaunchError
from hardening.launch import jsontext
from hardening.launch.system import os

ANNOTATION = "org.hardening.leases"


def paths(document: object, origin: str) -> tuple[str, ...]:
    """The lease files that a configuration names; `LaunchError` when the annotation is malformed."""
    annotations = document.get("annotations") if isinstance(document, dict) else None
    text = annotations.get(ANNOTATION) if isinstance(annotations, dict) else None
    if text is None:
        return ()
    place = f"{origin}:/annotations/{ANNOTATION}"
    if not isinstance(text, str):
        raise LaunchError("must be a string", origin=place)
    names = jsontext.parse(text.encode("utf-8", "replace"), place)
    if not isinstance(names, list) or not all(isinstance(name, str) and name.startswith("/") for name in names):
        raise LaunchError("must be a JSON list of absolute paths", origin=place)
    return tuple(names)


def hold(names: tuple[str, ...]) -> list[int]:
    """Lock each lease file; the descriptors keep the locks. `LaunchError` when one is missing or held."""
    held: list[int] = []
    try:
        for name in names:
            held.append(_hold_one(name))  # noqa: PERF401 - on failure the ones before must be released
    except LaunchError:
        release(held)
        raise
    return held


def _hold_one(name: str) -> int:
    try:
        fd = os.open(name, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise LaunchError(
            f"the lease cannot be opened: {error.strerror}", origin=name, hint="compose the bundle again"
        ) from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise LaunchError("the lease is not a regular file", origin=name)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise LaunchError(f"the lease cannot be locked: {error.strerror}", origin=name) from error
        raise LaunchError(
            "another running container holds this lease", origin=name, hint="compose the bundle again for a new one"
        ) from error
    return fd


def release(held: list[int]) -> None:
    """Give the locks back."""
    for fd in held:
        os.close(fd)


def remove(names: tuple[str, ...]) -> None:
    """Unlink the lease files; those already gone are fine."""
    for name in names:
        try:
            os.unlink(name)
        except FileNotFoundError:
            continue
