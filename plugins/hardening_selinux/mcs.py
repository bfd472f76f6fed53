"""Pairs of MCS categories, reserved on disk so that no two containers of one state directory have the same.

There is no daemon to remember who has which pair: each reservation is a *lease*, a file in one directory, named
``c<A>,c<B>.<token>``. All reservations happen under one lock. Whoever reserves also clears away the leases that are
dead; so a pair comes back after a crash, too. A lease lives as long as one of these holds:

- the process that reserved it runs. `hardening run` becomes the launcher by execve(2), so this is the whole run;
- the bundle that it was made for exists and names it, unless that bundle belongs to a single run;
- a launch holds the lease's flock(2), which it takes for the life of the container.

The lock is only tried when the first two do not hold: else a launch that starts right now could find it taken. The
token keeps a bundle whose lease has died from ever being launched with a pair that somebody else has by now: the file
that it names is gone.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path

import attrs

from hardening.base import files, locks
from hardening.base.files import Opened
from hardening.base.pointer import CONFIG
from hardening.base.values import frozen
from hardening.errors import LaunchError
from hardening.launch.config.bundle import load, read_table
from hardening.launch.container import leases
from hardening_selinux.labels import CATEGORIES

#: Where leases lie in a state directory.
FOLDER = "selinux/mcs"
_NAME = re.compile(r"c(\d{1,4}),c(\d{1,4})\.[0-9a-f]{16}")
_LOCK = "lock"
#: How long, in seconds, a reservation counts whose process cannot be seen from this PID namespace.
_UNSEEN = 600

Pair = tuple[int, int]


@frozen
class Lease:
    """A reserved pair, in ascending order, and its file."""

    pair: Pair
    path: Path


@frozen
class CategoryHolder:
    """Who reserved a lease: a process, told apart from a later one of the same number by its start (clock ticks since
    boot) and the boot; ``bundle`` is the directory that keeps the lease alive, empty where only the run does."""

    bundle: str
    pid: int
    start: int
    boot: str
    namespace: str


def reserve(folder: Path, bundle: Path | None, categories: Sequence[int] = range(CATEGORIES)) -> Lease:
    """Reserve a free pair in ``folder``, which is made if it is missing.

    ``bundle`` is the directory whose existence keeps the pair, None where the life of this process does. ``categories``
    are those to choose from. Raises `LaunchError` where the folder cannot be used, or no pair is free.
    """
    try:
        with locked(folder):
            taken = living(folder)
            pair = choose(categories, taken)
            lease = Lease(pair, folder / f"c{pair[0]},c{pair[1]}.{os.urandom(8).hex()}")
            _write(lease.path, _myself(bundle))
            return lease
    except OSError as error:
        raise LaunchError(
            f"cannot reserve SELinux categories: {error.strerror}",
            origin=folder,
            hint="set HARDENING_STATE to a directory of your own",
        ) from None


def choose(categories: Sequence[int], taken: dict[Pair, Path] | None = None) -> Pair:
    """A random pair that is not taken; raises `LaunchError` where there is none."""
    from random import SystemRandom  # only hosts with SELinux need it

    taken = taken or {}
    total = len(categories) * (len(categories) - 1) // 2
    generator = SystemRandom()
    if len(taken) < total // 2:
        while True:
            first, second = sorted(generator.sample(categories, 2))
            if (first, second) not in taken:
                return first, second
    free = [
        (first, second)
        for index, first in enumerate(categories)
        for second in categories[index + 1 :]
        if (first, second) not in taken
    ]
    if not free:
        raise LaunchError(
            f"no pair of SELinux categories is free: {len(taken)} are in use",
            hint="remove bundles that are no longer needed, or give selinux.level",
        )
    return generator.choice(free)


def locked(folder: Path) -> Opened:
    """The lock of the folder, which is made if it is missing. Raises `OSError`."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Opened(locks.lock_file(str(folder / _LOCK)))


def living(folder: Path) -> dict[Pair, Path]:
    """The pairs that are in use, with their lease files; dead leases are removed. The folder is locked. Raises `OSError`."""
    found: dict[Pair, Path] = {}
    for entry in os.scandir(folder):
        match = _NAME.fullmatch(entry.name)
        if match is None:
            continue
        path = folder / entry.name
        if is_alive(path):
            found[int(match[1]), int(match[2])] = path
        else:
            path.unlink(missing_ok=True)
    return found


def is_alive(lease: Path) -> bool:
    """Whether a lease still holds; raises `OSError` where that cannot be found out."""
    if not lease.is_file() and not lease.is_symlink():  # what is in its place is none
        return False
    try:
        holder = CategoryHolder(**read_table(str(lease.parent), lease.name))
    except TypeError:
        # Written under the lock, so whoever wrote it died over it and never used it.
        holder = None
    if holder is not None and (_runs(holder, lease) or _owned(holder, lease)):
        return True
    return locks.is_locked(str(lease), file=True)


def _runs(holder: CategoryHolder, lease: Path) -> bool:
    if holder.boot != _boot():
        return False
    if holder.namespace != _namespace():
        return time.time() - lease.stat().st_mtime < _UNSEEN
    return files.started(holder.pid) == holder.start


def _owned(holder: CategoryHolder, lease: Path) -> bool:
    """Whether the bundle exists and is the one for which the lease was made, not a later one in its place."""
    if not holder.bundle:
        return False
    try:
        return str(lease) in leases.paths(load(holder.bundle).document, CONFIG)
    except (LaunchError, ValueError, AttributeError) as error:
        # One that is there and cannot be understood may be in use, and is not given away.
        return not isinstance(error.__cause__, FileNotFoundError | NotADirectoryError)


def _myself(bundle: Path | None) -> CategoryHolder:
    pid = os.getpid()
    return CategoryHolder(str(bundle.absolute()) if bundle else "", pid, files.started(pid) or 0, _boot(), _namespace())


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _namespace() -> str:
    return os.readlink("/proc/self/ns/pid")


def _write(path: Path, holder: CategoryHolder) -> None:
    files.create(str(path), json.dumps(attrs.asdict(holder)).encode())
