"""Layers that several attempts need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.escape.attempt import FOLDER, Loosening, allow, say

#: Root without a user namespace around the command: uid 0 is the host's.
HOST_USER = say(namespaces__user="host")
#: The host's process ids, and all of its /proc.
HOST_PIDS = say(namespaces__pid="host", rootfs__proc__hidepid="off", rootfs__proc__subset="")
#: Files get bits that lend their owners' rights, and the calls in which no filter sees it run again.
MARKING = say(seccomp__restrict_suid_sgid=False)
WHOLE_PROC = say(rootfs__proc__subset="")
NEW_PRIVILEGES = say(capabilities__no_new_privileges=False)
#: Without `no_new_privileges` the filter is loaded before the launcher takes the command's ids, and must let it.
LENDING = allow("@credentials")

INITIAL = "it takes a capability in the initial user namespace, and an ordinary user's container is never in that one"
TRACED = "the kernel lets nobody trace a process of another user namespace without a capability there (commoncap)"


def volume(item: str, at: str) -> Loosening:
    """A volume."""
    return Loosening(add={"rootfs.volumes": (item,)}, settings=(f"rootfs.volumes.{at}",))


def dropped(setting: str, *items: str) -> Loosening:
    """Elements that are taken out of a list."""
    return Loosening(drop={setting: items})


def tmp(options: str) -> Loosening:
    """Another /tmp."""
    return Loosening(add={"rootfs.tmpfs": (f"/tmp:size=64M,{options}",)}, settings=("rootfs.tmpfs./tmp",))


def bounding(*names: str) -> Callable[[dict[str, Any]], None]:
    """A bounding set with more in it than the command holds, as no profile says it."""

    def change(document: dict[str, Any]) -> None:
        document["process"]["capabilities"]["bounding"] = list(names)

    return change


READ_ONLY = volume(f"{FOLDER}/secret:/srv:ro", at="/srv")


def confined(setting: str) -> Loosening:
    """One of the restrictions of Landlock, which the stack of the attempts has none of."""
    return Loosening({f"landlock.{setting}": False}, free=True)
