"""Removing what launches have left that were killed with all that would have cleaned up after them: bundles, control groups,
containers of other runtimes, and entries for `hardening ps`. Nobody holds such a thing any more (flock(2))."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from hardening.assemble import bundles
from hardening.base import locks, places
from hardening.errors import HardeningError, LaunchError


def tidy(place: Path) -> tuple[HardeningError, ...]:
    """Tidy a state directory up, which the caller alone can write: why containers of other runtimes cannot be deleted, which
    keeps nothing else from being tidied up, or from being launched. Raises `LaunchError`."""
    problems: tuple[HardeningError, ...] = ()
    try:
        if not locks.any_left(str(place)):
            return ()
        if (place / places.RUNTIMES).is_dir():
            from hardening.launch.oci import ociprogram

            problems = ociprogram.sweep(str(place / places.RUNTIMES))
        if (place / places.BUNDLES).is_dir():
            bundles.sweep(place / places.BUNDLES)
        if (place / places.CONTAINERS).is_dir():
            sweep_containers(place / places.CONTAINERS)
    except OSError as error:
        raise LaunchError(
            f"cannot remove what a launch has left that was killed: {error.strerror}",
            origin=error.filename or place,
            hint="remove it, or set HARDENING_STATE to another directory of your own",
        ) from None
    return problems


def sweep_containers(place: Path) -> None:
    """Do what the stages of containers would have done, had they not been killed: remove each that was not to stay, or was
    not complete, and write down that the others have ended. Raises `OSError`."""
    from hardening.launch.container import container_state
    from hardening.runs import containers

    for name in os.listdir(place):
        # One that is damaged is for `hardening ps` to show, and for `rm`.
        with suppress(HardeningError):
            container = containers.read(place / name)
            if container is None:
                _sweep(place, name)
            elif container.is_over:
                with suppress(FileNotFoundError):
                    container_state.remove(str(container.path), None)
            elif not (container.running or container.end or container.damage):
                container_state.abandon(str(container.path), keep=True)


def _sweep(place: Path, name: str) -> None:
    """Remove what a stage that was killed had not made complete, or had half removed."""
    from hardening.launch.container import container_state

    folder = locks.lock(str(place))
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            if not locks.is_locked(name, folder):
                container_state.remove(name, folder)
    finally:
        os.close(folder)
