"""What the command sees, and in which mount a path lies, as far as the settings go.

It is read from what is contributed to the configuration, so that it is that of the mounts that are made.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from hardening.base.files import is_below
from hardening.base.linux import resolution
from hardening.base.values import frozen
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.host import Host
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import RIGHTS
from hardening.mechanism.schema import Leaf
from hardening_rootfs import aliases, hidden, spec
from hardening_rootfs.beneath import beneath, is_mounted, mounts_of
from hardening_rootfs.paths import deepest, holds, on_host, real_path
from hardening_rootfs.settings import RootfsSettings
from hardening_rootfs.surroundings import RootfsFacts

#: What the kernel makes in each container.
KERNEL = ("/dev", "/proc", "/sys")
#: The families whose members speak for what is below them.
_PLACES = ("volumes", "tmpfs", "masked_paths", "read_only_paths", "hidden_paths")


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
        while not there(place) and place != self.top:
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


def uncovered(settings: RootfsSettings, context: Context | None, before: RootfsSettings) -> Iterator[tuple[Leaf, str]]:
    """The places in memory and volumes of other settings that are none here, and where something else is seen instead: of
    the settings, and of the host, where there is a ``context``."""
    mounted = {**dict.fromkeys(before.mounted_tmpfs(), "tmpfs"), **dict.fromkeys(before.sources(), "volumes")}
    mounts = mounts_of(settings)
    for path, family in mounted.items():
        if is_mounted(mounts, family, path):
            continue
        found = beneath(settings, mounts, family, path)
        if found is not None:
            yield Leaf("rootfs", family, path), f"{found.what} instead"
            continue
        if context is None:
            continue
        place = place_of(settings, context, path)
        if place.source and shown(context).hiding(place.path) is None and not _is_empty(place.source):
            yield Leaf("rootfs", family, path), f"{place.source} of the host is seen instead"


def _is_empty(path: str) -> bool:
    """Whether there is nothing at a path, or an empty directory; what cannot be looked at is not."""
    if not there(path):
        return True
    try:
        return not os.listdir(path)
    except OSError:
        return False


def source_of_hidden(settings: RootfsSettings, context: Context, path: str, gone: str) -> str | None:
    """What the host has in the place of a path that is hidden; None where nobody can tell."""
    on_the_host = shown(context).kept.get(gone)
    if on_the_host is not None:
        return os.path.normpath(on_the_host + path.removeprefix(gone))
    place = place_of(settings, context, path)
    if place.source:
        return place.source
    # The kernel shows the same files of itself in every root.
    return path if place.mounted in KERNEL else on_host(settings.path.path, path)


def masking(settings: RootfsSettings, context: Context, place: str) -> str:
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


def there(path: str) -> bool:
    """Whether the host has something at a path, also where the caller may not look."""
    try:
        os.lstat(path)
    except OSError as error:
        return error.errno not in hidden.ABSENT
    return True


def mounted_with(place: Place) -> int:
    """The flags of the host's own mount in which a path lies (``ST_*``), none where it cannot be looked at."""
    try:
        return os.statvfs(place.existing).f_flag if place.source else 0
    except OSError:
        return 0
