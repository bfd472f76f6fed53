"""Why a system call failed, where Landlock is the reason (``hardening why``)."""

from __future__ import annotations

import errno
import posixpath
from collections.abc import Iterator

from hardening.mechanism.denial import Cause, PathAccess, PathAnswer, Size, SystemCall, Way
from hardening.mechanism.evidence import TO_PROCESSES
from hardening.mechanism.mechanism import Context
from hardening_landlock.settings import ALL, PLACES, PORTS, LandlockSettings
from hardening_landlock.spec import FILES, enforced

#: What a call wants of a path -> the setting that says where it may.
_WANTED = {"read": "read", "write": "write", "create": "write", "remove": "write", "execute": "execute"}
_CHANGES = frozenset(("create", "remove"))
_MOUNTS = frozenset(("mount", "umount2", "move_mount", "pivot_root", "mount_setattr"))


def denied(settings: LandlockSettings, context: Context, call: SystemCall) -> Iterator[Cause]:
    """The causes. Where the root itself does not permit something, that answers before Landlock does (EROFS), or with it."""
    restricted = enforced(settings, context)
    handled = restricted.values()
    if call.failed_with(errno.EACCES, errno.EXDEV):
        for setting in dict.fromkeys(_WANTED[want] for want in sorted(call.access & _WANTED.keys())):
            for path in filter(None, (call.path, call.target)):
                if setting in handled and not PLACES.is_no_looser_than((path,), getattr(settings, setting)):
                    what = f"{path} lies in no place of landlock.{setting}"
                    # What is not there when the command starts is no place: the directory in which it is made is.
                    place = posixpath.dirname(path) if call.access & _CHANGES else path
                    yield _cause(setting, what, PLACES.smallest((*getattr(settings, setting), place)), Size.CALL)
    kind, _, address = call.address.partition(" ")
    if call.name in ("bind", "connect") and kind == "tcp" and call.name in handled and call.failed_with(errno.EACCES):
        port, ports = address.rpartition(":")[2], getattr(settings, call.name)
        if not PORTS.is_no_looser_than((port,), ports):
            what = f"TCP port {port} is none that landlock.{call.name} permits"
            yield _cause(call.name, what, PORTS.smallest((*ports, port)), Size.CALL)
    if not call.failed_with(errno.EPERM):
        return
    if kind == "unix" and address.startswith("@") and "abstract_sockets" in handled:
        yield _cause("abstract_sockets", f"the socket {address} is of a process outside", True, Size.WIDER)
    if call.name in TO_PROCESSES and "signals" in handled:
        yield _cause("signals", "a process outside is sent no signal", True, Size.WIDER, reaches_host=True)
    if call.name in _MOUNTS and not settings.mounts and FILES & restricted.keys():
        yield _cause("mounts", "who is confined by Landlock changes no mounts", True, Size.WIDER)


def of_path(settings: LandlockSettings, context: Context, path: str) -> Iterator[PathAnswer]:
    """What is restricted of a path that the root shows; where the root itself denies it, that answers, too."""
    handled = enforced(settings, context).values()
    for asked, setting in (
        (PathAccess.READABLE, "read"),
        (PathAccess.WRITABLE, "write"),
        (PathAccess.EXECUTABLE, "execute"),
    ):
        places = getattr(settings, setting)
        leaf = f"landlock.{setting}"
        if setting not in handled or places == ALL:
            continue
        if PLACES.is_no_looser_than((path,), places):
            yield PathAnswer(asked, leaf, how="yes, it lies in a place of it")
        else:
            ways = (Way(leaf, PLACES.smallest((*places, path)), Size.CALL),)
            yield PathAnswer(asked, leaf, denied="it lies in no place of it", ways=ways, errors=(errno.EACCES,))


def _cause(setting: str, what: str, value: object, size: Size, *, reaches_host: bool = False) -> Cause:
    leaf = f"landlock.{setting}"
    return Cause(leaf, what, (Way(leaf, value, size, reaches_host=reaches_host),))
