"""The bundle of one launch, in the launch's own directory (`hardening.launch.container.directory`).

Whoever makes it has the directory locked before anything is written into it, and hands the lock on to the launcher.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from hardening.base import state, trees
from hardening.base.pointer import CONFIG, lookup
from hardening.errors import LaunchError
from hardening.launch.config.bundle import read_table
from hardening.launch.container import directory


def make(path: Path) -> int:
    """Make and lock the directory of a launch, in which its bundle ``path`` is to be: a descriptor that survives execve(2).
    Raises `LaunchError`."""
    try:
        lock = directory.make(str(path.parent))
        os.set_inheritable(lock, True)
    except OSError as error:
        hint = state.remedy(error)
        raise LaunchError(f"cannot make the bundle: {error.strerror}", origin=path, hint=hint) from None
    return lock


def discard(path: Path) -> None:
    """Remove a bundle that nobody uses, or what there is of one, as far as that can be done."""
    with suppress(OSError):
        trees.remove(str(path))


def remove_groups(path: Path) -> None:
    """Remove the control groups that a bundle names, where one was written: it is held, and nothing of it runs."""
    from hardening.launch.cgroup import removal

    # One that was not written to its end says nothing, and nothing was started of it.
    name = lookup(read_table(str(path), CONFIG), "/linux/cgroupsPath")
    if isinstance(name, str):
        removal.remove_abandoned(name)
