"""The bundles of running commands, in the state directory: each held under a lock (flock(2)) for as long as it is needed.

Whoever makes one locks it before it writes anything into it, and hands the lock on to the launch stage. So one that nobody
holds is what a launch has left that was killed with all that would have cleaned up after it; the next launch removes it.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hardening import state
from hardening.errors import LaunchError
from hardening.launch import places
from hardening.spec import CONFIG


def folder(place: Path) -> Path:
    """Where they stand in a state directory; made if it is missing. Raises `LaunchError`."""
    path = place / places.BUNDLES
    try:
        state.make(path)
    except OSError as error:
        raise LaunchError(
            f"cannot make the folder for bundles: {error.strerror}",
            origin=path,
            hint=state.remedy(error),
        ) from None
    return path


def make(path: Path) -> int:
    """Make the empty bundle ``path`` and hold it: a descriptor that survives execve(2). Raises `LaunchError`."""
    try:
        with _locked(path.parent, fcntl.LOCK_SH):
            path.mkdir()
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            fcntl.flock(lock, fcntl.LOCK_SH)
    except OSError as error:
        raise LaunchError(
            f"cannot make the bundle: {error.strerror}",
            origin=path,
            hint=state.remedy(error),
        ) from None
    os.set_inheritable(lock, True)
    return lock


def sweep(place: Path) -> None:
    """Remove every bundle that nobody holds, with the control groups of its container. Raises `OSError`."""
    if not os.listdir(place):
        return
    abandoned = []
    # Nobody is between making one and locking it now.
    with _locked(place, fcntl.LOCK_EX):
        for path in place.iterdir():
            lock = _abandoned(path)
            if lock is not None:
                abandoned.append((path, lock))
    for path, lock in abandoned:
        try:
            remove_groups(path)
            shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(lock)


def _abandoned(path: Path) -> int | None:
    """The lock of a bundle that nobody else holds, else None."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # another sweep was faster, or it is no directory
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def remove_groups(path: Path) -> None:
    """Remove the control groups that a bundle names, where one was written: it is held, and nothing of it runs."""
    from hardening.launch import cgroups

    try:
        document = json.loads((path / CONFIG).read_bytes())
    except (OSError, ValueError):  # it was not written to its end, so nothing was started
        return
    linux = document.get("linux") if isinstance(document, dict) else None
    name = linux.get("cgroupsPath") if isinstance(linux, dict) else None
    if isinstance(name, str):
        cgroups.remove_abandoned(name)


@contextmanager
def _locked(place: Path, kind: int) -> Iterator[None]:
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)
