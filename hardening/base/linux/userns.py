"""A user namespace around a runtime that an ordinary user starts.

It maps each id that `config.json` names to itself, so that the ids keep their meaning, and gives the runtime the
capabilities that root would have over them: to mount, and to hand its files to the container's root.
"""

from __future__ import annotations

import os

from hardening.base.linux import abi, idmaps, kernel
from hardening.base.linux.children import Holder
from hardening.base.linux.failure import Step
from hardening.base.linux.idmaps import IdMap
from hardening.base.pointer import items, lookup
from hardening.errors import LaunchError


def enter(document: object) -> None:
    """Move this process, which keeps its ids, into such a namespace with every capability in it. `LaunchError`."""
    uids, gids = (
        identity_maps(document, "uidMappings", os.getuid()),
        identity_maps(document, "gidMappings", os.getgid()),
    )
    with Step("make a user namespace for the runtime"):
        holder = Holder(abi.CLONE_NEWUSER | abi.CLONE_NEWNS | abi.CLONE_NEWCGROUP)
    with holder as pid:
        idmaps.write_maps(pid, uids, gids)
        for name, flag in (("user", abi.CLONE_NEWUSER), ("cgroup", abi.CLONE_NEWCGROUP), ("mnt", abi.CLONE_NEWNS)):
            with Step("enter the user namespace for the runtime"):
                fd = os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
                kernel.setns(fd, flag)
                os.close(fd)
    with Step("keep the capabilities of the user namespace for the runtime"):
        _, permitted, _ = kernel.capget()
        kernel.capset(permitted, permitted, permitted)
        for number in range(len(abi.CAPABILITIES)):
            if permitted >> number & 1:
                kernel.prctl(abi.PR_CAP_AMBIENT, abi.PR_CAP_AMBIENT_RAISE, number)


def identity_maps(document: object, key: str, own: int) -> tuple[IdMap, ...]:
    """Every outside id that the configuration maps, and the caller's own, each to itself."""
    ranges = [(own, own + 1)]
    for entry in items(document, f"/linux/{key}"):
        first, count = lookup(entry, "/hostID"), lookup(entry, "/size")
        if type(first) is not int or type(count) is not int:
            raise LaunchError("is malformed", origin=f"config.json:/linux/{key}")
        ranges.append((first, first + count))
    merged: list[tuple[int, int]] = []
    for first, end in sorted(ranges):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((first, end))
    return tuple(IdMap(inside=first, outside=first, count=end - first) for first, end in merged)
