"""What control groups have counted of what their own limits refused (cgroups(7)): nothing of what a limit of a group above
them, or below, has refused."""

from __future__ import annotations

from hardening.base import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def oom_kills(groups: Iterable[str]) -> int:
    """How many processes the kernel has killed in these groups when they had all the memory that they may have.

    A group counts the kills of a host without memory, too (memory.events, memory.oom_control): then its own limit was never
    reached. `OSError`, `ValueError` where the kernel does not say.
    """
    killed = 0
    for group in groups:
        failures = (_number(group, f"{counter}.failcnt") for counter in ("memory", "memory.memsw"))
        if _count(group, "oom", "memory.events.local", "memory.events") or any(failures):
            killed += _count(group, "oom_kill", "memory.events", "memory.oom_control")
    return killed


def refused_processes(groups: Iterable[str]) -> int:
    """How many processes could not be made in these groups, which had as many as they may have.

    A group of version 1, and of version 2 before Linux 6.11, counts what a group above refused, too: then it never had that
    many itself. `OSError`, `ValueError` where the kernel does not say.
    """
    refused = 0
    for group in groups:
        limit = files.join(group, "pids.max")
        if files.exists(limit) and _number(group, "pids.peak") >= int(files.read(limit)):
            refused += _count(group, "max", "pids.events.local", "pids.events")
    return refused


def _count(group: str, key: str, *names: str) -> int:
    """The number of a key in the first of these files that a group has; 0 without one."""
    paths = (files.join(group, name) for name in names)
    lines = next((files.read(path).splitlines() for path in paths if files.exists(path)), [])
    return int(dict(line.split(" ", 1) for line in lines).get(key, "0"))


def _number(group: str, name: str) -> int:
    path = files.join(group, name)
    return int(files.read(path)) if files.exists(path) else 0
