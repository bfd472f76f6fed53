"""The control group of a foreign configuration, within the ceilings of the settings.

What lowers a ceiling stays, in the specification's own fields and in those of ``unified``, which are files of the control
group (the kernel's admin-guide/cgroup-v2.rst). What lifts one, or gives what no ceiling counts (a burst, real-time
processor time, a group that the kernel does not kill), goes.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hardening.base import places, units
from hardening.base.pointer import escape, lookup
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Context, Violation
from hardening.mechanism.schema import Leaf
from hardening_process.kinds import CPU_PERIOD, below
from hardening_process.settings import ProcessSettings
from hardening_process.spec import cgroup_path, enforceable

_RESOURCES = "/linux/resources"
#: leaf below `resources` -> where the OCI spec has its number
_PLACES = {"pids": "pids/limit", "memory": "memory/limit", "memory_swap": "memory/swap"}
#: What no ceiling counts -> why it goes
_GRANTS = {
    "cpu/realtimeRuntime": "process.resources.cpu",
    "cpu/realtimePeriod": "process.resources.cpu",
    "memory/disableOOMKiller": "process.resources.memory",
}
_NUMBER = re.compile(r"[0-9]{1,15}")
_QUOTA = re.compile(r"([0-9]{1,15}) ([0-9]{1,15})")
#: Files of a control group that only take away, whatever they say.
_BOUNDS = re.compile(
    r"cpuset\.(cpus|mems)|cgroup\.max\.(depth|descendants)|(io|rdma|misc)\.max|hugetlb\.[0-9]+[KMG]B\.max"
)


def tighten(
    settings: ProcessSettings, document: Mapping[str, Any], context: Context, fragment: Fragment
) -> Iterator[Violation]:
    """Contribute the ceilings that the configuration exceeds or lacks; yield what it asked for beyond them."""
    ceilings = enforceable(settings, context)
    for name, ceiling in ceilings.items():
        leaf = f"process.resources.{name}"
        if name == "cpu":
            continue
        pointer = f"{_RESOURCES}/{_PLACES[name]}"
        asked = lookup(document, pointer)
        # Of pids 0 means no limit, as every negative number does.
        finite = None if asked is None or asked <= 0 else asked
        if below(finite, ceiling):
            continue
        if asked is not None:
            yield Violation(pointer, "unlimited" if finite is None else str(asked), str(ceiling), leaf)
        fragment.put(pointer, ceiling, leaf)
    if "cpu" in ceilings:
        yield from _cpu(ceilings["cpu"], document, fragment)
    for place, leaf in _GRANTS.items():
        asked = lookup(document, f"{_RESOURCES}/{place}")
        if asked:
            yield Violation(f"{_RESOURCES}/{place}", str(asked).lower(), "none: no ceiling counts it", leaf)
            fragment.put(f"{_RESOURCES}/{place}", None, leaf)
    yield from _unified(ceilings, document, fragment)
    yield from _cgroup(settings, document, context, fragment)


def _cpu(ceiling: int, document: Mapping[str, Any], fragment: Fragment) -> Iterator[Violation]:
    """The quota, and the burst by which a period may exceed it, within the ceiling together."""
    pointer, leaf = f"{_RESOURCES}/cpu", "process.resources.cpu"
    quota, burst = (lookup(document, f"{pointer}/{name}") for name in ("quota", "burst"))
    period = lookup(document, f"{pointer}/period") or CPU_PERIOD
    if quota is None or quota <= 0 or quota * CPU_PERIOD > ceiling * period:
        if quota is not None:
            asked = "unlimited" if quota <= 0 else f"{quota} of {period}"
            yield Violation(f"{pointer}/quota", asked, f"{ceiling} of {CPU_PERIOD}", leaf)
        quota, period = ceiling, CPU_PERIOD
        fragment.put(f"{pointer}/quota", quota, leaf)
        fragment.put(f"{pointer}/period", period, leaf)
    room = ceiling * period // CPU_PERIOD - quota
    if burst is not None and burst > room:
        yield Violation(f"{pointer}/burst", str(burst), str(room), leaf)
        fragment.put(f"{pointer}/burst", room or None, leaf)


def _unified(ceilings: Mapping[str, int], document: Mapping[str, Any], fragment: Fragment) -> Iterator[Violation]:
    """The files of the control group: those that hold a lower ceiling stay, of the others nobody knows what they give."""
    pointer = f"{_RESOURCES}/unified"
    asked = lookup(document, pointer) or {}
    for name, text in asked.items():
        leaf, is_within = _FILES.get(name, ("", None))
        if is_within is None and not _BOUNDS.fullmatch(name):
            yield Violation(f"{pointer}/{escape(name)}", text, "none: it is not a ceiling", leaf)
        elif is_within is not None and not is_within(text, ceilings):
            yield Violation(f"{pointer}/{escape(name)}", text, "none: no number within the ceiling", leaf)
        else:
            continue
        fragment.put(f"{pointer}/{escape(name)}", None, leaf or "process.resources.cgroup")


def _pids(text: str, ceilings: Mapping[str, int]) -> bool:
    found = _NUMBER.fullmatch(text)
    return found is not None and int(text) <= ceilings.get("pids", int(text))


def _memory(text: str, ceilings: Mapping[str, int]) -> bool:
    size = _size(text)
    return size is not None and size <= ceilings.get("memory", size)


def _size(text: str) -> int | None:
    try:
        return units.kernel_size(text)
    except ValueError:
        return None


def _swap(text: str, ceilings: Mapping[str, int]) -> bool:
    """The file counts swap alone, the ceiling memory and swap together."""
    size, ceiling = _size(text), ceilings.get("memory_swap")
    room = None if ceiling is None else ceiling - ceilings.get("memory", ceiling)
    return size is not None and (room is None or size <= room)


def _quota(text: str, ceilings: Mapping[str, int]) -> bool:
    found = _QUOTA.fullmatch(text)
    if not found:
        return False
    quota, period = int(found[1]), int(found[2])
    return quota * CPU_PERIOD <= ceilings.get("cpu", quota * CPU_PERIOD) * period


_FILES: Mapping[str, tuple[str, Callable[[str, Mapping[str, int]], bool]]] = {
    "pids.max": ("process.resources.pids", _pids),
    "memory.max": ("process.resources.memory", _memory),
    "memory.high": ("process.resources.memory", _memory),
    "memory.swap.max": ("process.resources.memory_swap", _swap),
    "cpu.max": ("process.resources.cpu", _quota),
}


def _cgroup(
    settings: ProcessSettings, document: Mapping[str, Any], context: Context, fragment: Fragment
) -> Iterator[Violation]:
    """The path of the group, judged and written as a runtime follows it: without ``..``."""
    pointer, leaf = "/linux/cgroupsPath", "process.resources.cgroup"
    asked = lookup(document, pointer)
    # Where no layer says a place, the foreign one stays, unless a limit says where that may be.
    bound = settings.cgroup or context.limit(Leaf("process", "resources.cgroup"))
    if asked is None:
        if settings.cgroup:
            fragment.put(pointer, cgroup_path(settings, context), leaf)
        return
    # Nothing lies above the top, from which a relative path is followed as well.
    followed = posixpath.normpath(f"/{asked.lstrip('/')}")[1:]
    path = f"/{followed}" if asked.startswith("/") else followed
    own = cgroup_path(settings, context)
    top = bound.rstrip("/") if bound else ""
    if bound is not None and not (path.startswith(f"{top}/") if bound else path == own):
        last = followed.rpartition("/")[2].replace(":", "_")
        path = f"{top}/{last}" if bound and last else own
        yield Violation(pointer, asked, path, leaf)
    elif asked and places.wrong_group(path):  # the group of all others
        path = own
        yield Violation(pointer, asked, path, leaf)
    if path != asked:
        fragment.put(pointer, path, leaf)
