"""What volumes amount to for other settings: which hidden paths their sources are or lie in, where they come from and go to,
with which options, which sockets they show, and which bounded place in memory they take; and what devices are
by another name."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from hardening.base.files import is_below
from hardening.base.values import frozen
from hardening.mechanism.host import Host
from hardening.mechanism.mechanism import Implied
from hardening.mechanism.roles import RIGHTS, USUAL_RIGHTS, Volume
from hardening.mechanism.schema import WILDCARD, Leaf
from hardening_rootfs import aliases, hidden, origins, renaming, sockets, sources
from hardening_rootfs.beneath import LOOSEST, left_out
from hardening_rootfs.devices import numbers
from hardening_rootfs.paths import holds, real_path, resolve
from hardening_rootfs.settings import USUAL_TMPFS, RootfsSettings
from hardening_rootfs.surroundings import RootfsFacts, hidden_by

_SHM = "/dev/shm"  # noqa: S108


@frozen(eq=False)
class _Source:
    """What is shown of the host by the value of ``leaf``: as it was ``said``, its real path, and all its names; ``unknown``
    is a layer of the overlay there that may be any directory."""

    leaf: Leaf
    said: str
    real: str
    names: tuple[str, ...]
    unknown: str

    def lies_in(self, places: Iterable[str]) -> bool:
        """Whether it is one of some places, or lies in one, under any name, or is a hard link to one."""
        places = tuple(places)
        return any(holds(place, name) for place in places for name in self.names) or _linked(self.real, places)


def implied(settings: RootfsSettings, limits: Mapping[tuple[str, str], Any], host: Host) -> Iterator[Implied]:
    """All of it for the root and all volumes."""
    yield from _in_memory(settings, limits)
    yield from left_out(settings, limits)
    yield from _devices(settings, limits)
    volumes, facts, mounts = settings.mounted_volumes(), host.of(RootfsFacts), aliases.mounted()
    if not volumes and settings.path.is_host:
        return
    secrets = {
        member: hidden.everywhere(hidden.expand((member,), facts.private), mounts)
        for member in settings.hidden_paths.having(True)
    }

    def source_of(leaf: Leaf, said: str) -> _Source:
        real = real_path(said)
        through = aliases.over(real, mounts)
        return _Source(leaf, said, real, aliases.names(real, mounts), through.unknown if through is not None else "")

    root = source_of(_leaf("path"), settings.path.path)
    if not (settings.path.is_host or (facts.images and is_below(root.real, real_path(facts.images)))):
        # Where roots may lie is for `hidden.hiding` to say, but for what a limit hides.
        yield from (attrs.evolve(item, free=True) for item in _hidden(root, secrets, facts.private))
    if not (settings.path.is_host or settings.read_only):
        yield from _movable(_leaf("read_only"), root, secrets, settings, facts.private, mounts)
    for volume in volumes:
        source = source_of(_leaf("volumes", volume.target), volume.source)
        yield from _hidden(source, secrets, facts.private)
        yield from _from(source, settings, mounts)
        if volume.writable:
            yield from _movable(source.leaf, source, secrets, settings, facts.private, mounts)
        yield Implied(
            source.leaf, _leaf("volume_destinations", volume.target), True, f"{volume.target} is its destination"
        )
        for word in volume.grants():
            remedy = f"write {RIGHTS[word]}" if word in USUAL_RIGHTS else f"leave {word} out"
            yield Implied(source.leaf, _leaf("volume_options", word), True, f"it has the option {word}", remedy=remedy)
        yield from _sockets(source, volume, settings, host, mounts)
        yield from _rights(source, volume, limits)


def _devices(settings: RootfsSettings, limits: Mapping[tuple[str, str], Any]) -> Iterator[Implied]:
    """A device is its type and numbers, whatever nodes and links lead to it: by each name it is the others as well."""
    others = {member: numbers(member) for member in _denied_devices(settings, limits) if member != WILDCARD}
    for device in settings.devices.having(True):
        found = numbers(device)
        for other, its in others.items():
            if found is not None and found == its and other != device:
                kind, major, minor = found
                what = f"{device} is the same device ({kind} {major}:{minor})"
                yield Implied(_leaf("devices", device), _leaf("devices", other), True, what)


def _denied_devices(settings: RootfsSettings, limits: Mapping[tuple[str, str], Any]) -> list[str]:
    """The devices that a limit or a layer withholds, by name."""
    limited = {member for (setting, member), limit in limits.items() if setting == "devices" and not limit}
    return sorted(limited | set(settings.devices.having(False)))


def _sockets(
    source: _Source, volume: Volume, settings: RootfsSettings, host: Host, mounts: tuple[aliases.MountAlias, ...]
) -> Iterator[Implied]:
    if settings.volume_sockets:
        return
    kept = sources.kept_in(source.real, hidden_by(settings, host), mounts, recursive=volume.recursive)
    what = sockets.search(source.real, kept)
    if what is not None:
        yield Implied(source.leaf, _leaf("volume_sockets"), True, what)


def _leaf(setting: str, member: str = "") -> Leaf:
    return Leaf("rootfs", setting, member)


def _hidden(source: _Source, secrets: Mapping[str, tuple[str, ...]], private: Iterable[str]) -> Iterator[Implied]:
    homes = hidden.homes(private)
    ordinary = any(hidden.is_in_home(name, homes) for name in source.names)
    held = {member: [place for place in places if source.lies_in((place,))] for member, places in secrets.items()}
    around = {member: places for member, places in held.items() if places}
    # Of directories in one another the innermost hides it; the others do so only as a limit.
    nearest = max(around, key=lambda member: (max(map(len, around[member])), member != hidden.HOME), default=None)
    for member in around:
        # People work in their homes: a directory there is no secret by itself, unless a limit says so.
        home = member in (hidden.HOME, "/home", "/root")
        free = member != nearest or (ordinary and home)
        what, remedy = f"{source.said} shows what is hidden", ""
        instead = f"keep it in /srv or /opt: what lies in {member} is shown to no command" if home else ""
        if source.unknown:
            what = (
                f"{source.said} may show what is hidden: {source.unknown}, a layer of its overlay, may be any directory"
            )
            instead = remedy = "mount the overlay by the whole names of its layers, where only root can change them"
        yield Implied(source.leaf, _leaf("hidden_paths", member), False, what, free, instead, remedy)


def _movable(
    leaf: Leaf,
    source: _Source,
    secrets: Mapping[str, tuple[str, ...]],
    settings: RootfsSettings,
    private: tuple[str, ...],
    mounts: tuple[aliases.MountAlias, ...],
) -> Iterator[Implied]:
    """What is withheld below it, and would not be in the next run if the command renames a directory above that."""
    denied = [place for place in settings.volume_sources.having(False) if real_path(place) != "/"]
    places = {_leaf("hidden_paths", member): found for member, found in secrets.items()}
    places |= {_leaf("volume_sources", place): aliases.shown(real_path(place), mounts) for place in denied}
    names = {_leaf("hidden_paths", member): hidden.named((member,), private) for member in secrets}
    names |= {_leaf("volume_sources", place): (place,) for place in denied}
    links = {other: [link for name in found for link in aliases.links(name)] for other, found in names.items()}
    for other, place in renaming.movable(source.real, places, links):
        what = (
            f"{source.said} can be written, and who renames a directory in it shows {place} (read-only it stays hidden)"
        )
        yield Implied(leaf, other, other.setting == "volume_sources", what)


def _from(source: _Source, settings: RootfsSettings, mounts: tuple[aliases.MountAlias, ...]) -> Iterator[Implied]:
    """Where it comes from: by the nearest place above each of its names that counts; and none of its names may lie in a
    place from which nothing may come."""
    places = ", ".join(place for place in settings.volume_sources.having(True) if place != WILDCARD)
    remedy = f"volumes may come from {places}" if places else ""
    for name in origins.names(source.real, settings, mounts):
        leaf = _leaf("volume_sources", origins.member(name, settings)[0])
        yield Implied(source.leaf, leaf, True, f"it comes from {name}", remedy=remedy)
    for denied in settings.volume_sources.named:
        place, what = real_path(denied), f"it comes from {source.real}"
        named_here = settings.volume_sources[denied] or holds(place, source.real)
        if not named_here and source.lies_in(aliases.shown(place, mounts)):
            yield Implied(source.leaf, _leaf("volume_sources", denied), True, what, remedy=remedy)


def _in_memory(settings: RootfsSettings, limits: Mapping[tuple[str, str], Any]) -> Iterator[Implied]:
    """What takes the place of memory that has a bound, or could be filled beside it. Only a limit is held against that; what
    has one by its own name is judged by that alone."""
    tmpfs = settings.mounted_tmpfs()
    # Those alone follow links of the root, and are held against limits on the place where they lie.
    usual = {place: resolve(settings.path.path, place).path for place in USUAL_TMPFS if place in tmpfs}
    led = {place: path for place, path in usual.items() if path != place}
    bounded = [
        place for (setting, place), limit in limits.items() if setting == "tmpfs" and place != WILDCARD and limit
    ]
    for place, leaf in (*((place, _leaf("tmpfs", place)) for place in bounded), (_SHM, _leaf("shm_size"))):
        mounted = place == _SHM or place in tmpfs
        what = f"it replaces the tmpfs at {place}"
        for volume in settings.mounted_volumes():
            if volume.target == place or (volume.writable and _adds(volume.target, place, mounted=mounted)):
                loosest = LOOSEST if leaf.setting == "tmpfs" else LOOSEST.size
                yield Implied(_leaf("volumes", volume.target), leaf, loosest, what, free=True)
        beside = {
            other: tmpfs[other] for other in tmpfs if other not in bounded and _adds(other, place, mounted=mounted)
        }
        if place == _SHM and place in tmpfs:
            beside[place] = tmpfs[place]
        for other, path in led.items():
            if path == place or _adds(path, place, mounted=False):
                value = tmpfs[other] if leaf.setting == "tmpfs" else tmpfs[other].size
                yield Implied(_leaf("tmpfs", other), leaf, value, f"it is {path} in the root", free=True)
        own = tmpfs[place].size if place in tmpfs else settings.shm_size if place == _SHM else 0
        own = 0 if place in beside else own
        total = own + sum(value.size for value in beside.values())
        for other, value in beside.items():
            amount = attrs.evolve(value, size=total) if leaf.setting == "tmpfs" else total
            said = what if other == place else f"it adds to the memory at {place}"
            yield Implied(_leaf("tmpfs", other), leaf, amount, said, free=True)


def _adds(target: str, place: str, *, mounted: bool) -> bool:
    """Whether a mount can be filled beside a place in memory: it lies below, or shows it where nothing is mounted."""
    return is_below(target, place) or (is_below(place, target) and not mounted)


def _rights(source: _Source, volume: Volume, limits: Mapping[tuple[str, str], Any]) -> Iterator[Implied]:
    """What its options give that a limit may withhold under another name."""
    if "dev" in volume.rights:
        for member in sorted({WILDCARD, *(member for setting, member in limits if setting == "devices")}):
            yield Implied(source.leaf, _leaf("devices", member), True, "all devices in it work", free=True)
    word = volume.propagation.removeprefix("r")
    if word != "private":
        yield Implied(source.leaf, _leaf("propagation"), word, f"its propagation is {word}", free=True)


def _linked(path: str, places: Iterable[str]) -> bool:
    """Whether a path is a file that has another name in some places: one of them itself."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink < 2:
            return False
    except OSError:
        return False
    return any(_is(place, status) for place in places)


def _is(place: str, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(place), status)
    except OSError:
        return False
