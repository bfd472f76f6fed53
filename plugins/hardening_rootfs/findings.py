"""What is worth saying about a root file system."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator

from hardening.compose.composition import Composition
from hardening.mechanism.findings import Finding, FindingsOf, Severity
from hardening.mechanism.inputs import Inputs, Unknown
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import Isolation, Volume
from hardening_rootfs import hidden, sockets, sources
from hardening_rootfs.paths import holds, real_path
from hardening_rootfs.settings import READ_ONLY, RootfsSettings
from hardening_rootfs.spec import NATIVE, limits_devices
from hardening_rootfs.surroundings import RootfsFacts, Surroundings, only_unmapped_may, withheld

_about = FindingsOf("rootfs")
_warn, _note = _about.warning, _about.note

#: Directories that hold the whole system.
_SYSTEM = frozenset(("/", "/boot", "/dev", "/etc", "/lib", "/proc", "/root", "/run", "/sys", "/usr", "/var", "/home"))


def findings(settings: RootfsSettings, context: Context) -> Iterable[Finding]:
    """Findings on volumes, writable places, and what is not hidden."""
    if context.host.assumed:
        for volume in settings.mounted_volumes():
            yield from _of_name(volume, os.path.normpath(volume.source))
            yield from _of_rights(volume)
    else:
        usual = hidden.expand(hidden.PATHS, context.host.of(RootfsFacts).private)
        secret, kept = hidden.everywhere(usual), withheld(settings, context)
        for volume in settings.mounted_volumes():
            yield from of_volume(volume, secret, sources.kept_in(volume.source, kept, recursive=volume.recursive))
            yield from _of_owner(volume, context)
    yield from _of_tmpfs(settings)
    yield from _of_kernel(settings, Surroundings.of(context))
    isolation = context.of(Isolation)
    if settings.subset and isolation is not None and isolation.sets_sysctls:
        yield _note(
            "sysctls-without-proc-sys", "runc cannot set kernel parameters where /proc has no sys", "proc.subset",
            hint='use another runtime, or write proc.subset = "" in [rootfs]',
        )  # fmt: skip
    if settings.path.is_host:
        for member, is_hidden in sorted(settings.hidden_paths.named.items()):
            if not is_hidden and member in hidden.PATHS:
                yield _warn("shown-secret", f"{member} of the host is shown", f"hidden_paths.{member}")
    if not settings.read_only:
        yield _warn("writable-root", "the root can be written to", "read_only")
        if context.runtime not in (None, NATIVE) and limits_devices(settings, context):
            yield _warn(
                "discarded-top", f"what is made at the top of the root goes with the run under {context.runtime}, for a "
                "limit withholds devices", "read_only", hint="write below its directories, or use --runtime native",
            )  # fmt: skip
    for device in settings.devices.having(True):
        yield _note("device", f"{device} of the host can be used", f"devices.{device}")


def inputs(composition: Composition) -> Inputs:
    """What no look of the mechanism tells, where a layer refuses what it may come to find."""
    settings = composition.settings["rootfs"]
    found = (
        Finding("rootfs/control-socket", Severity.ERROR, ""),
        Finding("rootfs/socket-volume", Severity.WARNING, ""),
    )
    if isinstance(settings, RootfsSettings) and settings.mounted_volumes() and composition.refusals(found):
        yield Unknown("sockets come and go, and a layer refuses findings on them")


def of_volume(volume: Volume, secret: Iterable[str], kept: Iterable[str] = ()) -> Iterator[Finding]:
    """Findings on one volume; ``secret`` are the places of what the host's own root does not show, ``kept`` what stays
    hidden in the volume."""
    leaf, real = f"volumes.{volume.target}", real_path(volume.source)
    found = sockets.seen_in(real, kept)
    yield from _of_name(volume, real, found)
    shown = [path for path in secret if holds(path, real)]
    if shown:
        yield _warn(
            "secret-volume",
            f"{volume.source} shows what is otherwise hidden: {shown[0]}",
            leaf,
            hint="leave it out, or name a directory that holds no secrets",
            origin=volume.origin,
        )
    yield from _of_rights(volume)


def _of_name(volume: Volume, real: str, found: Iterable[str] = ()) -> Iterator[Finding]:
    """What its name tells, and the sockets that were ``found`` in it."""
    leaf, found = f"volumes.{volume.target}", list(found) or ([real] if real.endswith(sockets.KNOWN) else [])
    strong = [path for path in found if sockets.gives_control(path)]
    if strong:
        yield _about.finding(
            Severity.ERROR, "control-socket", f"{volume.source} gives control of the host to the command: the "
            f"service behind the socket {strong[0]} has the rights of root or of the caller", leaf,
            hint="there is no secure path to share this socket", origin=volume.origin,
        )  # fmt: skip
    elif found:
        yield _warn("socket-volume", f"{volume.source} shows the socket {found[0]}", leaf, origin=volume.origin)
    if real in _SYSTEM:
        severity = Severity.ERROR if volume.writable or real == "/" else Severity.WARNING
        yield _about.finding(
            severity, "system-volume", f"{volume.source} of the host is shown whole", leaf,
            hint="name the files or directories that are needed", origin=volume.origin,
        )  # fmt: skip


def _of_rights(volume: Volume) -> Iterator[Finding]:
    """What its options permit."""
    leaf = f"volumes.{volume.target}"
    if "suid" in volume.rights:
        yield _warn(
            "suid-volume",
            f"set-user-id programs of {volume.source} work",
            leaf,
            hint="drop `suid`",
            origin=volume.origin,
        )
    if "dev" in volume.rights:
        yield _warn(
            "dev-volume", f"device nodes of {volume.source} work", leaf, hint="drop `dev`", origin=volume.origin
        )
    if volume.propagation in ("shared", "rshared"):
        yield _warn(
            "shared-volume",
            f"mounts made in {volume.target} appear on the host",
            leaf,
            hint="use rslave",
            origin=volume.origin,
        )
    if volume.rights >= {"rw", "exec"}:
        yield _note("exec-volume", f"{volume.target} can be written to and run from", leaf, hint="add `noexec`")


def _of_owner(volume: Volume, context: Context) -> Iterator[Finding]:
    """A finding where files of a volume belong to nobody whom the command's user namespace knows."""
    if volume.writable and not volume.idmap and only_unmapped_may(volume.source, context, stat.S_IWOTH):
        yield _note(
            "unmapped-volume", f"uid {os.stat(volume.source).st_uid}, to whom {volume.source} belongs, is unmapped in the "
            "command's user namespace, so that the command cannot write there", f"volumes.{volume.target}",
            hint="add `idmap`",
        )  # fmt: skip


def _of_tmpfs(settings: RootfsSettings) -> Iterator[Finding]:
    for place, value in settings.mounted_tmpfs().items():
        if "exec" in value.rights:
            yield _warn("exec-tmpfs", f"{place} can be written to and run from", f"tmpfs.{place}", hint="drop `exec`")
        for right in ("suid", "dev"):
            if right in value.rights:
                yield _warn(
                    f"{right}-tmpfs", f"{place} is mounted with {right}", f"tmpfs.{place}", hint=f"drop `{right}`"
                )
    taken = {volume.target for volume in settings.mounted_volumes()}
    for place in sorted(taken & {place for place, value in settings.tmpfs.named.items() if value is not None}):
        yield _note("volume-over-tmpfs", f"a volume replaces the tmpfs at {place}", f"tmpfs.{place}")


def _of_kernel(settings: RootfsSettings, around: Surroundings) -> Iterator[Finding]:
    if settings.hidepid == "off" and not around.pid:
        yield _warn("visible-processes", "processes of the host are visible in /proc", "proc.hidepid")
    elif settings.hidepid == "off":
        yield _note("visible-processes", "processes of other users are visible in /proc", "proc.hidepid")
    if settings.propagation == "shared":
        yield _warn("shared-propagation", "mounts made by the command appear on the host", "propagation")
    for member in READ_ONLY:
        if not settings.read_only_paths[member]:
            yield _warn("writable-kernel-path", f"{member} can be written to", f"read_only_paths.{member}")
    for member, masked in sorted(settings.masked_paths.named.items()):
        if not masked:
            yield _note("unmasked-path", f"{member} is not masked", f"masked_paths.{member}")
