"""What there is: a census before a launch and one after it must be equal, item by item."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import attrs

from hardening_selinux import mcs
from tests.stress import arena

#: Seconds in which what was killed, and what cleans up after it, comes to an end. Not a limit on anybody's speed: a census
#: is final as soon as no process is left that could change it.
PATIENCE = 30.0


@attrs.frozen
class Census:
    """What there is, by kind; each item is one line of text."""

    items: Mapping[str, tuple[str, ...]]

    def minus(self, other: Census) -> dict[str, list[str]]:
        """What is here and not there."""
        found = {}
        for kind, lines in self.items.items():
            rest = list(other.items[kind])
            extra = [line for line in lines if line not in rest or rest.remove(line)]  # type: ignore[func-returns-value]
            if extra:
                found[kind] = extra
        return found

    def __str__(self) -> str:
        """How many items of each kind there are; reserved MCS pairs are files, and told besides."""
        reservations = sum(f"/{mcs.FOLDER}/c" in line for line in self.items["file"])
        counts = {**{kind: len(lines) for kind, lines in self.items.items()}, "reservation": reservations}
        return ", ".join(f"{kind} {count}" for kind, count in counts.items())


def take(folders: Iterable[Path]) -> Census:
    """Count mounts, processes, control groups, files below ``folders``, and locks on them."""
    files, inodes = _files(folders)
    groups = _groups()
    inodes |= {inode for path in groups if (inode := _inode_of(path))}
    return Census(
        {
            "mount": tuple(sorted(_mounts())),
            "process": tuple(sorted(processes(os.getpid()))),
            "cgroup": tuple(groups),
            "file": tuple(files),
            "lock": tuple(sorted(_locks(inodes))),
        }
    )


def settled(before: Census, folders: Iterable[Path], patience: float = PATIENCE) -> Census:
    """A census that equals ``before``, or the first one without a process that could still change something, or the last
    one when patience ends."""
    folders = tuple(folders)
    end = time.monotonic() + patience
    while True:
        reap()
        now = take(folders)
        if now == before or "process" not in now.minus(before) or time.monotonic() > end:
            return take(folders) if now != before else now
        time.sleep(0.01)


def difference(before: Census, after: Census) -> list[str]:
    """The exact difference, one line an item: ``+`` for what is left, ``-`` for what is missing."""
    lines = [f"+ {kind} {item}" for kind, items in after.minus(before).items() for item in _tops(items)]
    return lines + [f"- {kind} {item}" for kind, items in before.minus(after).items() for item in _tops(items)]


def _tops(items: list[str]) -> list[str]:
    """The items without those that lie in a directory that is an item itself."""
    places = [f"{item.split(' ')[0]}/" for item in items if item.startswith("/")]
    return [item for item in items if not any(item.startswith(place) for place in places)]


def reap() -> None:
    """Take the status of every orphan that has ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _mounts() -> list[str]:
    """Mounts of this mount namespace, without the numbers that name no place; an ordinary user's are others'."""
    if os.geteuid() != 0:
        return []
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [" ".join((line.split(" ")[3], line.split(" ")[4], line.split(" - ")[1])) for line in lines]


def processes(ancestor: int) -> list[str]:
    """Every descendant of a process, pid first: orphans of launches fall to this process, their subreaper."""
    found = []
    for children in Path(f"/proc/{ancestor}/task").glob("*/children"):
        try:
            pids = children.read_text().split()
        except OSError:  # it ended this moment
            continue
        for pid in pids:
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if state == "Z" and ancestor == os.getpid():  # to be reaped; whoever else has zombies keeps them
                continue
            found.append(f"{pid} {state} {command[:120]}")
            found += processes(int(pid))
    return found


def _groups() -> list[str]:
    if os.geteuid() != 0:
        return []
    return sorted(str(path) for path in Path("/sys/fs/cgroup").glob("**/") if path.name != "cgroup")


def _files(folders: Iterable[Path]) -> tuple[list[str], set[str]]:
    """Every name below the folders, and the inodes there. What is kept on purpose does not count: records, and entries
    of the cache that are whole."""
    names, inodes = [], set[str]()
    for folder in folders:
        for path in sorted((folder, *_below(folder))):
            if "records" in path.parts or _is_kept(path):
                continue
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue
            names.append(f"{path} {status.st_mode:o} {status.st_uid}")
            inodes.add(_inode(status))
    return names, inodes


def _below(folder: Path) -> Iterator[Path]:
    """Every path below a folder, but those of the program that is under stress."""
    left = set(map(str, arena.program_in(folder)))
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if os.path.join(place, name) not in left]
        yield from (Path(place, name) for name in (*folders, *names))


def _is_kept(path: Path) -> bool:
    """Whether a path is of an entry of the cache that is whole: ``cache/KEY/ENTRY/entry.json`` and what lies beside it."""
    if "cache" not in path.parts:
        return False
    place = Path(*path.parts[: path.parts.index("cache") + 3])
    if len(place.parts) > path.parts.index("cache") + 2:
        return (place / "entry.json").exists()
    return any(place.glob("*/entry.json"))


def _inode_of(path: str) -> str:
    """'' for a path that is gone this moment."""
    try:
        return _inode(os.stat(path))
    except FileNotFoundError:
        return ""


def _inode(status: os.stat_result) -> str:
    """As proc_locks(5) writes it."""
    return f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"


def _locks(inodes: set[str]) -> list[str]:
    """Locks on these inodes, or held by descendants of this process (proc_locks(5))."""
    own = {line.split(" ")[0] for line in processes(os.getpid())}
    found = []
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.replace("-> ", "").split()
        if fields[5] in inodes or fields[4] in own:
            found.append(" ".join(fields[1:6]))
    return found
