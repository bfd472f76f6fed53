"""The other names of a path: where the file system that holds it is mounted once more (proc_pid_mountinfo(5))."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache

from hardening.base import files
from hardening.base.files import is_below
from hardening.base.linux import mountinfo, resolution
from hardening.base.values import frozen
from hardening.errors import ProfileError
from hardening_rootfs import layers
from hardening_rootfs.layers import Layers
from hardening_rootfs.paths import above, holds

#: The system's own files. A chroot in a hidden directory has them mounted as well, and the root may be deployed from one:
#: they are no secret for that.
_SYSTEM = ("/", "/boot", "/etc", "/opt", "/srv", "/usr", "/var", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_OF_CHROOTS = (*(set(_SYSTEM) - {"/", "/opt", "/srv", "/var"}), "/dev", "/proc", "/run", "/sys", "/tmp")  # noqa: S108

_MAX_NAMES = 20_000


@frozen(eq=False)  # the tables of one look at the mounts are found by these thousands of times
class MountAlias:
    """A mount: ``device`` is its file system (``major:minor``) of type ``kind``, ``top`` the directory of it that is seen
    at ``place``. ``layers`` are the directories that an overlay is made of, ``unknown`` a name of one that may be any
    directory, and it ``renames`` where those have other names in it. ``unbindable`` says that no bind mount takes it
    along (mount_namespaces(7))."""

    device: str
    top: str
    place: str
    kind: str = ""
    layers: tuple[str, ...] = ()
    unknown: str = ""
    renames: bool = False
    unbindable: bool = False


def mounted() -> tuple[MountAlias, ...]:
    """The mounts that the caller sees, in the order in which they were made."""
    found = mountinfo.seen(mountinfo.read())
    known = Layers(found)
    return tuple(
        MountAlias(it.device, it.top, it.place, it.kind, *known.of(it), known.renames(it), "unbindable" in it.tags)
        for it in found
    )


@frozen(eq=False)
class _Table:
    """Mounts by what they are looked up for: their places, file systems, layers, and the directories above a layer."""

    by_place: Mapping[str, MountAlias]
    by_device: Mapping[str, tuple[MountAlias, ...]]
    by_layer: Mapping[str, tuple[MountAlias, ...]]
    above_layer: Mapping[str, tuple[MountAlias, ...]]

    @classmethod
    def of(cls, mounts: Iterable[MountAlias]) -> _Table:
        mounts = tuple(mounts)
        tops = {mount: {top for layer in mount.layers for top in above(layer)} for mount in mounts}
        return cls(
            {mount.place: mount for mount in mounts},
            _grouped((mount.device, mount) for mount in mounts),
            _grouped((layer, mount) for mount in mounts for layer in mount.layers),
            _grouped((top, mount) for mount, found in tops.items() for top in found),
        )

    def over(self, path: str) -> MountAlias | None:
        """The mount that a path without links is seen through: of several at one place, the last."""
        return layers.over(path, self.by_place)

    def beside(self, path: str, *, parts: bool = False) -> Iterator[str]:
        """The names of a path, or the places of ``parts`` of it, where its file system is mounted once more."""
        own = self.over(path)
        if own is None:
            return
        inside = _join(own.top, _below(path, own.place))
        for mount in self.by_device[own.device]:
            if parts and is_below(mount.top, inside):
                yield mount.place
            elif not parts and holds(mount.top, inside):
                other = _join(mount.place, _below(inside, mount.top))
                if other != path and _same(other, path):
                    yield other

    def under(self, path: str) -> Iterator[str]:
        """Its names in the layers of the overlay that it is seen through."""
        own = self.over(path)
        if own is not None:
            inside = _join(own.top, _below(path, own.place)).lstrip("/")
            yield from filter(os.path.lexists, (_join(layer, inside) for layer in own.layers))

    def upon(self, path: str, *, parts: bool = False) -> Iterator[str]:
        """Its names in the overlays that it is in a layer of, all of one that renames and has it not by its name, or the
        places of those with ``parts`` of it as a layer."""
        if parts:
            yield from (mount.place for mount in self.above_layer.get(path, ()))
            return
        for layer in (path, *above(path)):
            inside = _join("/", _below(path, layer))
            for mount in self.by_layer.get(layer, ()):
                if holds(mount.top, inside):
                    name = _join(mount.place, _below(inside, mount.top))
                    yield from [name] if os.path.lexists(name) else [mount.place] * mount.renames

    def has_root(self, path: str) -> bool:
        """Whether the root is a part of it, as where a system is deployed from a snapshot."""
        own, root = self.over(path), self.over("/")
        if own is None or root is None:
            return False
        inside = _join(own.top, _below(path, own.place))
        in_it = own.device == root.device and holds(inside, root.top)
        return in_it or any(holds(path, layer) for layer in root.layers)

    def pieces(self, path: str) -> Iterator[str]:
        """Where a part of it is mounted once more, or is a layer."""
        yield from self.beside(path, parts=True)
        yield from self.upon(path, parts=True)


def _grouped(pairs: Iterable[tuple[str, MountAlias]]) -> dict[str, tuple[MountAlias, ...]]:
    found: dict[str, list[MountAlias]] = {}
    for key, mount in pairs:
        found.setdefault(key, []).append(mount)
    return {key: tuple(group) for key, group in found.items()}


#: Of the mounts that were asked for last: one call asks for the names of many paths.
_table = lru_cache(maxsize=2)(_Table.of)


def _spread(
    paths: Iterable[str], *steps: Callable[[str], Iterable[str]], without: Callable[[str], bool] = lambda _: False
) -> set[str]:
    """Some paths, and all that steps lead to from them, one after another; ``without`` those that need
    no look. Raises `ProfileError` for more than anybody lays out."""
    found = set(paths)
    pending = list(found)
    while pending:
        path = pending.pop()
        new = {name for step in steps for name in step(path) if name != "/" and not without(name)} - found
        found |= new
        pending += new
        if len(found) > _MAX_NAMES:
            raise ProfileError(
                f"{path} has more than {_MAX_NAMES} names, by mounts and overlays",
                hint="unmount what shows one directory within itself again",
            )
    return found


def names(path: str, mounts: Iterable[MountAlias]) -> tuple[str, ...]:
    """A path that has no links in it, and its other names; only those that really lead to the same file. Down to the layers
    that it comes from, and from there up to whatever shows those."""
    table = _table(tuple(mounts))
    origins = _spread([path], table.beside, table.under)
    return (path, *sorted(_spread(origins, table.beside, table.upon) - {path}))


def shown(path: str, mounts: Iterable[MountAlias]) -> tuple[str, ...]:
    """Every place where a directory or file, or a part of it, is seen: under its names, where something in it is mounted
    once more, where else lies what is mounted in it, and where all that is shown again."""
    mounts = tuple(mounts)
    table = _table(mounts)
    deployed = table.has_root(path)

    def known(place: str) -> bool:
        return is_below(place, path) or (deployed and place in _SYSTEM)

    def usual(place: str) -> bool:
        return is_below(place, path) or place in _SYSTEM or any(holds(top, place) for top in _OF_CHROOTS)

    up = (table.beside, table.upon, table.pieces)
    unknown = {mount.place for mount in mounts if mount.unknown} - {*_SYSTEM}
    found = _spread({*names(path, mounts), *unknown}, *up, without=known)
    inner = [mount.place for mount in mounts if is_below(mount.place, path)]
    ways = [(place, other) for place in inner for step in (table.beside, table.under) for other in step(place)]
    # In a chroot what the system has is mounted at the system's own place.
    others = {other for place, other in ways if not (usual(other) and place.endswith(other))}
    others |= {other for place in inner for other in table.beside(place, parts=True) if not usual(other)}
    origins = _spread(others - {"/"}, table.beside, table.under, without=usual)
    found |= _spread(origins, *up, without=usual)
    return tuple(sorted({path, *(place for place in found - {"/"} if not is_below(place, path))}))


def over(path: str, mounts: Iterable[MountAlias]) -> MountAlias | None:
    """The mount that a path without links is seen through."""
    return _table(tuple(mounts)).over(path)


def links(path: str) -> list[str]:
    """The symbolic links on the way of a path, each by a path whose directories are none."""
    return [name for name in resolution.resolve(path).names if os.path.islink(name)]


def _below(path: str, directory: str) -> str:
    """What a path has below a directory that holds it. Thousands are asked for, which relpath would each make absolute."""
    return path.removeprefix(directory).lstrip("/")


def _join(directory: str, below: str) -> str:
    return os.path.normpath(files.join(directory, below))


def _same(one: str, other: str) -> bool:
    """Whether both names lead to one file. What the caller may not look at is taken to be: the command may see it."""
    try:
        return os.path.samestat(os.lstat(one), os.lstat(other))
    except PermissionError:
        return True
    except OSError:
        return False
