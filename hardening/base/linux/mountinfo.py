"""The mounts that the kernel tells of (proc_pid_mountinfo(5)). It escapes space, tab, line feed, backslash and number
sign in names, and nothing else: no line ends but at a line feed, and no field but at a space."""

from __future__ import annotations

from hardening.base import files
from hardening.base.frozen import Frozen
from hardening.base.linux.system import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_OCTAL = frozenset("01234567")


def device(number: int) -> str:
    """The number of a file system (``st_dev``), as `MountInfo` has it."""
    return f"{os.major(number)}:{os.minor(number)}"


class MountInfo(Frozen):
    """One line: ``top`` is the part of the file system ``device`` (``major:minor``) that is seen at ``place``, ``options``
    are the mount's own, ``tags`` its propagation, ``kind`` and ``data`` are the file system's type and options. It is
    mounted in the one whose ``number`` is its ``parent``."""

    number: str
    parent: str
    device: str
    top: str
    place: str
    options: tuple[str, ...]
    tags: tuple[str, ...]
    kind: str
    data: tuple[str, ...]


def read(path: str = "/proc/self/mountinfo") -> list[MountInfo]:
    """The mounts of a process, in the order in which they were made. `OSError`."""
    return parse(lines(files.read(path)))


def lines(text: str) -> list[str]:
    """The lines of the file's text."""
    return text.removesuffix("\n").split("\n")


def parse(table: Iterable[str]) -> list[MountInfo]:
    """The mounts of some lines; what has not all fields is none."""
    found = []
    for line in table:
        first, last = fields(line)
        if len(first) >= 6 and len(last) >= 3:
            found.append(
                MountInfo(
                    number=first[0],
                    parent=first[1],
                    device=first[2],
                    top=plain(first[3]),
                    place=plain(first[4]),
                    options=tuple(first[5].split(",")),
                    tags=tuple(first[6:]),
                    kind=last[0],
                    data=tuple(last[2].split(",")),
                )
            )
    return found


def seen(mounts: Iterable[MountInfo]) -> list[MountInfo]:
    """Those that a path leads through, in their order: the ones on top, and none below what was mounted over a directory
    above it. That is told by what each is mounted in, and not by the order, which is that of making."""
    mounts = list(mounts)
    inside: dict[str, dict[str, MountInfo]] = {}  # by the number of the one, the places of those that are mounted in it
    for mount in mounts:
        inside.setdefault(mount.parent if mount.parent != mount.number else "", {})[mount.place] = mount
    numbers, found = {mount.number for mount in mounts}, set()
    # What the first are mounted in lies outside of the root, and is not told.
    pending = [mount for number, first in inside.items() if number not in numbers for mount in first.values()]
    while pending:
        mount = pending.pop()
        others = inside.pop(mount.number, {})
        if mount.place in others:
            pending.append(others[mount.place])
            continue
        found.add(mount.number)
        pending += [other for place, other in others.items() if not _is_covered(place, mount.place, others)]
    return [mount for mount in mounts if mount.number in found]


def _is_covered(place: str, top: str, others: dict[str, MountInfo]) -> bool:
    """Whether one of the ``others`` that are mounted in the same one is mounted over a directory between."""
    above = files.parent(place)
    while above not in (top, "/"):
        if above in others:
            return True
        above = files.parent(above)
    return False


def fields(line: str) -> tuple[list[str], list[str]]:
    """The fields of a line as they stand there: those of the mount, and those of its file system."""
    first, _, last = line.partition(" - ")
    return first.split(" "), last.split(" ")


def plain(name: str) -> str:
    """A name as it is, without the kernel's escapes."""
    first, *others = name.split("\\")
    for part in others:
        code = part[:3]
        escaped = len(code) == 3 and _OCTAL.issuperset(code)
        first += chr(int(code, 8)) + part[3:] if escaped else f"\\{part}"
    return first
