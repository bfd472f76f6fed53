"""Files of the command as they are seen from outside, and what their modes deny (inode(7), path_resolution(7))."""

from __future__ import annotations

import os
from collections.abc import Iterator

from hardening.base.files import is_below
from hardening.base.linux import acl
from hardening.mechanism import idmaps
from hardening.mechanism.denial import EXECUTE, READ, WRITE, Caller, Seen, SystemCall
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import (
    CommandProcess,
    Identity,
    Privileges,
    RootDirectory,
    id_maps,
    joins_user_namespace,
    natural_ids,
)

#: What the kernel makes in each container: the root has other files at these places, or none.
_KERNEL = ("/dev", "/proc", "/sys")
_RIGHTS = {"read": READ, "write": WRITE, "execute": EXECUTE, "search": EXECUTE}


def look(context: Context, path: str) -> Seen | None:
    """The file at an absolute path inside; None where the kernel or memory holds it, where it is gone, and where nobody here
    may look."""
    place, is_mapped = _place(context, path)
    try:
        found = os.stat(place, follow_symlinks=False) if place else None
    except OSError:
        return None
    if found is None:
        return None
    maps = id_maps(context) if is_mapped else None
    uid, gid = (
        (found.st_uid, found.st_gid) if maps is None else (maps.outside(found.st_uid), maps.outside_gid(found.st_gid))
    )
    return None if uid is None or gid is None else Seen(place, uid, gid, found.st_mode, acl.has_list(place))


def found(context: Context, call: SystemCall, path: str) -> Seen | None:
    """The file at a path inside, as a call found it; where the trace has not seen it, as `look` does."""
    names = path.strip("/").count("/") + 1 if path.strip("/") else 0
    is_on_way = path == call.path or is_below(call.path, path)
    return call.way[names] if is_on_way and names < len(call.way) else look(context, path)


def is_reached(context: Context, seen: Seen) -> bool:
    """Whether a capability that the command can be given reaches a file: its user namespace has to know both of the file's
    owners (capable_wrt_inode_uidgid in the kernel), and the host's gives an ordinary user none."""
    maps = id_maps(context)
    if maps is None:
        return context.host.root or joins_user_namespace(context)
    return None not in (idmaps.inside(maps.uids, seen.uid), idmaps.inside(maps.gids, seen.gid))


def _place(context: Context, path: str) -> tuple[str, bool]:
    """Where a path inside is on the host, and whether a volume maps its owners; empty where that cannot be told."""
    root = context.of(RootDirectory)
    if root is None:
        return path, False
    inside = root.resolved(path)
    volumes = {volume.target: volume for volume in root.mounted_volumes()}
    held = [
        place for place in (*volumes, *root.mounted_tmpfs(), *_KERNEL) if inside == place or is_below(inside, place)
    ]
    if not held:
        return os.path.join(root.directory(), inside.lstrip("/")), False
    volume = volumes.get(max(held, key=len))
    if volume is None:
        return "", False
    place = os.path.normpath(volume.source + inside.removeprefix(volume.target))
    # A link of a volume leads elsewhere inside, which is not where it leads here.
    return (place, volume.idmap) if os.path.realpath(place).startswith(os.path.realpath(volume.source)) else ("", False)


def identity(context: Context) -> Identity:
    """Who the command is, as it sees itself. Raises `ProfileError` as `CommandProcess.resolve` does."""
    account = context.of(CommandProcess)
    return account.resolve(context) if account is not None else Identity(*natural_ids(context), ())


def command(context: Context) -> Caller:
    """The command as it is when it starts."""
    who, privileges, maps = identity(context), context.of(Privileges), id_maps(context)
    held = privileges.added if privileges is not None and who.is_root else frozenset[str]()
    uid, gid = (who.uid, who.gid) if maps is None else (maps.outside(who.uid), maps.outside_gid(who.gid))
    return Caller(0, uid=uid or 0, gid=gid or 0, capabilities=held, filters=1)


def is_own_root(context: Context, caller: Caller) -> bool:
    """Whether a process that root launched is root inside alone: where a mode keeps it out of a file that `is_reached` by no
    capability of it, root itself would be let in, so that the stack does it."""
    maps = id_maps(context)
    return context.host.root and maps is not None and maps.outside(0) == caller.uid


def _groups(context: Context, caller: Caller) -> frozenset[int]:
    """The supplementary groups of a caller, as far as they are known: the command's, where it has its user."""
    command, maps = identity(context), id_maps(context)
    if (command.uid if maps is None else maps.outside(command.uid)) != caller.uid:
        return frozenset()
    found = command.groups if maps is None else map(maps.outside_gid, command.groups)
    return frozenset(gid for gid in found if gid is not None)


def withheld(context: Context, call: SystemCall) -> tuple[Seen, int] | None:
    """The first file on the way to what a call was about whose mode denies the caller what it wanted, with the right that it
    denies (`READ`, `WRITE`, `EXECUTE`); None where no mode is seen to."""
    groups = _groups(context, call.caller)
    for path, right in _wanted(context, call) if call.path else ():
        seen = found(context, call, path)
        if seen is None:
            return None
        if seen.denies(right, call.caller, groups):
            return seen, right
    return None


def _wanted(context: Context, call: SystemCall) -> Iterator[tuple[str, int]]:
    """The files on the way, from the root on, each with what is wanted of it."""
    names = call.path.strip("/").split("/")
    above = ["/", *("/" + "/".join(names[:count]) for count in range(1, len(names)))]
    makes = "remove" in call.access or ("create" in call.access and found(context, call, call.path) is None)
    yield from ((place, EXECUTE) for place in above)
    if makes:
        yield above[-1], WRITE
    else:
        yield from ((call.path, right) for word, right in _RIGHTS.items() if word in call.access)
