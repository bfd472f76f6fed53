"""The id maps of a user namespace (user_namespaces(7), newuidmap(1))."""

from __future__ import annotations

from collections.abc import Iterable

from hardening.base.values import frozen
from hardening.mechanism.host import Host


@frozen(order=True)
class IdRange:
    """``size`` ids from ``inside`` on are ``outside`` on the caller's side."""

    inside: int
    outside: int
    size: int

    def __str__(self) -> str:
        return f"{self.inside}:{self.outside}:{self.size}"


@frozen
class IdMaps:
    """The maps of a container. ``natural`` is the user and group that a command runs as when nothing else is said;
    ``limited`` says why fewer ids are mapped than could be."""

    uids: tuple[IdRange, ...]
    gids: tuple[IdRange, ...]
    natural: tuple[int, int]
    limited: str = ""

    def outside(self, uid: int) -> int | None:
        """The caller's side of a user id, or None where it is not mapped."""
        return outside(self.uids, uid)

    def outside_gid(self, gid: int) -> int | None:
        """The caller's side of a group id, or None where it is not mapped."""
        return outside(self.gids, gid)

    @property
    def host_root(self) -> bool:
        """Whether user or group 0 of the caller's side is mapped."""
        return any(item.outside == 0 for item in (*self.uids, *self.gids))

    def needs_helpers(self, host: Host) -> bool:
        """Whether newuidmap and newgidmap must write the maps: the kernel lets an ordinary user map one id, its own."""
        own = len(self.uids) == len(self.gids) == 1 and self.uids[0].size == self.gids[0].size == 1
        return not host.root and not (own and self.uids[0].outside == host.uid and self.gids[0].outside == host.gid)

    def __str__(self) -> str:
        uids, gids = (" ".join(map(str, ranges)) for ranges in (self.uids, self.gids))
        return uids if uids == gids else f"{uids} (groups {gids})"


def parse(text: str) -> tuple[IdRange, ...]:
    """The ranges of /proc/PID/uid_map or gid_map (user_namespaces(7)); the outer side is that of whoever reads it."""
    rows = (map(int, line.split()) for line in text.splitlines())
    return tuple(IdRange(first, start, size) for first, start, size in rows)


def inside(ranges: Iterable[IdRange], outside: int) -> int | None:
    """What an id of the outer side is in the namespace, or None where it is not mapped."""
    return next((r.inside + outside - r.outside for r in ranges if r.outside <= outside < r.outside + r.size), None)


def outside(ranges: Iterable[IdRange], inside: int) -> int | None:
    """The caller's side of an id, or None where it is not mapped."""
    return next((r.outside + inside - r.inside for r in ranges if r.inside <= inside < r.inside + r.size), None)


def to_oci(ranges: Iterable[IdRange]) -> list[dict[str, int]]:
    """Ranges as the OCI spec writes them (config-linux, User namespace mappings)."""
    return [{"containerID": item.inside, "hostID": item.outside, "size": item.size} for item in ranges]
