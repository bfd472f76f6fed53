"""What the mode of a file lets the command do, as its ids are seen from outside (inode(7), path_resolution(7))."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator

from hardening.base.files import is_below
from hardening.base.linux import acl
from hardening.base.values import frozen
from hardening.mechanism import outside
from hardening.mechanism.denial import EXECUTE, READ
from hardening.mechanism.idmaps import IdRange, inside
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import Privileges
from hardening_rootfs.surroundings import only_unmapped_may, volume_maps


@frozen
class Withheld:
    """Why the command may not do something with a file: ``unmapped`` where its owner is the reason, whom a volume could map;
    else the file's own mode, which no setting changes."""

    path: str
    reason: str
    unmapped: bool


def withheld(path: str, top: str, right: int, context: Context, *, idmap: bool) -> Withheld | None:
    """What keeps the command from a ``right`` (of ``S_IRWXO``) to a path of the host that is shown from its directory
    ``top`` on; None where nothing does. ``idmap`` where a volume maps the owners of files."""
    for place, wanted in (*((place, EXECUTE) for place in _above(path, top)), (path, right)):
        if _somebody_may(place, wanted) and only_unmapped_may(place, context, wanted, idmap=idmap):
            whose = "its owner" if place == path else f"the owner of {place}"
            return Withheld(place, f"{whose} is unmapped", True)
        reason = _mode(place, wanted, context, idmap=idmap)
        if reason:
            return Withheld(place, reason if place == path else f"of {place} {reason}", False)
    return None


def _somebody_may(path: str, right: int) -> bool:
    """Whether anybody has a right to what is at a path, as far as it can be seen."""
    try:
        return bool(os.stat(path).st_mode & (right << 6 | right << 3 | right))
    except OSError:
        return True


def _above(path: str, top: str) -> Iterator[str]:
    """The directories from ``top`` on in which a path lies, the outermost first."""
    place = os.path.dirname(path)
    found = []
    while place == top or is_below(place, top):
        found.append(place)
        place = os.path.dirname(place)
    return reversed(found)


def _mode(path: str, right: int, context: Context, *, idmap: bool) -> str:
    """Why the mode of a file whose owner is known denies a right; empty where it does not, and where nobody can tell."""
    try:
        status = os.stat(path)
    except OSError:
        return ""
    command, maps = outside.identity(context), volume_maps(context)
    owner = status.st_uid if maps is None else _inside(maps.uids, status.st_uid, idmap=idmap)
    group = status.st_gid if maps is None else _inside(maps.gids, status.st_gid, idmap=idmap)
    whose = 6 if owner == command.uid else 3 if group in (command.gid, *command.groups) else 0
    if acl.has_list(path) or status.st_mode & right << whose:
        return ""
    if command.is_root and None not in (owner, group) and _overrides(status.st_mode, right, context):
        return ""
    mode = stat.S_IMODE(status.st_mode)
    known = "an unmapped user" if owner is None else f"user {owner}"
    return f"the mode is {mode:04o}, the owner {known}, and the command is user {command.uid}"


def _inside(ranges: Iterable[IdRange], owner: int, *, idmap: bool) -> int | None:
    """An owner as the command sees it; an id-mapped volume shows the ids of the file system as those inside."""
    if idmap:
        return owner if any(0 <= owner - item.inside < item.size for item in ranges) else None
    return inside(ranges, owner)


def _overrides(mode: int, right: int, context: Context) -> bool:
    """Whether root's capabilities go past a mode (capabilities(7))."""
    privileges = context.of(Privileges)
    added = privileges.added if privileges is not None else frozenset[str]()
    if "DAC_OVERRIDE" in added:
        return right != EXECUTE or stat.S_ISDIR(mode) or bool(mode & 0o111)
    return "DAC_READ_SEARCH" in added and (right == READ or (right == EXECUTE and stat.S_ISDIR(mode)))
