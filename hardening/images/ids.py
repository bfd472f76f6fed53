"""Whose the files of an unpacked root are: the ids of the image, as the caller's side of a user namespace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hardening.base.digest import sha256
from hardening.base.values import frozen

Range = tuple[int, int, int]  # the first id inside, the first one outside, how many


@frozen
class Ids:
    """The maps of the user namespace that a root is for, each range as in user_namespaces(7). Without maps the ids of the
    image are those of the host. ``owner`` are the caller's own ids where no others can be given: every file is the caller's
    then."""

    uids: tuple[Range, ...] = ()
    gids: tuple[Range, ...] = ()
    owner: tuple[int, int] | None = None

    @classmethod
    def of(cls, maps: tuple[Iterable[Range], Iterable[Range]] | None, uid: int, gid: int) -> Ids:
        """For the maps of a run, None for one without a user namespace of its own, by the caller with these ids."""
        if maps is None:
            return cls() if uid == 0 else cls(owner=(uid, gid))
        uids, gids = (tuple(sorted(ranges)) for ranges in maps)
        if sum(size for *_, size in uids) == 1 or sum(size for *_, size in gids) == 1:
            # A root whose files have other owners cannot be made, nor would the command see who they are.
            return cls(owner=(uids[0][1], gids[0][1]))
        return cls(uids, gids)

    @property
    def key(self) -> str:
        """A name that two of these share only if they are equal."""
        return sha256(repr((self.uids, self.gids, self.owner)).encode())[:16]

    def outside(self, uid: int, gid: int) -> tuple[int, int] | None:
        """Who a file of these ids belongs to; None where the maps do not have them."""
        if self.owner is not None:
            return self.owner
        if not self.uids:
            return uid, gid
        found = _outside(self.uids, uid), _outside(self.gids, gid)
        return None if found[0] is None or found[1] is None else (found[0], found[1])

    def needs_namespace(self, uid: int) -> bool:
        """Whether the caller can only give files to these ids from inside a user namespace."""
        return uid != 0 and self.owner is None

    def document(self) -> dict[str, Any]:
        """The maps as a configuration has them (config-linux of the OCI runtime spec)."""

        def entries(ranges: tuple[Range, ...]) -> list[dict[str, int]]:
            return [{"containerID": inside, "hostID": outside, "size": size} for inside, outside, size in ranges]

        return {"linux": {"uidMappings": entries(self.uids), "gidMappings": entries(self.gids)}}

    def dump(self) -> dict[str, object]:
        """As JSON data that `load` reads back."""
        return {"uids": self.uids, "gids": self.gids, "owner": self.owner}


def load(data: Mapping[str, Any]) -> Ids:
    """From what `Ids.dump` gave. Raises `ValueError`, `TypeError` or `KeyError` for anything else."""
    uids, gids = (tuple(_range(entry) for entry in data[key]) for key in ("uids", "gids"))
    owner = data["owner"]
    return Ids(uids, gids, None if owner is None else (int(owner[0]), int(owner[1])))


def _range(entry: Any) -> Range:
    inside, outside, size = entry
    return int(inside), int(outside), int(size)


def _outside(ranges: tuple[Range, ...], wanted: int) -> int | None:
    return next(
        (outside + wanted - inside for inside, outside, size in ranges if inside <= wanted < inside + size), None
    )
