"""What the mechanism looks at for its settings: names, links and listings of the host and of the root."""

from __future__ import annotations

import os
from collections.abc import Iterator

from hardening.base.patterns import STAR
from hardening.mechanism import inputs as look
from hardening.mechanism.inputs import Input, Inputs, Unknown
from hardening.mechanism.mechanism import Context
from hardening_rootfs import hidden, layers, spec
from hardening_rootfs.host import RootfsFacts
from hardening_rootfs.paths import is_below, on_host
from hardening_rootfs.settings import RootfsSettings
from hardening_rootfs.spec import Planned


def inputs(settings: RootfsSettings, context: Context) -> Inputs:
    """Everything that decides the mounts and the skeleton. A skeleton that the command can write to is made anew for each
    run."""
    yield from look.environment(*hidden.VARIABLES, "HARDENING_STATE", "HARDENING_SECRETS", "HARDENING_IMAGES",
                                "REGISTRY_AUTH_FILE", "DOCKER_CONFIG")  # fmt: skip
    facts = context.host.of(RootfsFacts)
    for path in (*facts.own, *([facts.images] if facts.images is not None else []), *facts.deciding):
        yield from look.way(path)
    yield from look.way("/sys/fs/cgroup/cgroup.controllers")
    yield from _secrets(settings, context.host.of(RootfsFacts).private)
    yield from _shown(settings)
    planned, secret = spec.plan(settings, context), spec.shown_secrets(settings, context)
    root = settings.path.path
    for path in (*planned, *(item.target.path for item in planned.values()), *secret):
        yield from look.way(path, root=root)
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


def _directories(root: str, path: str) -> list[str]:
    """The directories in one of a root, as paths in it."""
    with os.scandir(on_host(root, path)) as found:
        return [os.path.join(path, entry.name) for entry in found if entry.is_dir(follow_symlinks=False)]


def _secrets(settings: RootfsSettings, private: tuple[str, ...]) -> Iterator[Input]:
    for member in sorted({*settings.hidden_paths.having(True), *hidden.PATHS}):
        for path in private if member == hidden.HOME else (member,):
            yield from look.pattern(path)
    yield from look.mounts()
    for path in layers.looked_at(hidden.STORES):
        yield from look.way(path)
        yield Input("names", path)
    if not settings.path.is_host:
        for path in hidden.STORES:
            yield from look.way(path)


def _shown(settings: RootfsSettings) -> Iterator[Input | Unknown]:
    """The root, what is shown of the host, and what is masked by patterns."""
    root = settings.path.path
    yield from look.way(root)
    yield from look.access("rx", root)
    volumes = settings.mounted_volumes()
    if volumes and not settings.volume_sockets:
        yield Unknown("sockets come and go")
    for volume in volumes:
        yield from look.names(volume.source)
    # One that is shown may become another that is withheld, or one that is withheld may come to be.
    devices = tuple(settings.devices.named) if settings.devices.having(True) else ()
    for path in (*(volume.source for volume in volumes), *settings.volume_sources.named, *devices):
        yield from look.way(path)
    for path in devices:
        yield Input("inode", path)
    for members in (settings.masked_paths, settings.read_only_paths):
        for path in members.having(True):
            if STAR in path:
                yield from look.pattern(path, spec.top_of(root, path))
                shown = settings.sources()
                for place, below in spec.reaching(path, shown):
                    yield from look.pattern(below, shown[place]) if below else ()


def _inside_volumes(planned: dict[str, Planned]) -> Iterator[Input]:
    """The mount points that a volume has to have already."""
    for path in planned:
        for cover, item in planned.items():
            if is_below(path, cover) and item.mount["type"] == "bind":
                yield from look.way(os.path.join(item.mount["source"], os.path.relpath(path, cover)))
