"""Which ids a private user namespace maps (user_namespaces(7), subuid(5), newuidmap(1))."""

from __future__ import annotations

import attrs

from hardening.host import Host
from hardening_namespaces.facts import NamespaceFacts
from hardening_namespaces.settings import PRIVATE, IdRange, NamespacesSettings

#: The ids that systemd reserves for containers (systemd, UIDs and GIDs): root may map them without an entry in subuid.
CONTAINER_IDS = (0x00080000, 0x6FFFFFFF)
RANGE = 65536


@attrs.frozen
class IdMaps:
    """The maps of a container. ``natural`` is the user and group that a command runs as when nothing else is said;
    ``limited`` says why fewer ids are mapped than could be."""

    uids: tuple[IdRange, ...]
    gids: tuple[IdRange, ...]
    natural: tuple[int, int]
    limited: str = ""

    def outside(self, uid: int) -> int | None:
        """The caller's side of a user id, or None where it is not mapped."""
        return next((r.outside + uid - r.inside for r in self.uids if r.inside <= uid < r.inside + r.size), None)

    def outside_gid(self, gid: int) -> int | None:
        """The caller's side of a group id, or None where it is not mapped."""
        return next((r.outside + gid - r.inside for r in self.gids if r.inside <= gid < r.inside + r.size), None)


def resolve(settings: NamespacesSettings, host: Host) -> IdMaps | None:
    """The maps of a private user namespace; None where the command stays in the caller's or joins another."""
    if settings.user != PRIVATE:
        return None
    if settings.uid_map or settings.gid_map:
        uids, gids = settings.uid_map or settings.gid_map, settings.gid_map or settings.uid_map
        return IdMaps(uids, gids, (uids[0].inside, gids[0].inside))
    kind = settings.id_map
    if kind == "auto":
        kind = "range" if host.root else "keep-id"
    facts = host.of(NamespaceFacts)
    subuids, subgids = facts.subuids, facts.subgids
    if kind == "range":
        uids = _fill((), subuids) or (_own_range(),)
        gids = _fill((), subgids) or (_own_range(),)
        return IdMaps(uids, gids, (0, 0))
    inside = (0, 0) if kind == "root" else (host.uid, host.gid)
    own_uid, own_gid = IdRange(inside[0], host.uid, 1), IdRange(inside[1], host.gid, 1)
    if kind == "one-id":
        return IdMaps((own_uid,), (own_gid,), inside)
    if not (subuids and subgids):
        limited = "there is no range for the caller in /etc/subuid and /etc/subgid"
    elif not host.root and not facts.newuidmap:
        limited = "newuidmap is not installed"
    else:
        return IdMaps(_fill((own_uid,), subuids), _fill((own_gid,), subgids), inside)
    return IdMaps((own_uid,), (own_gid,), inside, limited)


def _own_range() -> IdRange:
    return IdRange(0, CONTAINER_IDS[0], RANGE)


def _fill(taken: tuple[IdRange, ...], subordinate: tuple[tuple[int, int], ...]) -> tuple[IdRange, ...]:
    """Map the ids from 0 on that ``taken`` leaves free to the subordinate ranges (start, size)."""
    ranges = list(taken)
    blocked = sorted(item.inside for item in taken)
    inside = 0
    for start, size in subordinate:
        while size > 0 and inside < RANGE:
            if inside in blocked:
                inside += 1
                continue
            next_block = next((item for item in blocked if item > inside), RANGE)
            count = min(size, next_block - inside, RANGE - inside)
            ranges.append(IdRange(inside, start, count))
            inside, start, size = inside + count, start + count, size - count
    return tuple(sorted(ranges))


def needs_helpers(maps: IdMaps, host: Host) -> bool:
    """Whether newuidmap and newgidmap must write the maps: the kernel lets an ordinary user map one id, its own."""
    own = len(maps.uids) == len(maps.gids) == 1 and maps.uids[0].size == maps.gids[0].size == 1
    return not host.root and not (own and maps.uids[0].outside == host.uid and maps.gids[0].outside == host.gid)
