"""What is seen where a mount is left out: the mount around it, the place in memory that it lay over, or a root that can be
written to. It is told from the settings alone, whatever the host has there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import attrs

from hardening.base.values import frozen
from hardening.mechanism.mechanism import Implied
from hardening.mechanism.roles import RIGHTS, Volume
from hardening.mechanism.schema import WILDCARD, Leaf
from hardening_rootfs.paths import above
from hardening_rootfs.settings import RootfsSettings
from hardening_rootfs.tmpfs import FLAGS, Tmpfs

FAMILIES = ("volumes", "tmpfs")
#: What no limit of a place in memory permits.
LOOSEST = Tmpfs(2**63 - 1, 0o777, frozenset(FLAGS))
Mounted: TypeAlias = Volume | Tmpfs


@frozen
class Beneath:
    """``what`` is seen, which ``leaf`` says, and what it amounts to as a ``volume`` and as a ``tmpfs`` at that place."""

    leaf: Leaf
    what: str
    volume: Volume
    tmpfs: Tmpfs


def mounts_of(settings: RootfsSettings) -> Mapping[str, Mounted]:
    """What settings mount, by place: looked up once for all places that are asked about."""
    return {**settings.mounted_tmpfs(), **{volume.target: volume for volume in settings.mounted_volumes()}}


def is_mounted(mounts: Mapping[str, Mounted], family: str, place: str) -> bool:
    """Whether something is mounted at a place in the stead of a family's: a volume, or a place in memory of its own."""
    found = mounts.get(place)
    return isinstance(found, Volume) or (family == "tmpfs" and found is not None)


def beneath(settings: RootfsSettings, mounts: Mapping[str, Mounted], family: str, place: str) -> Beneath | None:
    """What is seen at a place where a family mounts nothing; None where something is mounted there, and in a root that is
    only read. ``mounts`` are those of the settings."""
    if is_mounted(mounts, family, place):
        return None
    for at in (place, *above(place)):
        value = mounts.get(at)
        if isinstance(value, Tmpfs):
            rights = value.rights | {"rw"}
            what = f"the tmpfs at {at} is seen at {place}"
            return Beneath(Leaf("rootfs", "tmpfs", at), what, Volume("", place, rights), value)
        if value is not None:
            source = os.path.normpath(value.source + place.removeprefix(at))
            shown = attrs.evolve(value, source=source, target=place)
            return Beneath(Leaf("rootfs", "volumes", at), f"{source} is seen at {place}", shown, LOOSEST)
    if settings.read_only:
        return None
    root = Volume(os.path.normpath(settings.path.path + place), place, frozenset(RIGHTS), idmap=True)
    return Beneath(Leaf("rootfs", "read_only"), f"the root, which can be written to, is seen at {place}", root, LOOSEST)


def left_out(settings: RootfsSettings, limits: Mapping[tuple[str, str], Any]) -> Iterator[Implied]:
    """What that amounts to, of each mount that a layer leaves out, and of each that is limited and that nobody has."""
    mounts = mounts_of(settings)
    for family in FAMILIES:
        gone = {place for place, value in getattr(settings, family).named.items() if value is None}
        limited = {place for (setting, place), limit in limits.items() if setting == family and limit is not None}
        for place in sorted((gone | limited) - {WILDCARD}):
            found = beneath(settings, mounts, family, place)
            if found is None or getattr(settings, family)[place] is not None:
                continue
            leaf, value = Leaf("rootfs", family, place), found.volume if family == "volumes" else found.tmpfs
            if place in gone:
                yield Implied(leaf, leaf, value, f"without it {found.what}", remedy="leave it there")
            else:
                yield Implied(found.leaf, leaf, value, found.what, free=True)
