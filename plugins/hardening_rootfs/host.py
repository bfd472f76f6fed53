"""What the root file system needs of this host, what it looks at, and what is missing for the settings."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from hardening.base import state
from hardening.base.files import is_below
from hardening.base.patterns import STAR
from hardening.errors import ProfileError
from hardening.mechanism import inputs as host_inputs
from hardening.mechanism.host import Host
from hardening.mechanism.inputs import Input, Inputs, Unknown
from hardening.mechanism.mechanism import Context, Unsupported
from hardening_rootfs import hidden, layers, spec
from hardening_rootfs.paths import deepest, on_host
from hardening_rootfs.settings import RootfsSettings
from hardening_rootfs.spec import Planned
from hardening_rootfs.surroundings import RootfsFacts, Surroundings, require, require_apart, require_shown, volume_maps

#: proc(5) by its own mount: options of each instance, and ``subset``.
PROC_OPTIONS = (5, 8)
#: mount_setattr(2): attributes for whole trees, and id-mapped mounts.
MOUNT_SETATTR = (5, 12)


def probe(host: Host) -> RootfsFacts:
    """Look at the caller's environment and the host's cgroups."""
    unified = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
    store = state.images(os.environ, os.geteuid())
    roots = os.path.abspath(store / state.ROOTS) if store is not None else None
    return RootfsFacts(
        hidden.private_directories(os.environ.items()), unified, state.private(), roots, state.deciding()
    )


def assumed(host: Host) -> RootfsFacts:
    """Nothing that is anybody's own."""
    return RootfsFacts(())


def inputs(settings: RootfsSettings, context: Context) -> Inputs:
    """Everything that decides the mounts and the skeleton. A skeleton that the command can write to is made anew for each
    run."""
    yield from host_inputs.environment(*hidden.VARIABLES, "HARDENING_STATE", "HARDENING_SECRETS", "HARDENING_IMAGES",
                                "REGISTRY_AUTH_FILE", "DOCKER_CONFIG")  # fmt: skip
    facts = context.host.of(RootfsFacts)
    for path in (*facts.own, *([facts.images] if facts.images is not None else []), *facts.deciding):
        yield from host_inputs.way(path)
    yield from host_inputs.way("/sys/fs/cgroup/cgroup.controllers")
    yield from _secrets(settings, context.host.of(RootfsFacts).private)
    yield from _shown(settings)
    planned, secret = spec.plan(settings, context), spec.shown_secrets(settings, context)
    root = settings.path.path
    for path in (*planned, *(item.target.path for item in planned.values()), *secret):
        yield from host_inputs.way(path, root=root)
    yield from _inside_volumes(planned)
    built = spec.build(settings, planned, secret, context)
    if built is None:
        return
    if not settings.read_only:
        yield Unknown("the command can write to its root")
    for path in built.opened:
        yield Input("entries", on_host(root, path))
        if spec.spares(settings):
            yield from (Input("empty", on_host(root, name)) for name in _directories(root, path))


def check(settings: RootfsSettings, context: Context) -> Iterable[Unsupported]:
    """What this host cannot enforce; raises `ProfileError` for a root, volume or device that is not there, and where the
    command has no mount namespace of its own."""
    require(settings)
    require_apart(settings, context)
    require_shown(settings, context)
    spec.require_held(settings)
    around, kernel = Surroundings.of(context), context.host.kernel
    if not around.mount:
        raise ProfileError(
            "rootfs: a root of its own needs a mount namespace of its own; in any other its mounts would be somebody else's",
            hint='set namespaces.mount = "private"',
        )
    if kernel < MOUNT_SETATTR:
        yield Unsupported(
            "rootfs.read_only",
            f"Linux {context.host.release} cannot make whole trees of mounts read-only",
            "Linux 5.12 or later can",
        )
    for name, strictest in (("hidepid", "off"), ("subset", "")):
        if getattr(settings, name) == strictest:
            continue
        leaf = f"rootfs.proc.{name}"
        if kernel < PROC_OPTIONS:
            yield Unsupported(leaf, f"Linux {context.host.release} has one set of /proc options", "Linux 5.8 or later")
        elif not around.own_proc:
            yield Unsupported(
                leaf,
                "a user namespace cannot mount a /proc of the host's process ids",
                f'set namespaces.pid = "private", or rootfs.proc.{name} = "{strictest}"',
            )
    yield from _check_idmapped(settings, context, around)


def _check_idmapped(settings: RootfsSettings, context: Context, around: Surroundings) -> Iterator[Unsupported]:
    for volume in settings.mounted_volumes():
        if not volume.idmap:
            continue
        leaf = f"rootfs.volumes.{volume.target}"
        if context.host.kernel < MOUNT_SETATTR:
            yield Unsupported(leaf, f"Linux {context.host.release} has no id-mapped mounts", "Linux 5.12 or later")
        elif not context.host.root:
            remedy = f"drop `idmap` from {volume.target}: the caller's own files are the command's without it"
            yield Unsupported(leaf, "only root can make id-mapped mounts", remedy)
        elif not around.user or volume_maps(context) is None:
            yield Unsupported(
                leaf, "there is no private user namespace to map ids for", 'set namespaces.user = "private"'
            )


def _directories(root: str, path: str) -> list[str]:
    """The directories in one of a root, as paths in it."""
    with os.scandir(on_host(root, path)) as found:
        return [os.path.join(path, entry.name) for entry in found if entry.is_dir(follow_symlinks=False)]


def _secrets(settings: RootfsSettings, private: tuple[str, ...]) -> Iterator[Input]:
    for member in sorted({*settings.hidden_paths.having(True), *hidden.PATHS}):
        for path in private if member == hidden.HOME else (member,):
            yield from host_inputs.pattern(path)
    yield from host_inputs.mounts()
    for path in layers.looked_at(hidden.STORES):
        yield from host_inputs.way(path)
        yield Input("names", path)
    if not settings.path.is_host:
        for path in hidden.STORES:
            yield from host_inputs.way(path)


def _shown(settings: RootfsSettings) -> Iterator[Input | Unknown]:
    """The root, what is shown of the host, and what is masked by patterns."""
    root = settings.path.path
    yield from host_inputs.way(root)
    yield from host_inputs.access("rx", root)
    volumes = settings.mounted_volumes()
    if volumes and not settings.volume_sockets:
        yield Unknown("sockets come and go")
    for volume in volumes:
        yield from host_inputs.names(volume.source)
    # One that is shown may become another that is withheld, or one that is withheld may come to be.
    devices = tuple(settings.devices.named) if settings.devices.having(True) else ()
    for path in (*(volume.source for volume in volumes), *settings.volume_sources.named, *devices):
        yield from host_inputs.way(path)
    for path in devices:
        yield Input("inode", path)
    shown = settings.sources()
    for members in (settings.masked_paths, settings.read_only_paths):
        for path in members.having(True):
            if STAR in path:
                yield from host_inputs.pattern(path, spec.top_of(root, path))
                for top, below in spec.reaching(path, shown):
                    yield from host_inputs.pattern(below, shown[top]) if below else ()
            elif (place := deepest(shown, path)) is not None:
                yield from host_inputs.way(shown[place] + path.removeprefix(place))


def _inside_volumes(planned: dict[str, Planned]) -> Iterator[Input]:
    """The mount points that a volume has to have already."""
    for path in planned:
        for cover, item in planned.items():
            if is_below(path, cover) and item.mount["type"] == "bind":
                yield from host_inputs.way(os.path.join(item.mount["source"], os.path.relpath(path, cover)))
