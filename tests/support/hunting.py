"""The search for a planted value: in files, in what the kernel shows of every process, in the memory of processes, in the
journal and in the log of the audit system."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

_BLOCK = 1 << 20
#: What a process shows of itself to others.
SHOWN = ("cmdline", "environ")


@cache
def forms(value: str) -> tuple[bytes, ...]:
    """A value as it would be found: as it is, in hexadecimal digits, and in base64 at each of the three places in a word."""
    data = value.encode()
    coded = (base64.b64encode(b"\0" * shift + data)[shift and 4 : -4] for shift in range(3))
    return (data, data.hex().encode(), data.hex().upper().encode(), *coded)


def in_files(value: str, places: Iterable[Path], without: Iterable[Path] = ()) -> list[str]:
    """The files below some places that hold a value, by name or content, but for those below ``without``."""
    return sorted(path for path in _below(places, without) if _shows(path, value))


def in_new(value: str, places: Iterable[Path], since: float, without: Iterable[Path] = ()) -> list[str]:
    """As `in_files`, in what was changed since a time: for places that are large, and everybody's."""
    return sorted(path for path in _below(places, without) if _changed(path) >= since - 1 and _shows(path, value))


def _below(places: Iterable[Path], without: Iterable[Path]) -> Iterator[str]:
    """The paths of everything below some places, as text: of many thousands, `Path` takes longer than the search."""
    left = set(map(str, without))
    for place in places:
        for folder, folders, names in os.walk(place):
            folders[:] = [name for name in folders if f"{folder}/{name}" not in left]
            yield from (f"{folder}/{name}" for name in (*folders, *names))


def entries(place: Path, since: float) -> list[Path]:
    """What was put into a directory since a time, or changed there; pytest's own is left out."""
    there = (path for path in place.iterdir() if not path.name.startswith("pytest-of-"))
    return [path for path in there if _changed(path) >= since - 1]


def _changed(path: str | Path) -> float:
    """When it was changed, in the coarse time of file systems."""
    try:
        return os.lstat(path).st_ctime
    except OSError:  # gone meanwhile
        return 0.0


def _shows(path: str, value: str) -> bool:
    """Whether the name or the content of a file holds a value, of a link its target."""
    if os.path.islink(path):
        return value in path + os.readlink(path)
    return value in os.path.basename(path) or (os.path.isfile(path) and _holds(path, value))


def _holds(path: str, value: str) -> bool:
    wanted = forms(value)
    overlap = max(map(len, wanted)) - 1
    before = b""
    try:
        with open(path, "rb") as file:
            while part := file.read(_BLOCK):
                if any(form in before + part for form in wanted):
                    return True
                before = part[-overlap:]
    except OSError:  # a socket, or gone meanwhile, or nothing that this user could have written
        return False
    return False


def in_processes(value: str) -> list[str]:
    """The files below /proc of every process that show a value, as PID/NAME."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for name in SHOWN:
            try:
                data = Path("/proc", pid, name).read_bytes()
            except OSError:  # it has ended
                continue
            if any(form in data for form in forms(value)):
                found.append(f"{pid}/{name}")
    return sorted(found)


def in_memory(value: str, pid: int) -> bool:
    """Whether a value is anywhere in the memory of a process: more than what a core dump of it would hold."""
    return any(form in data for data in _memory(pid) for form in forms(value))


def _memory(pid: int) -> Iterator[bytes]:
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights, *_ = line.split()
            start, end = (int(part, 16) for part in span.split("-"))
            if not rights.startswith("r") or line.endswith(("[vvar]", "[vsyscall]", "[vvar_vclock]")):
                continue
            memory.seek(start)
            try:
                yield memory.read(end - start)
            except OSError:  # a page behind the end of its file
                continue


def in_logs(value: str, since: float) -> list[str]:
    """The logs of the machine that hold a value: the journal since a time, and the log of the audit system."""
    argv = ["journalctl", "-q", "--no-pager", "-o", "export", f"--since=@{int(since)}"]
    journal = subprocess.run(argv, capture_output=True, check=False).stdout
    found = ["journal"] if any(form in journal for form in forms(value)) else []
    audit = "/var/log/audit/audit.log"
    return [*found, *([audit] if _holds(audit, value) else [])]
