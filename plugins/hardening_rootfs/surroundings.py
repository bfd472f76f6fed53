"""What stands around the root: the facts of the host, namespaces, and what is kept out of the command's sight."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from hardening.base import state
from hardening.base.files import is_below
from hardening.base.values import frozen
from hardening.errors import ProfileError
from hardening.mechanism.host import Host
from hardening.mechanism.idmaps import IdMaps, IdRange
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import PRIVATE, Isolation, Volume
from hardening_rootfs import hidden, origins, sources
from hardening_rootfs.paths import real_path
from hardening_rootfs.settings import RootfsSettings


@frozen
class RootfsFacts:
    """``private`` are the caller's home and XDG directories, ``own`` those of this program's state, records, secrets and
    images, ``images`` where the last are unpacked, ``deciding`` the places of profiles and policies and of the program
    itself (`hardening.base.state`); ``unified`` says whether the host has the cgroup tree of cgroups(7) version 2
    alone. Beside trees of version 1, runc leaves the top of the container's writable."""

    private: tuple[str, ...]
    unified: bool = True
    own: tuple[str, ...] = ()
    images: str | None = None
    deciding: tuple[str, ...] = ()


@frozen
class Surroundings:
    """Which namespaces are new: they decide what may be mounted. In a user namespace, a file system of the kernel can
    only be mounted for a namespace that belongs to it (user_namespaces(7), mount_namespaces(7))."""

    user: bool = True
    pid: bool = True
    net: bool = True
    ipc: bool = True
    cgroup: bool = True
    mount: bool = True
    unified: bool = True

    @classmethod
    def of(cls, context: Context) -> Surroundings:
        """The namespaces as composed; all new where nobody composes them."""
        isolation, unified = context.of(Isolation), context.host.of(RootfsFacts).unified
        if isolation is None:
            return cls(unified=unified)
        private = {
            name: isolation.where(name) == PRIVATE and not context.lacks(f"namespaces.{name}")
            for name in ("user", "pid", "net", "ipc", "cgroup", "mount")
        }
        return cls(**private, unified=unified)

    @property
    def own_proc(self) -> bool:
        """Whether a /proc of its own can be mounted."""
        return self.pid or not self.user

    @property
    def own_sys(self) -> bool:
        """Whether a /sys of its own can be mounted."""
        return self.net or not self.user

    @property
    def own_queues(self) -> bool:
        """Whether a message queue file system of its own can be mounted."""
        return self.ipc or not self.user


def volume_maps(context: Context) -> IdMaps | None:
    """The id maps for id-mapped volumes, those of the container."""
    return context.once(_volume_maps)


def _volume_maps(context: Context) -> IdMaps | None:
    isolation = context.of(Isolation)
    return isolation.id_maps(context.host) if isolation is not None else None


def only_unmapped_may(path: str, context: Context, right: int, *, idmap: bool = False) -> bool:
    """Whether nobody but an owner whom the command's user namespace does not know has a ``right`` (of ``S_IRWXO``) to what
    is at a path; ``idmap`` where a volume maps the owners of files. False where the caller may not look."""
    maps = volume_maps(context)
    try:
        status = os.stat(path)
    except OSError:
        return False

    def known(ranges: Iterable[IdRange], owner: int) -> bool:
        return any(0 <= owner - (r.inside if idmap else r.outside) < r.size for r in ranges)

    if maps is None or status.st_mode & right or known(maps.uids, status.st_uid):
        return False
    return not (status.st_mode & right << 3 and known(maps.gids, status.st_gid))


def require(settings: RootfsSettings) -> None:
    """Raise `ProfileError`, with the place that said it, for a root, a volume or a device that cannot be shown."""
    sources.require_root(settings.path)
    if settings.path.is_host and not settings.read_only:
        raise ProfileError(
            "rootfs.read_only: the host's own root is only ever shown read-only",
            origin=settings.path.origin,
            hint="give a root of your own with rootfs.path or --rootfs, or a writable volume",
        )
    for volume in settings.mounted_volumes():
        _require_volume(volume)
        sources.require_public(volume)
    for device in settings.devices.having(True):
        try:
            mode = os.stat(device).st_mode
        except OSError as error:
            raise ProfileError(f"rootfs.devices: {device}: {error.strerror}") from None
        if not (stat.S_ISCHR(mode) or stat.S_ISBLK(mode)):
            raise ProfileError(f"rootfs.devices: {device} is not a device", hint="files are shown with rootfs.volumes")


def secrets(settings: RootfsSettings, context: Context) -> tuple[str, ...]:
    """The paths of the host that are to be hidden and that there are; those of this program always are."""
    return hidden_by(settings, context.host)


def hidden_by(settings: RootfsSettings, host: Host) -> tuple[str, ...]:
    """The same before there is a context."""
    facts = host.of(RootfsFacts)
    return hidden.found((*settings.hidden_paths.having(True), *facts.own), facts.private)


def withheld(settings: RootfsSettings, context: Context) -> tuple[str, ...]:
    """What no volume shows: what is hidden, and what comes from where none may."""
    denied = map(real_path, settings.volume_sources.having(False))
    return (*secrets(settings, context), *(path for path in denied if path != "/"), *origins.strange(settings))


def require_shown(settings: RootfsSettings, context: Context) -> None:
    """Raise `ProfileError` for a root directory that is hidden itself; that of an image is there to be shown."""
    if settings.path.is_host or is_image(settings, context):
        return
    secret = hidden.hiding(settings.path.path, secrets(settings, context), context.host.of(RootfsFacts).private)
    if secret is not None:
        raise ProfileError(
            f"rootfs.path: {settings.path} is hidden: rootfs.hidden_paths names {secret}",
            origin=settings.path.origin,
            hint="keep roots in /var/lib/machines, /srv or a directory of your own home",
        )


def require_apart(settings: RootfsSettings, context: Context) -> None:
    """Raise `ProfileError` for a root or volume that is, or lies in, a directory of this program's state or records; and for
    one that holds such a directory, if the command could write to it. Read-only ones do not show it. What can be written to
    lies apart from what decides the next call, too. The root of an image lies where images are unpacked: it has to be
    read-only, and the image has to be named, for whoever judges images."""
    image = is_image(settings, context)
    if image and context.image is None:
        raise ProfileError(
            f"rootfs.path: {settings.path} is the root of an image, and runs by the name of that alone",
            origin=settings.path.origin,
            hint="name the image instead: `hardening run IMAGE -- COMMAND`; `hardening images` lists them",
        )
    if image and not settings.read_only:
        raise ProfileError(
            "rootfs.read_only: the root of an image stays read-only: all its runs share it",
            origin=settings.path.origin,
            hint="mount a writable directory: --tmpfs DST, or -v DIR:DST",
        )
    facts = context.host.of(RootfsFacts)
    shown = [(volume.source, volume.writable, "volumes", volume.origin) for volume in settings.mounted_volumes()]
    if not settings.path.is_host and not image:
        shown.append((settings.path.path, not settings.read_only, "path", settings.path.origin))
    for path, writable, name, origin in shown:
        found, why = hidden.meeting(path, facts.own, writable=writable), "hardening believes what it keeps there"
        hint = "or set HARDENING_STATE (HARDENING_SECRETS, HARDENING_IMAGES) to another place"
        if found is None and writable:
            found, why = (
                hidden.meeting(path, filter(state.may_write, (*facts.deciding, *context.profiles)), writable=True),
                "what lies there decides the next call",
            )
            hint = "or show it read-only (ro)"
        if found is not None:
            where = (
                f" and {found}" if os.path.realpath(path) != os.path.realpath(found) else " and hardening's own files"
            )
            raise ProfileError(
                f"rootfs.{name}: {path}{where} must lie apart: {why}",
                origin=origin,
                hint=(origin.elsewhere if origin else "")
                or f"name the directories below it that the command needs, {hint}",
            )


def is_image(settings: RootfsSettings, context: Context) -> bool:
    """Whether the root is one of the caller's images, unpacked."""
    roots = context.host.of(RootfsFacts).images
    return roots is not None and is_below(os.path.realpath(settings.path.path), os.path.realpath(roots))


def _require_volume(volume: Volume) -> None:
    try:
        os.stat(volume.source)
    except OSError as error:
        raise ProfileError(
            f"rootfs.volumes: {volume.source}: {error.strerror}",
            origin=volume.origin,
            hint="there are no named volumes: make the directory first",
        ) from None
