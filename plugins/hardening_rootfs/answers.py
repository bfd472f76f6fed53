"""What becomes of a path inside: whether the command sees it, can read, write and execute it, and which setting says so.

The answers are read from what is contributed to the configuration, so that they are those of the mounts that are made.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from errno import EACCES, ENOENT, ENOTDIR, EOVERFLOW, EPERM, EROFS
from typing import Any

import attrs

from hardening.base.files import is_below
from hardening.base.linux import resolution
from hardening.base.values import frozen
from hardening.mechanism.denial import EXECUTE, READ, WRITE, PathAnswer, Size, Way
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.host import Host
from hardening.mechanism.idmaps import inside
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import READ_ONLY_RIGHTS, RIGHTS, USUAL_RIGHTS, Volume
from hardening_rootfs import aliases, hidden, spec
from hardening_rootfs.devices import is_shared
from hardening_rootfs.foreign_binds import USUAL
from hardening_rootfs.owners import withheld
from hardening_rootfs.paths import deepest, holds, on_host, real_path
from hardening_rootfs.settings import USUAL_TMPFS, RootfsSettings
from hardening_rootfs.surroundings import RootfsFacts, only_unmapped_may, volume_maps
from hardening_rootfs.tmpfs import Tmpfs, usual_mode

_BY_RIGHTS = "yes, by the rights of its files"
#: What the kernel makes in each container.
_KERNEL = ("/dev", "/proc", "/sys")
#: What every `/dev` has (config-linux.md, "Default Devices").
_DEVICES = (*USUAL, "/dev/console", "/dev/ptmx")
#: The families whose members speak for what is below them.
_PLACES = ("volumes", "tmpfs", "masked_paths", "read_only_paths", "hidden_paths")
#: Directories of the system for what is none of it: packages that were added, and data that is served (hier(7)).
_OF_ADDED = ("/opt", "/srv")


def covering(settings: RootfsSettings, host: Host, setting: str, member: str) -> str | None:
    """The nearest named member of a family of places that ``member`` lies in; None where it lies in none of them."""
    if setting not in _PLACES or not member.startswith("/"):
        return None
    named = getattr(settings, setting).named
    private = host.of(RootfsFacts).private
    places: dict[str, str] = {}
    for name, value in named.items():
        if value not in (None, False):
            real = hidden.expand((name,), private) if setting == "hidden_paths" else ()
            places |= dict.fromkeys((*real, name), name)
    found = deepest(places, member)
    return places[found] if found is not None else None


@frozen(eq=False)
class Shown:
    """What the command sees, as far as the settings go: the entries of ``/mounts`` by destination, and the leaves of each;
    paths that are masked, read-only, and hidden in the root; and what is hidden in volumes, each with what it is on the
    host."""

    mounts: Mapping[str, Mapping[str, Any]]
    leaves: Mapping[str, tuple[str, ...]]
    masked: frozenset[str]
    read_only: frozenset[str]
    secrets: tuple[str, ...]
    kept: Mapping[str, str]

    def hiding(self, path: str) -> str | None:
        """The place that is empty here and that a path is or lies in."""
        mounted = self.mounted(path)
        masked = deepest(self.masked, path)
        # What a hidden directory of the root holds is shown where something is mounted at it, or in it.
        secret = deepest(self.secrets, path)
        gone = max((masked or "", secret if secret and (mounted is None or is_below(secret, mounted)) else ""), key=len)
        return gone if gone and (mounted is None or holds(mounted, gone)) else None

    def mounted(self, path: str) -> str | None:
        """The mount in which a path lies."""
        return deepest(self.mounts, path)

    def is_root(self, path: str) -> bool:
        """Whether a path lies in the root itself, and in nothing that is mounted in it."""
        mounted = self.mounted(path)
        return mounted is None or "rootfs.path" in self.leaves[mounted]


@frozen(eq=False)
class Place:
    """Where a path lies: in the ``mount`` at ``mounted``, both None in the root itself, which ``leaf`` decides; ``source``
    is what it shows of the host, and ``top`` the top of that; both empty in a file system of its own."""

    path: str
    mounted: str | None
    leaf: str
    kind: str = ""
    options: frozenset[str] = frozenset()
    source: str = ""
    top: str = ""

    @property
    def idmap(self) -> bool:
        """Whether the owners of files are mapped."""
        return bool({"idmap", "ridmap"} & self.options)

    def lacks(self, right: str) -> bool:
        """Whether a mount option takes a right away."""
        without = RIGHTS[right]
        return bool({without, f"r{without}"} & self.options)

    @property
    def existing(self) -> str:
        """The part of the source that is there."""
        place = self.source
        while not _there(place) and place != self.top:
            place = os.path.dirname(place)
        return place


def shown(context: Context) -> Shown:
    """What the composed settings of a context show."""
    return context.once(_shown)


def _shown(context: Context) -> Shown:
    settings = next(item for item in context.composed.values() if isinstance(item, RootfsSettings))
    fragment = Fragment("rootfs")
    spec.contribute(settings, context, fragment)
    mounts = {key: item for (pointer, key), item in fragment.items.items() if pointer == "/mounts"}
    return Shown(
        {path: item.value for path, item in mounts.items()},
        {path: item.leaves for path, item in mounts.items()},
        frozenset(fragment.values["/linux/maskedPaths"].value),
        frozenset(fragment.values["/linux/readonlyPaths"].value),
        spec.shown_secrets(settings, context),
        spec.kept_in_volumes(settings, context),
    )


def place_of(settings: RootfsSettings, context: Context, path: str) -> Place:
    """Where an absolute path lies; links of the root in it are followed, as the command's would be."""
    seen, path = shown(context), os.path.normpath(path)
    if seen.hiding(path) is None and seen.is_root(path):
        found = resolution.resolve(path, str(settings.directory()))
        path = path if found.problem else found.path
    mounted = seen.mounted(path)
    if mounted is None:
        options = frozenset({"ro"} if settings.read_only else ())
        if settings.path.is_host:  # what is not mounted of the host's own root is an empty directory
            return Place(path, None, "rootfs.path", "", options)
        root = settings.path.path
        return Place(path, None, "rootfs.path", "bind", options, on_host(root, path), root)
    mount, leaf = seen.mounts[mounted], next(iter(seen.leaves[mounted]), "rootfs.path")
    options = frozenset(map(str, mount["options"]))
    if mount["type"] != "bind":
        return Place(path, mounted, leaf, mount["type"], options)
    source = os.path.normpath(mount["source"] + path.removeprefix(mounted))
    return Place(path, mounted, leaf, "bind", options, source, mount["source"])


def of_path(settings: RootfsSettings, context: Context, path: str) -> Iterator[PathAnswer]:
    """What is asked of an absolute path, with what decides it and what would permit it."""
    place = place_of(settings, context, path)
    gone = shown(context).hiding(place.path)
    if gone is not None:
        yield _hidden(settings, context, place.path, gone)
        return
    lacking = _lacking(settings, place)
    if lacking is not None:
        yield lacking
        return
    yield _seen(settings, context, place)
    if place.mounted == "/dev":
        return  # each device has rights of its own
    missing = bool(place.source) and not _there(place.source)
    if not missing:
        yield _readable(settings, context, place)
    yield _writable(settings, context, place)
    if not missing or place.lacks("exec"):
        yield _executable(settings, context, place)


def _hidden(settings: RootfsSettings, context: Context, path: str, gone: str) -> PathAnswer:
    """The answer for what is masked or hidden, as missing files are answered for: of what the host has not either, only who
    would make it is denied that by the mask, which is read-only."""
    decides, source = _masking(settings, context, gone), _source_of_hidden(settings, context, path, gone)
    there = source is None or _there(source)
    size = Size.CALL if decides.endswith(f".{path}") else Size.WIDER
    ways = (*_volume_here(settings, context, path), Way(decides, None, size))
    errors = (ENOENT, ENOTDIR, EACCES, EROFS) if there else (EROFS,)
    return PathAnswer("seen", f"no: {gone} is empty here", decides, ways, errors)


def _source_of_hidden(settings: RootfsSettings, context: Context, path: str, gone: str) -> str | None:
    """What the host has in the place of a path that is hidden; None where nobody can tell."""
    on_the_host = shown(context).kept.get(gone)
    if on_the_host is not None:
        return os.path.normpath(on_the_host + path.removeprefix(gone))
    place = place_of(settings, context, path)
    if place.source:
        return place.source
    # The kernel shows the same files of itself in every root.
    return path if place.mounted in _KERNEL else on_host(settings.path.path, path)


def _seen(settings: RootfsSettings, context: Context, place: Place) -> PathAnswer:
    own = place.mounted or next((top for top in hidden.VOLATILE if holds(top, place.path)), "/")
    if place.source:
        if not _there(place.source):
            return PathAnswer("seen", f"no: {place.source} is not there on the host", place.leaf)
        return PathAnswer("seen", f"as {place.source} of the host", place.leaf)
    begins_empty = place.leaf.startswith("rootfs.tmpfs.") or not place.kind
    if begins_empty and settings.path.is_host and place.path != own and _there(place.path):
        ways = _volume_here(settings, context, place.path)
        answer = f"no: {own} begins empty here, without the host's {place.path}"
        return PathAnswer("seen", answer, place.leaf, ways, (ENOENT, ENOTDIR))
    what = f"in the {place.kind} at {own}" if place.kind else "an empty directory of its own"
    return PathAnswer("seen", what, place.leaf)


def _readable(settings: RootfsSettings, context: Context, place: Place) -> PathAnswer:
    found = withheld(place.source, place.top, READ, context, idmap=place.idmap) if place.source else None
    if found is None:
        return PathAnswer("readable", _BY_RIGHTS, place.leaf)
    ways = _mapped(settings, context, place, found.path, READ_ONLY_RIGHTS) if found.unmapped else ()
    return PathAnswer("readable", f"no: {found.reason}", place.leaf, ways, (EACCES,) if found.unmapped else ())


def _writable(settings: RootfsSettings, context: Context, place: Place) -> PathAnswer:
    read_only = deepest(shown(context).read_only, place.path)
    if read_only is not None and (place.mounted is None or holds(place.mounted, read_only)):
        member = covering(settings, context.host, "read_only_paths", read_only) or read_only
        leaf = f"rootfs.read_only_paths.{member}"
        way = Way(leaf, None, Size.CALL if member == place.path else Size.WIDER)
        return PathAnswer("writable", f"no: {read_only} is read-only", leaf, (way,), (EROFS,))
    if place.lacks("rw"):
        leaf = "rootfs.read_only" if place.leaf == "rootfs.path" else place.leaf
        ways = _to_write(settings, context, place, leaf)
        return PathAnswer("writable", "no: mounted read-only", leaf, ways, (EROFS,))
    found = withheld(place.existing, place.top, WRITE, context, idmap=place.idmap) if place.source else None
    if found is not None and found.unmapped:
        ways = _mapped(settings, context, place, found.path, USUAL_RIGHTS)
        return PathAnswer("writable", f"no: {found.reason}", place.leaf, ways, (EACCES, EPERM, EOVERFLOW))
    if _mounted_with(place) & os.ST_RDONLY:
        return PathAnswer("writable", "no: read-only on the host", place.leaf)
    return PathAnswer("writable", f"no: {found.reason}" if found is not None else _BY_RIGHTS, place.leaf)


def _executable(settings: RootfsSettings, context: Context, place: Place) -> PathAnswer:
    if place.lacks("exec"):
        ways = with_right(settings, place, "exec")
        return PathAnswer("executable", "no: mounted noexec", place.leaf, ways, (EACCES, EPERM))
    if _mounted_with(place) & os.ST_NOEXEC:
        return PathAnswer("executable", "no: noexec on the host", place.leaf)
    found = withheld(place.source, place.top, EXECUTE, context, idmap=place.idmap) if place.source else None
    if found is None:
        return PathAnswer("executable", _BY_RIGHTS, place.leaf)
    ways = _mapped(settings, context, place, found.path, READ_ONLY_RIGHTS) if found.unmapped else ()
    return PathAnswer("executable", f"no: {found.reason}", place.leaf, ways, (EACCES,) if found.unmapped else ())


def _to_write(settings: RootfsSettings, context: Context, place: Place, leaf: str) -> Sequence[Way]:
    """What would have a path that is mounted read-only writable: that path alone, then what it lies in, the map of a
    volume's owner last."""
    if any(holds(top, place.path) for top in _KERNEL):
        return ()
    if not place.source:
        empty = place.path if place.path in hidden.VOLATILE else os.path.dirname(place.path)
        in_memory = [memory(empty)] if leaf == "rootfs.read_only" and empty != "/" else []
        return [*in_memory, *_volume_here(settings, context, place.path, USUAL_RIGHTS)]
    ways: list[Way] = []
    if _there(place.source):
        hides = place.path not in USUAL_TMPFS and (not os.path.isdir(place.source) or _names(place.source))
        ways += [memory(place.path)] if leaf == "rootfs.read_only" and not hides else []
        ways += _volumes(place.source, place.path, context, USUAL_RIGHTS) if place.path != "/" else []
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
    last."""
    above, source = os.path.dirname(place.path), os.path.dirname(place.source)
    if (above == place.mounted and leaf != "rootfs.read_only") or (
        above in hidden.SYSTEM.split() and above not in (*USUAL_TMPFS, *_OF_ADDED)
    ):
        return
    hides = settings.path.is_host and above not in USUAL_TMPFS and _there(source) and bool(_names(source))
    if leaf == "rootfs.read_only" and not hides:
        yield memory(above)
    if _there(source):
        for way in _volumes(source, above, context, USUAL_RIGHTS):
            yield attrs.evolve(way, size=Size.WIDER)


def begun(settings: RootfsSettings, context: Context, path: str) -> Sequence[Way]:
    """The place in memory in which what is to be made at a hidden path can be made: the caller's own directory, such as the
    home, where programs keep what they can make anew, or else what is hidden as a whole; where nothing is hidden, what
    the host has a directory at."""
    gone = shown(context).hiding(path)
    if gone is None:
        return (memory(path),) if settings.path.is_host and os.path.isdir(path) else ()
    homes = [home for home in context.host.of(RootfsFacts).private if holds(home, path)]
    top = max(homes, key=len, default=gone)
    source = None if gone is None or top is None else _source_of_hidden(settings, context, top, gone)
    return (memory(top),) if top is not None and source is not None and os.path.isdir(source) else ()


def memory(path: str) -> Way:
    """A place in memory at a path."""
    return Way(f"rootfs.tmpfs.{path}", USUAL_TMPFS.get(path) or Tmpfs(mode=usual_mode(path)), Size.CALL)


def with_right(settings: RootfsSettings, place: Place, right: str) -> Sequence[Way]:
    """The mount in which a path lies, with one right more; of a file in a volume, that file alone before."""
    held = settings.tmpfs.named.get(place.leaf.removeprefix("rootfs.tmpfs."))
    if held is not None:
        return (Way(place.leaf, attrs.evolve(held, rights=held.rights | {right})),)
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


def _mapped(
    settings: RootfsSettings, context: Context, place: Place, source: str, rights: frozenset[str]
) -> Sequence[Way]:
    """The volume in which a path lies with its owners mapped, or one of what of the root is an unmapped owner's."""
    volume = settings.volumes.named.get(place.leaf.removeprefix("rootfs.volumes."))
    if volume is not None:
        return (Way(place.leaf, attrs.evolve(volume, rights=volume.rights | rights, idmap=True, origin=None)),)
    path = place.path.removesuffix(place.source.removeprefix(source))
    return _volumes(source, path, context, rights) if place.leaf == "rootfs.path" and path not in ("", "/") else ()


def _lacking(settings: RootfsSettings, place: Place) -> PathAnswer | None:
    """The answer for what a container has not of what the kernel shows of itself; None for all else."""
    path, mounted = place.path, place.mounted
    name = path.split("/")[2] if path.count("/") > 1 else ""
    if settings.sys == "none" and holds("/sys", path) and mounted in (None, "/sys"):
        return _absent(path, "there is no /sys", Way("rootfs.sys", size=Size.WIDER))
    processes = name.isdecimal() or name in ("", "self", "thread-self")
    if mounted == "/proc" and settings.subset == "pid" and not processes:
        return _absent(path, "/proc shows processes alone", Way("rootfs.proc.subset", size=Size.WIDER))
    if not settings.shm_size and holds("/dev/shm", path) and mounted == "/dev":  # noqa: S108
        way = Way("rootfs.shm_size", None)
        return PathAnswer("seen", "no: there is no /dev/shm", way.leaf, (way,), (ENOENT, ENOTDIR))
    try:
        mode = os.lstat(path).st_mode if mounted == "/dev" and path not in _DEVICES else 0
    except OSError:
        mode = 0
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        way = Way(f"rootfs.devices.{path}", reaches_host=is_shared(path))
        return _absent(path, f"{path} is not among its devices", way)
    return None


def _absent(path: str, why: str, way: Way) -> PathAnswer:
    """The answer for what there is not; what the host has not either, nobody is denied."""
    return PathAnswer("seen", f"no: {why}", way.leaf, (way,), (ENOENT, ENOTDIR) if _there(path) else ())


def _volume_here(
    settings: RootfsSettings, context: Context, path: str, rights: frozenset[str] = READ_ONLY_RIGHTS
) -> Sequence[Way]:
    """The volume that shows what the host has at a path of its own root."""
    if settings.path.path != "/" or not _there(path) or path == "/" or any(holds(place, path) for place in _KERNEL):
        return ()
    return _volumes(path, path, context, rights)


def _volumes(source: str, path: str, context: Context, rights: frozenset[str]) -> Sequence[Way]:
    """A volume, with the owners of its files mapped where the rights are of no use without."""
    unmapped = only_unmapped_may(source, context, WRITE if "rw" in rights else READ)
    volumes = (Volume(source, path, rights, idmap=idmap) for idmap in ((True, False) if unmapped else (False,)))
    return [Way(f"rootfs.volumes.{path}", volume) for volume in volumes]


def uncovering(settings: RootfsSettings, context: Context, top: str) -> Iterator[Way]:
    """What shows and lets write all that is masked or read-only below a directory that the kernel makes."""
    seen = shown(context)
    for setting, paths in (("masked_paths", seen.masked), ("read_only_paths", seen.read_only)):
        members = (
            covering(settings, context.host, setting, path) or path
            for path in sorted(paths)
            if is_below(path, top) and _there(path)
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


def _there(path: str) -> bool:
    """Whether the host has something at a path, also where the caller may not look."""
    try:
        os.lstat(path)
    except OSError as error:
        return error.errno not in hidden.ABSENT
    return True


def _mounted_with(place: Place) -> int:
    """The flags of the host's own mount in which a path lies (``ST_*``), none where it cannot be looked at."""
    try:
        return os.statvfs(place.existing).f_flag if place.source else 0
    except OSError:
        return 0


def _masking(settings: RootfsSettings, context: Context, place: str) -> str:
    """The leaf that says that a place is empty: that of the path itself, or of what it is on the host; of a volume that
    leaves it out, the volume."""
    on_host = shown(context).kept.get(place)
    names = aliases.names(real_path(on_host), aliases.mounted()) if on_host is not None else ()
    for name, path in (("masked_paths", place), ("hidden_paths", place), *(("hidden_paths", other) for other in names)):
        member = covering(settings, context.host, name, path)
        if member is not None:
            return f"rootfs.{name}.{member}"
    volume = deepest(settings.sources(), place)
    return f"rootfs.volumes.{volume}" if volume is not None else "rootfs.hidden_paths"
