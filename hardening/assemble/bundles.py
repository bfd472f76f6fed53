"""The bundles of running commands, in the state directory: each held for as long as it is needed (`hardening.base.locks`).

Whoever makes one holds it before anything is written into it, and hands the lock on to the launch stage.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from hardening.base import locks, places, state, trees
from hardening.base.pointer import CONFIG
from hardening.errors import LaunchError
from hardening.launch.config.bundle import read_table


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
        place = locks.lock(str(path.parent), shared=True)
        try:
            lock = locks.make(path.name, place, 0o777, shared=True)
        finally:
            os.close(place)
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
    folder = locks.lock(str(place))
    try:
        abandoned = [(path, lock) for path in place.iterdir() if (lock := locks.try_lock(str(path))) is not None]
    finally:
        os.close(folder)
    for path, lock in abandoned:
        try:
            remove_groups(path)
            discard(path)
        finally:
            os.close(lock)


def discard(path: Path) -> None:
    """Remove a bundle that nobody uses, or what there is of one, as far as that can be done."""
    with suppress(OSError):
        trees.remove(str(path))


def remove_groups(path: Path) -> None:
    """Remove the control groups that a bundle names, where one was written: it is held, and nothing of it runs."""
    from hardening.launch import cgroups

    # One that was not written to its end says nothing, and nothing was started of it.
    linux = read_table(str(path), CONFIG).get("linux")
    name = linux.get("cgroupsPath") if isinstance(linux, dict) else None
    if isinstance(name, str):
        cgroups.remove_abandoned(name)
