"""Whether a command runs from an unpacked root: by what is mounted, and by the bundles that are held."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from hardening.base import locks, places, state
from hardening.base.pointer import CONFIG
from hardening.launch.container.directory import BUNDLE


def user(holder: Path) -> str | None:
    """Who uses the root in a directory of the store, in words; None where nobody does. A command of another user cannot: the
    store is the caller's own."""
    name = os.fsencode(holder.name)
    for pid in os.listdir("/proc"):
        if pid.isdecimal() and name in _mounts(pid):
            return f"the process {pid}"
    for bundle in _held():
        with suppress(OSError):
            if name in (bundle / CONFIG).read_bytes():
                return f"the bundle {bundle}"
    return None


def _mounts(pid: str) -> bytes:
    """The mounts of a process, which show from where each is bound (proc_pid_mountinfo(5))."""
    try:
        return Path(f"/proc/{pid}/mountinfo").read_bytes()
    except OSError:  # it has ended, or is another user's
        return b""


def _held() -> Iterator[Path]:
    """The bundles that a launch holds, or is about to use."""
    place = state.location()
    for launch in (place / places.LAUNCHES).glob("*"):
        if _is_held(launch):
            yield launch / BUNDLE
    for entry in (place / places.CACHE).glob("*/*"):
        if _is_held(entry):
            yield entry / "bundle"


def _is_held(path: Path) -> bool:
    try:
        return locks.is_in_use(str(path))
    except OSError:
        return True
