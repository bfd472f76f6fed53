"""The root file system's part of the OCI spec."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping

import attrs

from hardening.base import patterns
from hardening.base.files import is_below
from hardening.base.patterns import STAR
from hardening.base.values import frozen
from hardening.errors import ProfileError, quoted
from hardening.mechanism.fragment import Directory, Fragment
from hardening.mechanism.idmaps import to_oci
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import RIGHTS, Volume
from hardening.mechanism.schema import WILDCARD, Leaf, Members
from hardening_rootfs import aliases, hidden, mounts, skeleton, sources
from hardening_rootfs.paths import above, deepest, followed, holds, on_host, resolve
from hardening_rootfs.settings import USUAL_TMPFS, RootfsSettings
from hardening_rootfs.skeleton import MountTarget, Skeleton
from hardening_rootfs.surroundings import (
    Surroundings,
    require,
    require_apart,
    require_shown,
    secrets,
    volume_maps,
    withheld,
)

#: The runtime that mounts a root directory so that device nodes in it do not work.
NATIVE = "native"


@frozen(eq=False)
class Planned:
    """A mount, the leaves that decided it, and the mount point that it needs. ``follows`` marks what the mechanism mounts by
    itself, which lies where links of the root lead."""

    mount: mounts.Mount
    leaves: tuple[str, ...]
    target: MountTarget
    follows: bool = False


def contribute(settings: RootfsSettings, context: Context, fragment: Fragment) -> None:
    """Root, mounts, masked and read-only paths, propagation. Raises `ProfileError` for what cannot be mounted."""
    require(settings)
    require_apart(settings, context)
    require_shown(settings, context)
    around = Surroundings.of(context)
    root = settings.path.path
    planned = plan(settings, context)
    for item in planned.values():
        fragment.item("/mounts", item.target.path, _enforceable(item.mount, context), *item.leaves)
    secret = shown_secrets(settings, context)
    _root(settings, planned, secret, context, fragment)
    shown = settings.sources()
    masked = {*expand(root, settings.masked_paths, shown), *_masks(settings, secret, planned)}
    masked |= set(kept_in_volumes(settings, context)) - set(planned)
    if settings.sys != "none" and not around.own_sys:
        masked |= set(mounts.HOST_SYS)
    fragment.put("/linux/maskedPaths", sorted(masked), "rootfs.masked_paths", "rootfs.hidden_paths")
    read_only = expand(root, settings.read_only_paths, shown)
    fragment.put("/linux/readonlyPaths", sorted(read_only), "rootfs.read_only_paths")
    fragment.put("/linux/rootfsPropagation", settings.propagation, "rootfs.propagation")


def plan(settings: RootfsSettings, context: Context) -> dict[str, Planned]:
    """The mounts besides those that make up the root, by where they really are in it."""
    around = Surroundings.of(context)
    wanted = [*_kernel(settings, context, around), *_tmpfs(settings), *_volumes(settings, context), *_others(context)]
    return _place(settings.path.path, [*wanted, *_hollows(wanted, kept_in_volumes(settings, context))])


def shown_secrets(settings: RootfsSettings, context: Context) -> tuple[str, ...]:
    """What stays hidden that the root would show, as paths in it, without what a host's own never has."""
    return context.once(_shown_secrets, settings)


def _shown_secrets(settings: RootfsSettings, context: Context) -> tuple[str, ...]:
    found = sources.kept_in_root(settings.path.path, secrets(settings, context))
    return tuple(path for path in found if not (settings.path.is_host and path in hidden.VOLATILE))


def _kernel(settings: RootfsSettings, context: Context, around: Surroundings) -> Iterable[Planned]:
    lacking = {leaf for leaf in ("rootfs.proc.hidepid", "rootfs.proc.subset") if context.lacks(leaf)}
    yield _directory(mounts.proc(settings, around, lacking), "rootfs.proc.hidepid", "rootfs.proc.subset")
    for mount in mounts.devices(settings, around):
        place = mount["destination"]
        if mount["type"] == "bind":
            yield Planned(mount, (f"rootfs.devices.{place}",), MountTarget(place, False), follows=True)
        else:
            yield _directory(mount, "rootfs.shm_size" if place == "/dev/shm" else "rootfs.devices")  # noqa: S108
    for mount in mounts.sys(settings, around):
        yield _directory(mount, "rootfs.sys")


def _directory(mount: mounts.Mount, *leaves: str, follows: bool = True) -> Planned:
    return Planned(mount, leaves, MountTarget(mount["destination"], True), follows)


def _tmpfs(settings: RootfsSettings) -> Iterable[Planned]:
    for place, value in settings.mounted_tmpfs().items():
        mount = mounts.mount(place, "tmpfs", "tmpfs", *value.options())
        yield _directory(mount, f"rootfs.tmpfs.{place}", follows=place in USUAL_TMPFS)


def _volumes(settings: RootfsSettings, context: Context) -> Iterable[Planned]:
    for volume in settings.mounted_volumes():
        yield _volume(volume, f"rootfs.volumes.{volume.target}", context)
    for outer, anchor in anchors(settings, context).values():
        yield _volume(anchor, f"rootfs.volumes.{outer.target}", context)


def _volume(volume: Volume, leaf: str, context: Context) -> Planned:
    kept = attrs.evolve(volume, idmap=volume.idmap and not context.lacks(leaf))
    mount = mounts.mount(volume.target, "bind", followed(volume.source, volume.origin), *kept.options())
    maps = volume_maps(context) if kept.idmap else None
    if maps is not None:
        mount |= {"uidMappings": to_oci(maps.uids), "gidMappings": to_oci(maps.gids)}
    return Planned(mount, (leaf,), MountTarget(volume.target, os.path.isdir(volume.source), volume.origin))


def anchors(settings: RootfsSettings, context: Context) -> Mapping[str, tuple[Volume, Volume]]:
    """Of volumes that can be written, each directory above what is masked or read-only in them, which is mounted over
    itself: the volume by the place, and that part of it. A mount point cannot be renamed (EBUSY); what lies in a directory
    that can be is as writable as the rest under the new name."""
    return context.once(_anchors, settings)


def _anchors(settings: RootfsSettings, _: Context) -> Mapping[str, tuple[Volume, Volume]]:
    found: dict[str, tuple[Volume, Volume]] = {}
    for outer, path in _within_writable(settings):
        if not os.path.lexists(outer.source + path.removeprefix(outer.target)):
            continue
        for place in above(path):
            if is_below(place, outer.target):
                source = outer.source + place.removeprefix(outer.target)
                found[place] = (outer, attrs.evolve(outer, source=source, target=place))
    return found


def require_held(settings: RootfsSettings) -> None:
    """Raise `ProfileError` where a masked or read-only path leads by a link in a volume that can be written: a mount holds
    what the link leads to, and the link itself can be replaced."""
    held = _within_writable(settings)
    restricted = {path for _, path in held}
    for outer, path in held:
        for place in (*reversed(above(path)), path):
            if not is_below(place, outer.target):
                continue
            if os.path.islink(outer.source + place.removeprefix(outer.target)):
                raise ProfileError(
                    f"{path} cannot be held: {place} is a symbolic link in {outer.source}, which can be written, and the "
                    "command could put something else in its place",
                    origin=outer.origin,
                    hint="replace the link by what it leads to, or take the path from read_only_paths or masked_paths",
                )
            if place in restricted:
                break  # nothing in it can be replaced


def _within_writable(settings: RootfsSettings) -> list[tuple[Volume, str]]:
    """What is masked or read-only in volumes that can be written, each with the volume that it lies in."""
    volumes = {volume.target: volume for volume in settings.mounted_volumes()}
    if not any(volume.writable for volume in volumes.values()):
        return []
    root, shown, taken = settings.path.path, settings.sources(), {*volumes, *settings.mounted_tmpfs()}
    restricted = {*expand(root, settings.masked_paths, shown), *expand(root, settings.read_only_paths, shown)}
    around = ((volumes.get(deepest(taken, path) or ""), path) for path in sorted(restricted))
    return [(outer, path) for outer, path in around if outer is not None and outer.writable]


def kept_in_volumes(settings: RootfsSettings, context: Context) -> Mapping[str, str]:
    """What stays hidden in volumes, by its path in the container, and what that is on the host. Where something else is
    mounted over it the rights are those of that one's source."""
    return context.once(_kept_in_volumes, settings)


def _kept_in_volumes(settings: RootfsSettings, context: Context) -> Mapping[str, str]:
    secret, mounted = withheld(settings, context), aliases.mounted()
    shown = {volume.target: volume for volume in settings.mounted_volumes()}
    places = [*shown, *settings.mounted_tmpfs()]
    found: dict[str, str] = {}
    for target, volume in shown.items():
        covers = [other for other in places if is_below(other, target)]
        for place in sources.kept_in(volume.source, secret, mounted, recursive=volume.recursive):
            path = os.path.normpath(f"{target}/{place}")
            if not any(holds(other, path) for other in covers):
                found[path] = os.path.normpath(f"{volume.source}/{place}")
    return found


def _hollows(wanted: Iterable[Planned], kept: Mapping[str, str]) -> Iterable[Planned]:
    """Empty directories in the place of hidden ones in which something is mounted: a mask would cover that as well."""
    for path, source in kept.items():
        if os.path.isdir(source) and any(is_below(item.target.path, path) for item in wanted):
            yield _directory(mounts.hollow(path), "rootfs.hidden_paths")


def _others(context: Context) -> Iterable[Planned]:
    for point in context.mount_points:
        yield Planned(dict(point.mount), point.leaves, MountTarget(point.path, point.directory, point.origin))


def _place(root: str, wanted: Iterable[Planned]) -> dict[str, Planned]:
    """The mounts by where they really are in the root, links followed. Of two at one place the later replaces the
    earlier if both were said of the same path (a volume in the place of a tmpfs), else it is an error."""
    placed: dict[str, Planned] = {}
    said: dict[str, str] = {}
    for item in sorted(wanted, key=lambda item: item.target.path.count("/")):
        path = item.target.path
        if _cover(path, placed) is None:
            path = resolve(root, path).path
        _require_own_name(root, item, path)
        if said.get(path, item.target.path) != item.target.path:
            raise ProfileError(
                f"{item.target.path} and {said[path]} are one place in the root, {path}", origin=item.target.origin
            )
        cover = _cover(path, placed)
        if cover is not None:
            _require_inside(item, path, placed[cover])
        said[path] = item.target.path
        placed[path] = attrs.evolve(
            item, mount=item.mount | {"destination": path}, target=attrs.evolve(item.target, path=path)
        )
    return placed


def _require_own_name(root: str, item: Planned, path: str) -> None:
    """A mount is said of the place where it lies: what a limit or another layer says of that place must meet it."""
    own = item.target.path
    if item.follows or path == own:
        return
    from hardening.launch.secret.secrets import PLACE  # few runs need it

    if own == PLACE:
        # Nobody named it but the mechanism; it goes with a `/run` that is a link, and by no link of its own.
        above, name = os.path.split(own)
        own = os.path.join(resolve(root, above).path, name)
    if path != own:
        raise ProfileError(
            f"{item.leaves[0]}: {item.target.path} is {path} in the root",
            origin=item.target.origin,
            hint=f"name its target: {quoted(path)}",
        )


def _cover(path: str, placed: Iterable[str]) -> str | None:
    """The innermost mount that a path lies below."""
    return max((other for other in placed if is_below(path, other)), key=len, default=None)


def _require_inside(item: Planned, path: str, cover: Planned) -> None:
    """A mount point inside a volume must be there already: it would be made in the user's own directory."""
    mount = cover.mount
    if mount["type"] != "bind" or cover.target.path in ("/proc", "/sys"):
        return
    below = os.path.relpath(path, cover.target.path)
    if resolve(mount["source"], below).path != f"/{below}":
        # By a link it would lie where no limit on this name is about.
        raise ProfileError(
            f"{path} cannot be mounted: a link in {mount['source']}, which is mounted at {cover.target.path}, "
            f"is on the way to {below}",
            origin=item.target.origin,
            hint="name the target of the link",
        )
    if not os.path.exists(os.path.join(mount["source"], below)):
        raise ProfileError(
            f"{path} cannot be mounted: {mount['source']}, which is mounted at {cover.target.path}, has no {below}",
            origin=item.target.origin,
            hint=f"make {below} in {mount['source']} first, or mount somewhere else",
        )


def _enforceable(mount: mounts.Mount, context: Context) -> mounts.Mount:
    """A mount as this kernel can make it: an old one restricts the mount itself, but not those below."""
    if not context.lacks("rootfs.read_only"):
        return mount
    plain = {f"r{word}": word for word in RIGHTS.values()}
    return mount | {"options": [plain.get(option, option) for option in mount["options"]]}


def _root(
    settings: RootfsSettings, planned: dict[str, Planned], secret: Iterable[str], context: Context, fragment: Fragment
) -> None:
    root = followed(settings.path.path, settings.path.origin)  # what was judged, and no link that leads elsewhere later
    leaves = ("rootfs.path", "rootfs.read_only")
    fragment.put("/root/readonly", settings.read_only, "rootfs.read_only")
    built = build(settings, planned, secret, context)
    if built is None:
        # Only so can the command make files at the top; the restrictions on device nodes are the runtime's.
        fragment.put("/root/path", root, "rootfs.path")
        return
    fragment.put("/root/path", "rootfs", "rootfs.path")
    fragment.file("rootfs", Directory(), "rootfs.path")
    for path, content in built.files.items():
        fragment.file(f"rootfs{path}", content, "rootfs.path")
    read_only = ["rro"] if settings.read_only else []
    for path in built.binds:
        mount = mounts.mount(
            path, "bind", on_host(root, path), "rbind", *read_only, "rnosuid", "rnodev", f"r{settings.propagation}"
        )
        fragment.item("/mounts", path, _enforceable(mount, context), *leaves)


def build(
    settings: RootfsSettings, planned: dict[str, Planned], secret: Iterable[str], context: Context
) -> Skeleton | None:
    """The root that is made of mounts; None where the directory itself is the root."""
    root = settings.path.path
    targets = [item.target for path, item in planned.items() if _cover(path, planned) is None]
    empty = _empty(settings, targets, secret)
    plain = not settings.read_only and not empty and not skeleton.is_needed(root, targets)
    if plain and (context.runtime == NATIVE or not limits_devices(settings, context)):
        return None
    return skeleton.build(root, targets, empty, spare=spares(settings))


def limits_devices(settings: RootfsSettings, context: Context) -> bool:
    """Whether a limit withholds devices, whose nodes in the root work where that is no mount of ours (`NATIVE` alone mounts
    it without)."""
    limits = (context.limit(Leaf("rootfs", "devices", name), True) for name in (WILDCARD, *settings.devices.named))
    return not all(limits)


def spares(settings: RootfsSettings) -> bool:
    """Whether directories of the root that are empty anyway are not mounted."""
    return settings.read_only and settings.propagation == "private" and not settings.path.is_host


def _empty(settings: RootfsSettings, targets: Iterable[MountTarget], secret: Iterable[str]) -> frozenset[str]:
    """The directories to be shown empty: of a host, those of the running system; hidden ones at the top, and those with a
    mount in them."""
    covered = {target.path for target in targets}
    hollow = {
        path
        for path in secret
        if (path.count("/") == 1 and path not in covered) or any(is_below(place, path) for place in covered)
        if os.path.isdir(on_host(settings.path.path, path))
    }
    return frozenset(hollow | set(hidden.VOLATILE if settings.path.is_host else ()))


def _masks(settings: RootfsSettings, secret: Iterable[str], planned: dict[str, Planned]) -> Iterable[str]:
    """The hidden paths that take a mask: not those that the skeleton shows empty, nor those over which something else is
    mounted."""
    for path in secret:
        covered = path in planned or _cover(path, planned) is not None
        volatile = settings.path.is_host and any(is_below(path, other) for other in hidden.VOLATILE)
        inner = path.count("/") == 1 or any(is_below(target, path) for target in planned)
        if not (covered or volatile or (inner and os.path.isdir(on_host(settings.path.path, path)))):
            yield path


def expand(root: str, members: Members[bool], shown: Mapping[str, str]) -> set[str]:
    """The paths that are on; patterns stand for what exists, in the root, in what is ``shown`` of the host by destination,
    and in the kernel's own file systems."""
    found: set[str] = set()
    for path in members.having(True):
        top = top_of(root, path)
        found |= {"/" + os.path.relpath(hit, top or "/") for hit in hidden.meant(path, top)} if STAR in path else {path}
        for place, below in reaching(path, shown):
            hits = hidden.meant(below, shown[place]) if below else (shown[place],)
            found |= {os.path.normpath(f"{place}/{os.path.relpath(hit, shown[place])}") for hit in hits}
    return found


def reaching(path: str, shown: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The destinations at or below which a pattern has a meaning, each with what is left of it there."""
    parts = path.split("/")
    for place in shown if STAR in path else ():
        own = place.split("/")
        if len(own) <= len(parts) and all(map(patterns.matches, own, parts)):
            yield place, "/".join(parts[len(own) :])


def top_of(root: str, path: str) -> str:
    """Where a pattern is looked for: those of the kernel's file systems at their places on the host."""
    return "" if path.startswith(("/proc/", "/sys/")) else root
