"""How a foreign configuration is made nowhere looser than the settings, keeping what it asks for within them.

Of mounts, those stay that the settings name, the kernel's own file systems at their usual places, places in memory, and
the files that engines provide (``/etc/hosts``), without which a container does not work. Every other one goes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from hardening.errors import quoted
from hardening.launch.config.bundle import NODES
from hardening.launch.config.config_mounts import COPIES
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Context, Violation
from hardening.mechanism.schema import Leaf
from hardening_rootfs import foreign_binds, foreign_devices, foreign_root, mounts, sources
from hardening_rootfs.foreign_root import ForeignRoot
from hardening_rootfs.paths import above, deepest, holds, resolve
from hardening_rootfs.rights import PLACES, RequestedRights, Tightened, tighten_kernel, tighten_tmpfs
from hardening_rootfs.settings import RootfsSettings
from hardening_rootfs.spec import expand, limits_devices
from hardening_rootfs.surroundings import RootfsFacts, Surroundings, secrets, volume_maps, withheld

_PROPAGATION = ("unbindable", "private", "slave", "shared")
_ID_DIGITS = 10
_MOST_RANGES = 340  # that the kernel takes of an id map (user_namespaces(7))
_PATH_MAX = 4096  # bytes that the kernel takes of a path, its end included
#: A mount that stays, and its leaf.
Kept = tuple[mounts.Mount, str]


def tighten(
    settings: RootfsSettings, document: Mapping[str, Any], context: Context, fragment: Fragment
) -> Iterator[Violation]:
    """Contribute the tightened root, mounts, paths, devices and propagation; yield what was asked for beyond them."""
    root, kept, violations = context.once(_mounts, settings, document)
    yield from _tighten_root(settings, document, root, fragment)
    yield from violations
    fragment.replace("/mounts", "rootfs.volumes")
    for destination, (mount, leaf) in kept.items():
        fragment.item("/mounts", destination, mount, leaf)
    hides = {path for path in _hides(settings, context, root, kept) - set(kept) if not _is_new(kept, path)}
    shown = {place: mount["source"] for place, (mount, _) in kept.items() if RequestedRights("", mount).kind == "bind"}
    yield from _tighten_paths(settings, document, root, shown, hides, context, fragment)
    yield from _tighten_propagation(settings, document, fragment)
    if limits_devices(settings, context):
        # Nothing of the specification says so of a root: the native launcher mounts each without, and no other is started.
        fragment.put(f"/annotations/{NODES}", "withheld", "rootfs.devices")
    yield from foreign_devices.tighten(settings, document, fragment)


def elsewhere(settings: RootfsSettings, document: Mapping[str, Any], context: Context, place: str) -> str:
    """Where a mount at a place would lie instead, in the root of a configuration with the mounts that it keeps; empty
    where the place is itself."""
    root, kept, _ = context.once(_mounts, settings, document)
    return _led(root, place, kept)


def kept_writable(settings: RootfsSettings, document: Mapping[str, Any], context: Context) -> list[str]:
    """The places of a configuration where the mounts that stay, or are added, let files be written; its whole root where
    that stays writable."""
    _, kept, _ = context.once(_mounts, settings, document)
    if not (settings.read_only or (document.get("root") or {}).get("readonly")):
        return ["/"]
    writable = [place for place, (mount, _) in kept.items() if not {"ro", "rro"} & {*mount.get("options", ())}]
    return ["/dev", *writable]  # devices are written to, however it is mounted


def _mounts(
    settings: RootfsSettings, document: Mapping[str, Any], context: Context
) -> tuple[ForeignRoot, dict[str, Kept], list[Violation]]:
    """The root, the mounts that stay or are added by their places, each with its leaf, and what was asked for beyond."""
    root = foreign_root.locate(settings, document, context)
    found: dict[str, tuple[RequestedRights, Kept]] = {}
    beyond: list[Violation] = []
    others = {point.path for point in context.mount_points}
    program = next(iter((document.get("process") or {}).get("args") or ()), "")
    mapped = _mapped_groups(document, context)
    for index, entry in enumerate(document.get("mounts") or ()):
        if entry.get("destination") in others:
            continue  # it is for the mechanism whose place this is to say what stays
        whole = RequestedRights(f"/mounts/{index}", _with_mapped_group(entry, mapped))
        if max(len(whole.destination), len(whole.source)) >= _PATH_MAX:
            beyond.append(whole.violation("none: no path is so long", "rootfs.volumes"))
            continue
        asked, unknown = _by_name(settings, root, whole).with_known_options()
        mount, leaf, violations = _tighten_mount(settings, context, asked)
        if mount is None and asked.kind == "bind" and holds(asked.destination, program):
            violations = [_of_program(context, root, asked, item) for item in violations]
        found.pop(asked.destination, None)
        beyond += [*violations, *(unknown if mount is not None else ())]
        if mount is not None:
            found[asked.destination] = (asked, (mount, leaf))
    kept: dict[str, Kept] = {}
    for place in sorted(found, key=lambda place: place.count("/")):  # the order in which they are mounted
        asked, (mount, leaf) = found[place]
        led = _led(root, place, kept)
        if led:
            # What a limit or a layer says of that place would not meet it.
            beyond.append(asked.violation(f"none: {led}", leaf))
            continue
        copied = _copied(settings, context, root, kept, mount)
        if copied is not None:
            mount = mount | {"options": [option for option in mount["options"] if option != COPIES]}
            why = f"none: it would show what {copied} holds, which is hidden"
            beyond.append(Violation(f"{asked.pointer}/options", f"{COPIES} at {place}", why, leaf))
        kept[place] = (mount, leaf)
    writable = not (document.get("root") or {}).get("readonly")
    for place in _missing_places(settings, root, kept) if root.host or writable else ():
        options = settings.mounted_tmpfs()[place].options()
        kept[place] = (mounts.mount(place, "tmpfs", "tmpfs", *options), f"rootfs.tmpfs.{place}")
    if root.host and "/dev" not in kept:
        kept["/dev"] = (mounts.mount("/dev", "tmpfs", "tmpfs", *mounts.DEV_OPTIONS), "rootfs.read_only")
    return root, kept, beyond


def _by_name(settings: RootfsSettings, root: ForeignRoot, asked: RequestedRights) -> RequestedRights:
    """A bind mount at the place where it lies in the root, where the settings have a volume there."""
    place = asked.destination if asked.kind != "bind" else _lies(root, asked.destination)
    return asked.at(place) if place != asked.destination and settings.volumes[place] is not None else asked


def _lies(root: ForeignRoot, place: str) -> str:
    return resolve(root.path, place).path if root.path is not None else place


def _of_program(context: Context, root: ForeignRoot, asked: RequestedRights, violation: Violation) -> Violation:
    """That a mount goes in which the command's program is, as the init of docker's `--init`: with what adds it."""
    place = _lies(root, asked.destination)
    limited = context.limit(Leaf("rootfs", "volumes", place)) is not None
    words = f"-v {quoted(f'{asked.source}:{place}:ro')} adds it"
    why = "a limit binds it" if limited else words
    return attrs.evolve(violation, allowed=f"{violation.allowed}: the command is in it, and {why}")


def _led(root: ForeignRoot, place: str, kept: Mapping[str, Kept]) -> str:
    """By what a place leads elsewhere: a link of the root, or of a directory that is mounted above it. Empty where it lies
    there itself. A new file system has no links but those that are copied to it."""
    mounted = (other for other in above(place) if other in kept)
    cover = next((other for other in mounted if COPIES not in kept[other][0]["options"]), "")
    if not cover:
        found = _lies(root, place)
        return "" if found == place else f"it is {found} in the root"
    over, below = RequestedRights("", kept[cover][0]), place.removeprefix(cover)
    if over.kind != "bind" or resolve(over.source, below).path == below:
        return ""
    return f"a link in {over.source}, which is mounted at {cover}, is on the way"


def _tighten_root(
    settings: RootfsSettings, document: Mapping[str, Any], root: ForeignRoot, fragment: Fragment
) -> Iterator[Violation]:
    asked = document.get("root") or {}
    if asked.get("path", foreign_root.DEFAULT) != root.said:
        fragment.put("/root/path", root.said, "rootfs.path")
    if settings.read_only or root.host:
        if not asked.get("readonly"):
            yield Violation("/root/readonly", "false", "true", "rootfs.read_only")
        fragment.put("/root/readonly", True, "rootfs.read_only")


def _copied(
    settings: RootfsSettings, context: Context, root: ForeignRoot, kept: Mapping[str, Kept], mount: mounts.Mount
) -> str | None:
    """Something hidden that a tmpfs would hold a copy of: no mask is over what is mounted at a hidden place."""
    if COPIES not in mount["options"]:
        return None
    found = sorted(_hides(settings, context, root, kept))
    return next((path for path in found if holds(mount["destination"], path)), None)


def _hides(settings: RootfsSettings, context: Context, root: ForeignRoot, kept: Mapping[str, Kept]) -> set[str]:
    """What of the running host and of its secrets the root has, and the mounts of the host's files: of its own root, and of
    volumes. What is mounted there instead is seen."""
    secret = secrets(settings, context)
    found = root.hides(secret)
    shows_own = any(leaf == "rootfs.path" for _, leaf in kept.values())
    of_host = sources.kept_in_root("/", secret) if shows_own else ()
    for place, (mount, leaf) in kept.items():
        own = leaf == "rootfs.path"
        if own:
            found |= {path for path in of_host if holds(place, path)}
        if own or leaf.startswith("rootfs.volumes."):
            withhold, recursive = secret if own else withheld(settings, context), "rbind" in mount["options"]
            inside = sources.kept_in(mount["source"], withhold, recursive=recursive)
            found |= {os.path.normpath(f"{place}/{path}") for path in inside}
    return found


def _is_new(kept: Mapping[str, Kept], path: str) -> bool:
    """Whether a path lies in a file system that is mounted empty, where nothing of the root is seen."""
    over = deepest(kept, path)
    mount = kept[over][0] if over is not None else {}
    return over is not None and RequestedRights("", mount).kind != "bind" and COPIES not in mount.get("options", ())


def _mapped_groups(document: Mapping[str, Any], context: Context) -> list[tuple[int, int]]:
    """The first of each range of groups that the container's ids hold, and how many; empty where it has no maps."""
    own = (document.get("linux") or {}).get("gidMappings") or ()
    maps = volume_maps(context)
    if own or maps is None:
        return [(int(item["containerID"]), int(item["size"])) for item in own[:_MOST_RANGES]]
    return [(item.inside, item.size) for item in maps.gids]


def _with_mapped_group(entry: Mapping[str, Any], ranges: Sequence[tuple[int, int]]) -> Mapping[str, Any]:
    """A terminal's group that the container's ids do not hold makes its mount fail: without one it is the owner's."""
    if entry.get("type") != "devpts":
        return entry
    groups = [str(option)[4:] for option in entry.get("options") or () if str(option).startswith("gid=")]
    numbers = [int(group) if group.isdecimal() and len(group) <= _ID_DIGITS else -1 for group in groups]
    mapped = all(any(low <= number < low + size for low, size in ranges) for number in numbers)
    if mapped or not ranges:
        return entry
    return {**entry, "options": [option for option in entry["options"] if not str(option).startswith("gid=")]}


def _tighten_mount(settings: RootfsSettings, context: Context, asked: RequestedRights) -> Tightened:
    place, kind = asked.destination, asked.kind
    if place == "/":
        # The root itself is no mount's business.
        return None, "", [asked.violation("none", "rootfs.path")]
    if place == "/dev/shm":  # noqa: S108
        return _shared_memory(settings, asked)
    if kind == "bind":
        return foreign_binds.tighten(settings, context, asked)
    if kind == "tmpfs" and place != PLACES["tmpfs"]:
        return tighten_tmpfs(asked, settings.mounted_tmpfs().get(place), f"rootfs.tmpfs.{place}")
    if settings.sys == "none" and kind in ("sysfs", "cgroup", "cgroup2"):
        return None, "", [asked.violation("none", "rootfs.sys")]
    unified = context.host.of(RootfsFacts).unified
    if kind in ("cgroup", "cgroup2") and not unified and PLACES[kind] == place:
        return mounts.no_cgroups(place), "rootfs.sys", []
    return tighten_kernel(settings, asked)


def _shared_memory(settings: RootfsSettings, asked: RequestedRights) -> Tightened:
    """Shared memory is always our own: an engine's is a directory of the host's that it made larger."""
    leaf = "rootfs.shm_size"
    if not settings.shm_size:
        return None, "", [asked.violation("none", leaf)]
    size = min(asked.size or settings.shm_size, settings.shm_size)
    same = asked.kind == "tmpfs" and asked.size == size
    return mounts.shared_memory(size), leaf, [] if same else [asked.violation(f"tmpfs of {size} bytes", leaf)]


def _missing_places(settings: RootfsSettings, root: ForeignRoot, kept: Mapping[str, Kept]) -> Iterator[str]:
    """The places in memory that make up for a root that was writable, where the root has the directory."""
    path = root.path.rstrip("/") if root.path is not None else None
    for place in settings.mounted_tmpfs() if settings.read_only or root.host else ():
        covered = any(holds(other, place) for other in kept)
        if path is not None and not covered and os.path.isdir(path + place) and not _led(root, place, kept):
            yield place


def _tighten_paths(
    settings: RootfsSettings,
    document: Mapping[str, Any],
    root: ForeignRoot,
    shown: Mapping[str, str],
    hides: set[str],
    context: Context,
    fragment: Fragment,
) -> Iterator[Violation]:
    linux, around = document.get("linux") or {}, Surroundings.of(context)
    masked = expand(root.path or "/", settings.masked_paths, shown) | hides
    if not around.own_sys and settings.sys != "none":
        masked |= set(mounts.HOST_SYS)
    read_only = expand(root.path or "/", settings.read_only_paths, shown)
    for key, wanted, leaf, word in (
        ("maskedPaths", masked, "masked_paths", "masked"),
        ("readonlyPaths", read_only, "read_only_paths", "read-only"),
    ):
        asked = set(linux.get(key) or ())
        for path in sorted(wanted - asked - set(linux.get("maskedPaths") or ())):
            yield Violation(f"/linux/{key}", f"{path} as it is", f"{path} {word}", f"rootfs.{leaf}.{path}")
        fragment.put(f"/linux/{key}", sorted(wanted | asked), f"rootfs.{leaf}")


def _tighten_propagation(
    settings: RootfsSettings, document: Mapping[str, Any], fragment: Fragment
) -> Iterator[Violation]:
    asked = (document.get("linux") or {}).get("rootfsPropagation")
    propagation = str(asked or "private").removeprefix("r")
    if propagation not in _PROPAGATION or _PROPAGATION.index(propagation) > _PROPAGATION.index(settings.propagation):
        yield Violation("/linux/rootfsPropagation", propagation, settings.propagation, "rootfs.propagation")
        propagation = settings.propagation
    fragment.put("/linux/rootfsPropagation", propagation, "rootfs.propagation")
