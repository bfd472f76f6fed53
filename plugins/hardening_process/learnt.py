"""Limits with head-room over the most that runs came to: a peak of one run is no promise for the next."""

from __future__ import annotations

from collections.abc import Iterator

from hardening.base.units import show_size
from hardening.mechanism.evidence import Evidence, LearntStatement
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import PRIVATE, Isolation
from hardening_process.kinds import NO_CEILING, ResourceLimit, RlimitKind
from hardening_process.settings import ProcessSettings

#: The least that a learnt limit leaves, as a number and in bytes.
_LEAST, _LEAST_MEMORY = 64, 64 << 20


def learnt(settings: ProcessSettings, context: Context, evidence: Evidence) -> Iterator[LearntStatement]:
    """Limits of open files and processes, and lower ceilings where there are some: a host may have no cgroups for others.
    Processes are counted for a user namespace: that of the host has others', too."""
    files, tasks, memory = (evidence.peaks.get(name, 0) for name in ("files", "tasks", "memory"))
    said = f"most tasks at a time: {tasks}"
    yield from _limit(settings, "nofile", files, f"most files open in a process: {files}")
    isolation = context.of(Isolation)
    if isolation is not None and isolation.where("user") == PRIVATE:
        yield from _limit(settings, "nproc", tasks, said)
    if tasks and _room(tasks, _LEAST) < settings.pids < NO_CEILING:
        yield LearntStatement(("resources", "pids"), _room(tasks, _LEAST), said)
    most = _room(memory, _LEAST_MEMORY)
    if memory and most < settings.memory < NO_CEILING:
        yield LearntStatement(("resources", "memory"), show_size(most), f"most memory at a time: {-(-memory >> 20)}M")


def _limit(settings: ProcessSettings, name: str, peak: int, comment: str) -> Iterator[LearntStatement]:
    limit, held = ResourceLimit(_room(peak, _LEAST), _room(peak, _LEAST)), settings.rlimits[name]
    if peak and limit != held and RlimitKind().is_no_looser_than(limit, held):
        yield LearntStatement(("rlimits", name), limit.hard, comment)


def _room(peak: int, least: int) -> int:
    """At least twice as much, as a power of two."""
    return max(least, 1 << (2 * peak).bit_length())
