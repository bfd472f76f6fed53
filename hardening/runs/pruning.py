"""Removing what launches have left that were killed with all that would have cleaned up after them: bundles, control groups,
containers of other runtimes, and entries for `hardening ps`. Nobody has locked the directory of such a launch any more."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from hardening.assemble import bundles
from hardening.base import locks, places, state, trees
from hardening.base.files import Opened
from hardening.errors import HardeningError, LaunchError
from hardening.launch.container import container_state, directory
from hardening.launch.oci import ociprogram


def prune(place: Path) -> tuple[HardeningError, ...]:
    """Prune a state directory, which the caller alone can write: what cannot be removed, and why, which keeps nothing else
    from being pruned, or from being launched. Raises `LaunchError`."""
    try:
        if not directory.any_left(str(place)):
            return ()
        # Meanwhile nobody makes another one, which could have the same control groups.
        with Opened(locks.lock(str(place / places.LAUNCHES))) as folder:
            left = [name for name in sorted(os.listdir(folder)) if directory.is_left(name, folder)]
            problems = [_prune_one(place / places.LAUNCHES / name, name, folder) for name in left]
    except OSError as error:
        raise _failed(error, error.filename or place, state.ANOTHER) from None
    return tuple(problem for problem in problems if problem is not None)


def _prune_one(path: Path, name: str, folder: int) -> HardeningError | None:
    try:
        return _end_launch(path, name, folder)
    except OSError as error:
        return _failed(error, path, "unmount what is mounted there, and remove it")


def _failed(error: OSError, origin: object, hint: str) -> LaunchError:
    what = f"cannot remove what a launch has left that was killed: {error.strerror}"
    return LaunchError(what, origin=origin, hint=hint)


def _end_launch(path: Path, name: str, folder: int) -> HardeningError | None:
    """Do what a launcher would have done, had it not been killed. What is written down of the container stays
    where that was to stay, and says that it has ended. Raises `OSError`."""
    from hardening.runs import containers  # what few starts need

    problem = None
    lock = locks.try_lock(name, folder)
    if lock is None:
        return None
    with Opened(lock):
        if (path / directory.RUNTIME).is_dir():
            problem = ociprogram.prune(str(path / directory.RUNTIME))
        if (path / directory.BUNDLE).is_dir():
            bundles.remove_groups(path / directory.BUNDLE)
            trees.remove(str(path / directory.BUNDLE))
        if (path / directory.COPIES).is_dir():
            from hardening.images import removal  # only a trial run leaves copies

            removal.remove_tree(path / directory.COPIES)
    # One that is damaged is for `hardening ps` to show, and for `rm`.
    with suppress(HardeningError):
        container = containers.read(path)
        if container is None or container.is_over:
            container_state.remove(str(path))
        elif not (container.end or container.damage):
            container_state.abandon(str(path), keep=True)
    return problem
