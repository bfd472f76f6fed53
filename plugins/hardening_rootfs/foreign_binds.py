"""The bind mounts of a foreign configuration: those that the settings name, and the files that an engine provides.

Whatever else the host has is not shown. A source is written with its links followed, so that what was judged is what is
mounted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping

from hardening.base import trusted
from hardening.base.files import is_below
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import READ_ONLY_RIGHTS, Volume
from hardening.mechanism.schema import Leaf
from hardening_rootfs import hidden, mounts, sources, spec
from hardening_rootfs.devices import numbers
from hardening_rootfs.paths import followed, holds, real_path
from hardening_rootfs.rights import RequestedRights, Tightened, tighten_bind
from hardening_rootfs.settings import RootfsSettings
from hardening_rootfs.surroundings import Surroundings, secrets

#: device -> its type and numbers, on every host (null(4), random(4), tty(4), the kernel's admin-guide/devices.txt)
USUAL: Mapping[str, tuple[str, int, int]] = {
    "/dev/null": ("c", 1, 3),
    "/dev/zero": ("c", 1, 5),
    "/dev/full": ("c", 1, 7),
    "/dev/random": ("c", 1, 8),
    "/dev/urandom": ("c", 1, 9),
    "/dev/tty": ("c", 5, 0),
}
#: What engines make for each container.
_FILES = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/run/.containerenv", "/.dockerenv")
_SECRETS = "/run/secrets"
#: Where podman and docker keep it: a directory of the container's id, among their containers.
_STATE = re.compile(r".*/(?:[a-z0-9]+-)?containers/([0-9a-f]{64})/(?:userdata/)?(?:run/)?([^/]+)")
_NO_RIGHTS = Volume("", "", frozenset(), propagation="private")


def is_of_engine(source: str) -> bool:
    """Whether a path of the host is what podman or docker makes for one container, such as its /etc/hosts."""
    return _STATE.fullmatch(source) is not None


def tighten(settings: RootfsSettings, context: Context, asked: RequestedRights) -> Tightened:
    """A bind mount that is not of `/dev/shm`."""
    destination, source = asked.destination, asked.source
    leaf = f"rootfs.volumes.{destination}"
    special = _KERNEL.get(destination)
    if special is not None:
        return special(settings, context, asked)
    real = real_path(source)
    if not source.startswith("/") or is_below(destination, "/proc") or is_below(destination, "/sys"):
        return None, "", [asked.violation("none", leaf)]
    volume = settings.volumes[destination]
    if volume is not None and real_path(volume.source) == real:
        return tighten_bind(asked.showing(followed(volume.source, volume.origin)), volume, leaf)
    held = spec.anchors(settings, context).get(destination)
    if held is not None:
        outer, anchor = held
        if real == real_path(outer.source) + destination.removeprefix(outer.target):
            return tighten_bind(asked.showing(real), anchor, f"rootfs.volumes.{outer.target}")
    if settings.devices[source] and destination == source:
        return _device(destination, followed(source)), f"rootfs.devices.{source}", []
    if USUAL.get(real) is not None and numbers(real) == USUAL[real]:
        return _device(destination, real), f"rootfs.devices.{real}", []
    if is_below(real, "/dev") or is_below(destination, "/dev"):
        return None, "", [asked.violation("none", f"rootfs.devices.{source}")]
    # Only a limit that names the place: an engine's file is no volume.
    forbidden = (
        destination in settings.volumes.named and context.limit(Leaf("rootfs", "volumes", destination), ()) is None
    )
    if _provided(destination, real, context) and not forbidden:
        mount, _, _ = tighten_bind(asked.showing(real), _NO_RIGHTS, leaf)
        return mount, leaf, []
    if is_own(settings, context, asked):
        own = Volume(destination, destination, READ_ONLY_RIGHTS, propagation=f"r{settings.propagation}")
        return tighten_bind(asked, own, "rootfs.path")
    return None, "", [asked.violation("none", leaf)]


def is_own(settings: RootfsSettings, context: Context, asked: RequestedRights) -> bool:
    """Whether a bind mount shows a part of the host's root that the settings show at the same place. Secrets below it
    must be hidden."""
    destination = asked.destination
    if not settings.path.is_host or destination in ("/", *hidden.VOLATILE) or destination != asked.source:
        return False
    if any(is_below(destination, other) for other in hidden.VOLATILE) or real_path(destination) != destination:
        return False
    return not any(holds(path, destination) for path in sources.kept_in_root("/", secrets(settings, context)))


def _device(destination: str, source: str) -> mounts.Mount:
    return mounts.mount(destination, "bind", source, "bind", "nosuid", "noexec", "private")


def _provided(destination: str, real: str, context: Context) -> bool:
    """Whether an engine made a file for this container: it lies in the state that the engine keeps of it, or beside the
    configuration, has the name that it is mounted by, and nobody else could have put it there."""
    name = os.path.basename(destination)
    folders = {real_path(str(folder)) for folder in (context.origin, context.bundle) if folder is not None}
    state = _STATE.fullmatch(real)
    named = state is not None and state[2] == name
    if destination == _SECRETS:
        place = named and state is not None and any(state[1] in folder.split("/") for folder in folders)
        return place and os.path.isdir(real) and _is_secure(real)
    beside = os.path.basename(real) == name and os.path.dirname(real) in folders - {"/"}
    regular = os.path.isfile(real) or not os.path.lexists(real)
    return destination in _FILES and (named or beside) and regular and _is_secure(real)


def _is_secure(path: str) -> bool:
    """Whether nobody but root and the caller could have put something at a path, or could put it there yet."""
    try:
        trusted.require_secure_path(path, makes=False)
    except OSError:
        return False
    return True


def _proc(settings: RootfsSettings, context: Context, asked: RequestedRights) -> Tightened:
    """The host's /proc is shown where the settings can show no other."""
    around, leaf = Surroundings.of(context), "rootfs.proc.hidepid"
    lacking = {name for name in (leaf, "rootfs.proc.subset") if context.lacks(name)}
    mount = mounts.proc(settings, around, lacking)
    same = asked.source == "/proc" and not around.own_proc and asked.rights <= {"rw"}
    return mount, leaf, [] if same else [asked.violation(f"{mount['type']} as in the profile", leaf)]


def _sys(settings: RootfsSettings, context: Context, asked: RequestedRights) -> Tightened:
    around, leaf = Surroundings.of(context), "rootfs.sys"
    if settings.sys == "none":
        return None, "", [asked.violation("none", leaf)]
    mount = mounts.sys(settings, around)[0]
    same = asked.source == "/sys" and not around.own_sys and not asked.rights
    return mount, leaf, [] if same else [asked.violation(f"{mount['type']} as in the profile", leaf)]


def _cgroups(settings: RootfsSettings, context: Context, asked: RequestedRights) -> Tightened:
    leaf = "rootfs.sys"
    shown = mounts.no_cgroups(asked.destination) if settings.sys != "none" else None
    return shown, leaf, [asked.violation("none", leaf)]


_KERNEL: Mapping[str, Callable[[RootfsSettings, Context, RequestedRights], Tightened]] = {
    "/proc": _proc,
    "/sys": _sys,
    "/sys/fs/cgroup": _cgroups,
}
