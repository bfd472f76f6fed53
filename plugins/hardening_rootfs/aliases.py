"""The other names of a path: where the file system that holds it is mounted once more (proc(5), mountinfo)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from hardening.values import frozen
from hardening_rootfs.paths import is_below


@frozen
class Mounted:
    """A mount: ``device`` is its file system, ``top`` the directory of it that is seen at ``place``."""

    device: str
    top: str
    place: str


def mounted() -> tuple[Mounted, ...]:
    """The mounts of the caller, in the order in which they were made."""
    rows = (line.split() for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines())
    return tuple(Mounted(row[2], _plain(row[3]), _plain(row[4])) for row in rows)


def _plain(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def names(path: str, mounts: Iterable[Mounted]) -> tuple[str, ...]:
    """A path that has no links in it, and its other names; only those that really lead to the same file."""
    mounts = tuple(mounts)
    own = max((m for m in mounts if _holds(m.place, path)), key=lambda m: len(m.place), default=None)
    if own is None:
        return (path,)
    inside = _join(own.top, os.path.relpath(path, own.place))
    others = {
        _join(m.place, os.path.relpath(inside, m.top))
        for m in mounts
        if m.device == own.device and _holds(m.top, inside)
    }
    return (path, *sorted(other for other in others - {path} if _same(other, path)))


def _holds(directory: str, path: str) -> bool:
    return path == directory or is_below(path, directory)


def _join(directory: str, below: str) -> str:
    return os.path.normpath(os.path.join(directory, below))


def _same(one: str, other: str) -> bool:
    try:
        return os.path.samestat(os.lstat(one), os.lstat(other))
    except OSError:
        return False
