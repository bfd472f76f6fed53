"""Layers that several attempts need."""

from __future__ import annotations

from tests.escape.attempt import Loosening, say

#: Root without a user namespace around the command: uid 0 is the host's.
HOST_USER = say(namespaces__user="host")
#: The host's process ids, and all of its /proc.
HOST_PIDS = say(namespaces__pid="host", rootfs__proc__hidepid="off", rootfs__proc__subset="")
WHOLE_PROC = say(rootfs__proc__subset="")
NEW_PRIVILEGES = say(capabilities__no_new_privileges=False)


def volume(*items: str, settings: tuple[str, ...]) -> Loosening:
    """Volumes, with the exceptions that they take."""
    return Loosening(add={"rootfs.volumes": items}, settings=settings)


INITIAL = "it takes a capability in the initial user namespace, and an ordinary user's container is never in that one"
TRACED = "the kernel lets nobody trace a process of another user namespace without a capability there (commoncap)"
