"""How a foreign configuration is made nowhere looser than the settings, keeping what it asks for within them.

A mount that the settings do not name stays where it is, but read-only and without rights: engines mount files of their
own (``/etc/hosts``), without which a container does not work. What would show secrets or give control of the host goes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from hardening.mechanism import Context, Excess
from hardening.spec import Fragment
from hardening_rootfs import hidden, mounts
from hardening_rootfs.findings import SOCKETS
from hardening_rootfs.host import RootfsFacts, Surroundings, volume_maps
from hardening_rootfs.paths import is_below
from hardening_rootfs.rights import Asked, tighten_bind, tighten_kernel, tighten_tmpfs
from hardening_rootfs.settings import RootfsSettings
from hardening_rootfs.spec import expand

_PROPAGATION = ("unbindable", "private", "slave", "shared")
_USUAL_DEVICES = frozenset(
    f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty", "console", "ptmx")
)


def tighten(
    settings: RootfsSettings, document: Mapping[str, Any], context: Context, fragment: Fragment
) -> Iterator[Excess]:
    """Contribute the tightened root, mounts, paths, devices and propagation; yield what was asked for beyond them."""
    root = document.get("root") or {}
    if settings.read_only:
        if not root.get("readonly"):
            yield Excess("/root/readonly", "false", "true", "rootfs.read_only")
        fragment.put("/root/readonly", True, "rootfs.read_only")
    kept: dict[str, tuple[mounts.Mount, str]] = {}
    for index, entry in enumerate(document.get("mounts") or ()):
        asked = Asked(f"/mounts/{index}", _with_mapped_group(entry, document, context))
        mount, leaf, excesses = _tighten_mount(settings, context, asked)
        yield from excesses
        if mount is not None:
            kept[asked.destination] = (mount, leaf)
        else:
            kept.pop(asked.destination, None)
    for place in _missing_places(settings, root, kept, context):
        options = settings.mounted_tmpfs()[place].options()
        kept[place] = (mounts.mount(place, "tmpfs", "tmpfs", *options), f"rootfs.tmpfs.{place}")
    fragment.replace("/mounts")
    for destination, (mount, leaf) in kept.items():
        fragment.item("/mounts", destination, mount, leaf)
    yield from _tighten_linux(settings, document, context, fragment)


def _with_mapped_group(entry: Mapping[str, Any], document: Mapping[str, Any], context: Context) -> Mapping[str, Any]:
    """A terminal's group that the container's ids do not hold makes its mount fail: without one it is the owner's."""
    if entry.get("type") != "devpts":
        return entry
    own = (document.get("linux") or {}).get("gidMappings") or ()
    ranges = [(int(item["containerID"]), int(item["size"])) for item in own]
    maps = volume_maps(context)
    if not ranges and maps is not None:
        ranges = [(item.inside, item.size) for item in maps.gids]
    groups = [str(option)[4:] for option in entry.get("options") or () if str(option).startswith("gid=")]
    mapped = all(group.isdecimal() and any(low <= int(group) < low + size for low, size in ranges) for group in groups)
    if mapped or not ranges:
        return entry
    return {**entry, "options": [option for option in entry["options"] if not str(option).startswith("gid=")]}


def _tighten_mount(
    settings: RootfsSettings, context: Context, asked: Asked
) -> tuple[mounts.Mount | None, str, list[Excess]]:
    if asked.kind == "bind":
        return _tighten_bind(settings, context, asked)
    if asked.destination == "/dev/shm":  # noqa: S108
        return _shared_memory(settings, asked)
    if asked.kind == "tmpfs" and asked.destination != "/dev":
        allowed = settings.mounted_tmpfs().get(asked.destination)
        return tighten_tmpfs(asked, allowed, f"rootfs.tmpfs.{asked.destination}")
    below_sys = asked.destination == "/sys" or is_below(asked.destination, "/sys")
    if settings.sys == "none" and (below_sys or asked.kind in ("sysfs", "cgroup", "cgroup2")):
        return None, "", [asked.excess("none", "rootfs.sys")]
    if asked.kind in ("cgroup", "cgroup2") and not context.host.of(RootfsFacts).unified:
        return mounts.no_cgroups(asked.destination), "rootfs.sys", []
    return tighten_kernel(settings, asked)


def _shared_memory(settings: RootfsSettings, asked: Asked) -> tuple[mounts.Mount | None, str, list[Excess]]:
    """Shared memory is always our own: an engine's is a directory of the host's that it made larger."""
    leaf = "rootfs.shm_size"
    if not settings.shm_size:
        return None, "", [asked.excess("none", leaf)]
    size = min(asked.size or settings.shm_size, settings.shm_size)
    excesses = [asked.excess(f"tmpfs of {size} bytes", leaf)] if asked.kind == "bind" or asked.size != size else []
    return mounts.shared_memory(size), leaf, excesses


def _tighten_bind(
    settings: RootfsSettings, context: Context, asked: Asked
) -> tuple[mounts.Mount | None, str, list[Excess]]:
    destination, source = asked.destination, asked.source
    volume = settings.volumes[destination]
    if volume is not None and os.path.realpath(volume.source) == os.path.realpath(source):
        return tighten_bind(asked, volume, f"rootfs.volumes.{destination}")
    if destination == "/dev/shm":  # noqa: S108
        return _shared_memory(settings, asked)
    if destination == "/proc":
        return tighten_kernel(settings, asked)
    if destination == "/sys" or is_below(destination, "/sys"):
        leaf = "rootfs.sys"
        return (None, "", [asked.excess("none", leaf)]) if settings.sys == "none" else tighten_kernel(settings, asked)
    if destination.startswith("/dev/") or source.startswith("/dev/"):
        leaf = f"rootfs.devices.{source}"
        if destination == source and settings.devices[source]:
            return mounts.mount(destination, "bind", source, "bind", "nosuid", "noexec", "private"), leaf, []
        if source not in _USUAL_DEVICES:
            return None, "", [asked.excess("none", leaf)]
        return {**asked.entry}, leaf, []
    leaf = f"rootfs.volumes.{destination}"
    if _gives_away(source, context):
        return None, "", [asked.excess("none", leaf)]
    return tighten_bind(asked, None, leaf)


def _gives_away(source: str, context: Context) -> bool:
    """Whether a path of the host holds its secrets, or controls it."""
    real = os.path.realpath(source)
    secrets = hidden.expand(hidden.PATHS, context.host.of(RootfsFacts).private)
    precious = {*secrets, *(os.path.realpath(socket) for socket in SOCKETS)}
    return real == "/" or any(path == real or is_below(path, real) for path in precious)


def _missing_places(
    settings: RootfsSettings, root: Mapping[str, Any], kept: Mapping[str, object], context: Context
) -> Iterator[str]:
    """The places in memory that make up for a root that was writable, where the root has the directory."""
    path = str(root.get("path", "rootfs"))
    if not os.path.isabs(path):
        if context.bundle is None:
            return
        path = os.path.join(context.bundle, path)
    if settings.read_only and not root.get("readonly"):
        for place in settings.mounted_tmpfs():
            covered = any(place == other or is_below(place, other) for other in kept)
            if not covered and os.path.isdir(path + place) and not os.path.islink(path + place):
                yield place


def _tighten_linux(
    settings: RootfsSettings, document: Mapping[str, Any], context: Context, fragment: Fragment
) -> Iterator[Excess]:
    linux, root = document.get("linux") or {}, (document.get("root") or {}).get("path", "")
    around = Surroundings.of(context)
    masked = expand(root if os.path.isabs(root) else "/", settings.masked_paths)
    if root == "/":
        masked |= set(hidden.expand(settings.hidden_paths.having(True), context.host.of(RootfsFacts).private))
    if not around.own_sys and settings.sys != "none":
        masked |= set(mounts.HOST_SYS)
    read_only = expand(root if os.path.isabs(root) else "/", settings.read_only_paths)
    for key, wanted, leaf in (("maskedPaths", masked, "masked_paths"), ("readonlyPaths", read_only, "read_only_paths")):
        asked = set(linux.get(key) or ())
        for path in sorted(wanted - asked - set(linux.get("maskedPaths") or ())):
            yield Excess(f"/linux/{key}", f"{path} as it is", leaf.replace("_", " "), f"rootfs.{leaf}.{path}")
        fragment.put(f"/linux/{key}", sorted(wanted | asked), f"rootfs.{leaf}")
    propagation = str(linux.get("rootfsPropagation") or "private").removeprefix("r")
    if propagation not in _PROPAGATION or _PROPAGATION.index(propagation) > _PROPAGATION.index(settings.propagation):
        yield Excess("/linux/rootfsPropagation", propagation, settings.propagation, "rootfs.propagation")
        propagation = settings.propagation
    fragment.put("/linux/rootfsPropagation", propagation, "rootfs.propagation")
    devices = []
    for index, device in enumerate(linux.get("devices") or ()):
        path = str(device.get("path"))
        if settings.devices[path]:
            devices.append(device)
        elif path not in _USUAL_DEVICES:
            yield Excess(f"/linux/devices/{index}", path, "none", f"rootfs.devices.{path}")
    fragment.put("/linux/devices", devices or None, "rootfs.devices")
