"""Which ids a private user namespace maps (user_namespaces(7), subuid(5), newuidmap(1))."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from hardening.mechanism.host import Host
from hardening.mechanism.idmaps import IdMaps, IdRange
from hardening_namespaces.facts import NamespaceFacts, Ranges, within

#: The ids that systemd reserves for containers (systemd, UIDs and GIDs): root may map them without an entry in subuid.
CONTAINER_IDS = (0x00080000, 0x6FFFFFFF)
RANGE = 65536


def resolve(kind: str, uid_map: tuple[IdRange, ...], gid_map: tuple[IdRange, ...], host: Host) -> IdMaps:
    """The maps of a private user namespace: those that are stated, of one side for both where there is one, or a way
    (`id_map`) of this host and caller."""
    if uid_map or gid_map:
        said = uid_map or gid_map, gid_map or uid_map
        return IdMaps(*said, (said[0][0].inside, said[1][0].inside))
    facts = host.of(NamespaceFacts)
    uids = _subordinate(facts.subuids, facts.own_uids, facts, host)
    gids = _subordinate(facts.subgids, facts.own_gids, facts, host)
    if kind == "auto" and host.root and uids and gids:
        return _of_its_own(uids, gids)
    inside = (0, 0) if kind == "root" else (host.uid, host.gid)
    own_uid, own_gid = IdRange(inside[0], host.uid, 1), IdRange(inside[1], host.gid, 1)
    if kind == "one-id":
        return IdMaps((own_uid,), (own_gid,), inside)
    if not (uids and gids):
        where = "the caller's user namespace" if host.root else "/etc/subuid and /etc/subgid"
        limited = f"there is no range for the caller in {where}"
    elif not host.root and not facts.newuidmap:
        limited = "newuidmap and newgidmap are not installed, or lack their setuid bit"
    else:
        return IdMaps(_fill((own_uid,), uids), _fill((own_gid,), gids), inside)
    return IdMaps((own_uid,), (own_gid,), inside, limited)


def _of_its_own(uids: Ranges, gids: Ranges) -> IdMaps:
    maps = IdMaps(_fill((), uids), _fill((), gids), (0, 0))
    smallest = min(sum(item.size for item in ranges) for ranges in (maps.uids, maps.gids))
    limited = "" if smallest >= RANGE else f"the caller has {smallest} ids to give"
    return attrs.evolve(maps, limited=limited)


def free(given: Ranges) -> Ranges:
    """What of the ids that are kept for containers no line of subuid(5) and subgid(5) gives to somebody: useradd(8) begins
    with the same ids."""
    found = []
    begin, end = CONTAINER_IDS[0], CONTAINER_IDS[1] + 1
    for start, size in sorted(given):
        if begin < min(start, end):
            found.append((begin, min(start, end) - begin))
        begin = max(begin, start + size)
    if begin < end:
        found.append((begin, end - begin))
    return tuple(found)


def _highest(ranges: Ranges) -> Ranges:
    """The highest 65536 ids of ``ranges`` that begin at a multiple of that; useradd(8) gives the lowest first."""
    for start, size in reversed(ranges):
        begin = (start + size - RANGE) // RANGE * RANGE
        if begin >= start:
            return ((begin, RANGE),)
    return ()


def _subordinate(ranges: Ranges, own: Ranges, facts: NamespaceFacts, host: Host) -> Ranges:
    """The ids beside their own that a caller may give. Root needs no entry in subuid(5): it has those kept for containers
    that nobody else was given, or in a smaller user namespace what there is besides root."""
    if not host.root:
        return ranges
    for candidates in (ranges, _highest(free(facts.given))):
        if candidates and all(within(IdRange(0, start, size), own) for start, size in candidates):
            return candidates
    others = [(start + 1, size - 1) if start == 0 else (start, size) for start, size in own]
    largest = max(others, key=lambda item: item[1], default=(0, 0))
    return (largest,) if largest[1] else ()


def _fill(taken: tuple[IdRange, ...], subordinate: Iterable[tuple[int, int]]) -> tuple[IdRange, ...]:
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
