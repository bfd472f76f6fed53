"""What would have a path seen, written to or executed that is not: volumes, places in memory, rights of mounts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import attrs

from hardening.base.files import is_below
from hardening.mechanism.denial import READ, WRITE, Size, Way
from hardening.mechanism.idmaps import inside
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import READ_ONLY_RIGHTS, USUAL_RIGHTS, Volume
from hardening_rootfs import hidden
from hardening_rootfs.paths import holds
from hardening_rootfs.settings import USUAL_TMPFS, RootfsSettings
from hardening_rootfs.shown import KERNEL, Place, covering, place_of, shown, source_of_hidden, there
from hardening_rootfs.sockets import is_socket
from hardening_rootfs.surroundings import RootfsFacts, only_unmapped_may, volume_maps
from hardening_rootfs.tmpfs import SHARED, Tmpfs, usual_mode

#: Directories of the system for what is none of it: packages that were added, and data that is served (hier(7)).
_OF_ADDED = ("/opt", "/srv")


def to_write(settings: RootfsSettings, context: Context, place: Place, leaf: str) -> Sequence[Way]:
    """What would have a path that is mounted read-only writable: that path alone, then what it lies in, the map of a
    volume's owner last."""
    if any(holds(top, place.path) for top in KERNEL):
        return ()
    if not place.source:
        empty = place.path if place.path in hidden.VOLATILE else os.path.dirname(place.path)
        in_memory = [memory(empty)] if leaf == "rootfs.read_only" and empty != "/" else []
        return [*in_memory, *volume_here(settings, context, place.path, USUAL_RIGHTS)]
    ways: list[Way] = []
    if there(place.source):
        hides = place.path not in USUAL_TMPFS and (not os.path.isdir(place.source) or _names(place.source))
        own = [memory(place.path)] if leaf == "rootfs.read_only" and not hides else []
        volumes = _volumes(place.source, place.path, context, USUAL_RIGHTS) if place.path != "/" else []
        ways += [*volumes, *own] if _is_to_stay(settings, context, place.source) else [*own, *volumes]
    else:
        ways += _to_make(settings, context, place, leaf)
    volume = settings.volumes.named.get(leaf.removeprefix("rootfs.volumes."))
    if volume is not None:
        writable = attrs.evolve(volume, rights=volume.rights | {"rw"}, origin=None)
        mapped = dict.fromkeys((volume.idmap, True))
        ways += [Way(leaf, attrs.evolve(writable, idmap=idmap), Size.WIDER) for idmap in mapped]
    # The host's own root is never written to.
    whole = leaf == "rootfs.read_only" and not settings.path.is_host
    return [*ways, Way(leaf, None, Size.WIDER)] if whole else ways


def _to_make(settings: RootfsSettings, context: Context, place: Place, leaf: str) -> Iterator[Way]:
    """What would have a file made that is not there: its directory, of the root in memory where that hides nothing of the
    host's, or as a volume. The system's own directories are neither, but for `_OF_ADDED`, and a volume as a whole is offered
    last, but where what is written is to stay."""
    above, source = os.path.dirname(place.path), os.path.dirname(place.source)
    if (above == place.mounted and leaf != "rootfs.read_only") or (
        above in hidden.SYSTEM.split() and above not in (*USUAL_TMPFS, *_OF_ADDED)
    ):
        return
    hides = settings.path.is_host and above not in USUAL_TMPFS and there(source) and bool(_names(source))
    volumes = _volumes(source, above, context, USUAL_RIGHTS) if there(source) else ()
    own = [memory(above)] if leaf == "rootfs.read_only" and not hides else []
    if _is_to_stay(settings, context, source):
        yield from (*volumes, *own)
    else:
        yield from (*own, *(attrs.evolve(way, size=Size.WIDER) for way in volumes))


def _is_to_stay(settings: RootfsSettings, context: Context, source: str) -> bool:
    """Whether what is written to a place of the host's root is wanted there, so that a place in memory over it would lose
    it: one of an ordinary user who launches the command. What root owns is the system's, but for `_OF_ADDED`."""
    try:
        owner = os.stat(source).st_uid
    except OSError:
        return False
    is_callers = not context.host.root and owner == context.host.uid
    return settings.path.is_host and (is_callers or any(is_below(source, top) for top in _OF_ADDED))


def begun(settings: RootfsSettings, context: Context, path: str) -> Sequence[Way]:
    """The place in memory in which what is to be made at a hidden path can be made: the caller's own directory, such as the
    home, where programs keep what they can make anew, or else what is hidden as a whole; where nothing is hidden, what
    the host has a directory at."""
    gone = shown(context).hiding(path)
    if gone is None:
        real = place_of(settings, context, path).path  # nothing is mounted on a link, as /var/lock is one
        return (memory(real),) if settings.path.is_host and os.path.isdir(real) else ()
    homes = [home for home in context.host.of(RootfsFacts).private if holds(home, path)]
    top = max(homes, key=len, default=gone)
    source = None if gone is None or top is None else source_of_hidden(settings, context, top, gone)
    return (memory(top),) if top is not None and source is not None and os.path.isdir(source) else ()


def memory(path: str) -> Way:
    """A place in memory at a path."""
    return Way(f"rootfs.tmpfs.{path}", USUAL_TMPFS.get(path) or Tmpfs(mode=usual_mode(path)), Size.CALL)


def with_right(settings: RootfsSettings, place: Place, right: str) -> Sequence[Way]:
    """The mount in which a path lies, with one right more; of a file in a volume, that file alone before."""
    held = settings.tmpfs.named.get(place.leaf.removeprefix("rootfs.tmpfs."))
    if held is not None:
        return (Way(place.leaf, attrs.evolve(held, rights=held.rights | {right})),)
    if place.leaf == "rootfs.shm_size":  # which has no rights: another place in memory lies over it
        return (Way(f"rootfs.tmpfs.{place.mounted}", Tmpfs(settings.shm_size, SHARED, frozenset({right}))),)
    if place.leaf == "rootfs.path" and place.source:  # with its owner, whose rights are what it is for
        own = Volume(place.source, place.path, READ_ONLY_RIGHTS | {right}, idmap=True)
        return (Way(f"rootfs.volumes.{place.path}", own),)
    volume = settings.volumes.named.get(place.leaf.removeprefix("rootfs.volumes."))
    if volume is None:
        return ()
    more = attrs.evolve(volume, rights=volume.rights | {right}, origin=None)
    if place.path == volume.target:
        return (Way(place.leaf, more),)
    own = attrs.evolve(more, source=place.source, target=place.path)
    return (Way(f"rootfs.volumes.{place.path}", own), Way(place.leaf, more, Size.WIDER))


def mapped(
    settings: RootfsSettings, context: Context, place: Place, source: str, rights: frozenset[str]
) -> Sequence[Way]:
    """The volume in which a path lies with its owners mapped, or one of what of the root is an unmapped owner's."""
    volume = settings.volumes.named.get(place.leaf.removeprefix("rootfs.volumes."))
    if volume is not None:
        return (Way(place.leaf, attrs.evolve(volume, rights=volume.rights | rights, idmap=True, origin=None)),)
    path = place.path.removesuffix(place.source.removeprefix(source))
    return _volumes(source, path, context, rights) if place.leaf == "rootfs.path" and path not in ("", "/") else ()


def volume_here(
    settings: RootfsSettings, context: Context, path: str, rights: frozenset[str] = READ_ONLY_RIGHTS
) -> Sequence[Way]:
    """The volume that shows what the host has at a path of its own root."""
    if settings.path.path != "/" or not there(path) or path == "/" or any(holds(place, path) for place in KERNEL):
        return ()
    return _volumes(path, path, context, rights)


def _volumes(source: str, path: str, context: Context, rights: frozenset[str]) -> Sequence[Way]:
    """A volume, with the owners of its files mapped where the rights are of no use without. Whoever listens at a socket
    gets what each run sends."""
    reaches = is_socket(source)
    unmapped = only_unmapped_may(source, context, WRITE if "rw" in rights else READ)
    volumes = (Volume(source, path, rights, idmap=idmap) for idmap in ((True, False) if unmapped else (False,)))
    return [Way(f"rootfs.volumes.{path}", volume, reaches_host=reaches) for volume in volumes]


def uncovering(settings: RootfsSettings, context: Context, top: str) -> Iterator[Way]:
    """What shows and lets write all that is masked or read-only below a directory that the kernel makes."""
    seen = shown(context)
    for setting, paths in (("masked_paths", seen.masked), ("read_only_paths", seen.read_only)):
        members = (
            covering(settings, context.host, setting, path) or path
            for path in sorted(paths)
            if is_below(path, top) and there(path)
        )
        yield from (Way(f"rootfs.{setting}.{member}", False, Size.WIDER) for member in dict.fromkeys(members))


def owned(settings: RootfsSettings, context: Context, path: str) -> Sequence[Way]:
    """What would show a file as its owner's, where nobody inside is that; nothing where somebody is."""
    place, maps = place_of(settings, context, path), volume_maps(context)
    try:
        owner = os.stat(place.source).st_uid if place.source else None
    except OSError:
        owner = None
    if owner is None or maps is None or place.idmap or inside(maps.uids, owner) is not None:
        return ()
    volume = settings.volumes.named.get(place.leaf.removeprefix("rootfs.volumes."))
    if volume is not None:
        return (Way(place.leaf, attrs.evolve(volume, idmap=True, origin=None)),)
    own = Volume(place.source, place.path, READ_ONLY_RIGHTS, idmap=True)
    return (Way(f"rootfs.volumes.{place.path}", own),) if place.leaf == "rootfs.path" else ()


def _names(path: str) -> Sequence[str]:
    """What is in a directory; a name that stands for anything where the caller may not look."""
    try:
        return os.listdir(path)
    except OSError:
        return ("?",)
