"""Relabelling volumes: `z` and `Z` change the label of files on the host, so most places are refused.

The walk holds directories by descriptor and follows no symbolic link, so nobody who can write below the volume can lead
it elsewhere; it stays on the volume's own file system.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path

from hardening.base import state
from hardening.errors import HostError, ProfileError, quoted
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import RootDirectory, Volume
from hardening_selinux.labels import Label
from hardening_selinux.settings import SelinuxSettings

XATTR = "security.selinux"

#: Trees of the host's own system: nothing in them belongs to one container.
TREES = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/sbin", "/sys", "/usr")
#: Places that many programs share; what is below them may be a container's.
PLACES = (
    "/",
    "/home",
    "/media",
    "/mnt",
    "/opt",
    "/root",
    "/run",
    "/run/user",
    "/srv",
    "/tmp",  # noqa: S108
    "/var",
    "/var/cache",
    "/var/lib",
    "/var/lib/containers",
    "/var/lib/docker",
    "/var/local",
    "/var/log",
    "/var/spool",
    "/var/tmp",  # noqa: S108
)


def wanted_volumes(settings: SelinuxSettings, context: Context) -> list[Volume]:
    """The volumes that are to be relabelled; raises `ProfileError` for one beyond ``selinux.relabel``, or in a place that
    must keep its labels."""
    rootfs = context.of(RootDirectory)
    if rootfs is None or not settings.enabled:
        return []
    volumes = [volume for volume in rootfs.mounted_volumes() if volume.relabel]
    permitted = {"never": "", "private": "Z", "shared": "zZ"}[settings.relabel]
    for volume in volumes:
        if volume.relabel not in permitted:
            raise ProfileError(
                f"rootfs.volumes.{volume.target}: the option {volume.relabel} relabels {volume.source} on the host, and "
                f'selinux.relabel is "{settings.relabel}"',
                origin=volume.origin,
                hint='set selinux.relabel = "private" for Z, "shared" for z, or leave the option out',
            )
        require_own_place(Path(volume.source), state.home(), volume.origin)
    return volumes


def refusal(path: Path, home: Path | None) -> str:
    """Why a path must not be relabelled, or empty. ``path`` must be absolute and free of links; ``home`` is the caller's
    home directory, if there is one."""
    text = str(path)
    tree = next((tree for tree in TREES if text == tree or text.startswith(f"{tree}/")), None)
    if tree is not None:
        return f"{tree} belongs to the host's system"
    if text in PLACES:
        return f"{text} is shared by many programs"
    if path.parent == Path("/home") or (home is not None and (path == home or path in home.parents)):
        return f"{text} is or holds a home directory"
    if path.parent == Path("/run/user"):
        return f"{text} is a user's runtime directory"
    return ""


def require_own_place(source: Path, home: Path | None, origin: object | None = None) -> Path:
    """``source`` free of links, if it may be relabelled; raises `ProfileError`, which names ``origin``, if not."""
    path = Path(os.path.realpath(source))
    if source.is_symlink():
        raise ProfileError(
            f"{source} is a symbolic link and is not relabelled",
            origin=origin,
            hint=f"name the directory itself: {quoted(str(path))}",
        )
    reason = refusal(path, None if home is None else Path(os.path.realpath(home)))
    if reason:
        raise ProfileError(
            f"{path} is not relabelled: {reason}",
            origin=origin,
            hint="move the data to a directory of its own, or leave out z and Z",
        )
    return path


def relabel(source: Path, label: Label, home: Path | None) -> int:
    """Give ``source``, and all below it, a label; returns how many labels were changed.

    Raises `ProfileError` for a place that must not be relabelled, `HostError` where the file system keeps no labels, or
    the kernel refuses.
    """
    path = require_own_place(source, home)
    try:
        descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            # What was opened is what was judged, even if somebody renamed things in between.
            reached = os.readlink(f"/proc/self/fd/{descriptor}")
            if reached != str(path):
                raise ProfileError(f"{path} changed into {reached} while it was looked at")
            with closing(_walk(descriptor)) as walk:
                return sum(_set(each, label) for each in walk)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise HostError(f"cannot relabel {path}: {error.strerror}", hint=_remedy(error)) from None


def _walk(top: int) -> Generator[int, None, None]:
    """Descriptors (O_PATH) of ``top`` and of everything below it on the same device; each is closed after its turn."""
    device = os.fstat(top).st_dev
    yield top
    pending: list[tuple[int, Iterator[str]]] = []
    try:
        if stat.S_ISDIR(os.fstat(top).st_mode):
            pending.append(_entries(top))
        while pending:
            parent, names = pending[-1]
            name = next(names, None)
            if name is None:
                os.close(pending.pop()[0])
                continue
            try:
                child = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
            except FileNotFoundError:
                continue
            try:
                status = os.fstat(child)
                if status.st_dev == device:
                    yield child
                    if stat.S_ISDIR(status.st_mode):
                        pending.append(_entries(child))
            finally:
                os.close(child)
    finally:
        for descriptor, _ in pending:
            os.close(descriptor)


def _entries(directory: int) -> tuple[int, Iterator[str]]:
    readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    return readable, iter(sorted(os.listdir(readable)))


def _set(descriptor: int, label: Label) -> int:
    """Label what an O_PATH descriptor stands for. fsetxattr(2) takes no such descriptor; its entry in /proc does, and for
    a symbolic link that is the link itself."""
    path = f"/proc/self/fd/{descriptor}"
    value = f"{label}\0".encode()
    if _get(path) == value:
        return 0
    os.setxattr(path, XATTR, value)
    return 1


def _get(path: str) -> bytes:
    try:
        return os.getxattr(path, XATTR)
    except OSError as error:
        if error.errno == errno.ENODATA:
            return b""
        raise


def _remedy(error: OSError) -> str:
    if error.errno == errno.EOPNOTSUPP:
        return "its file system keeps no labels: leave out z and Z, and mount it with context="
    if error.errno in (errno.EPERM, errno.EACCES):
        return "the caller must own the files, and the policy must permit relabelling them"
    return "leave out z and Z, or have the place relabelled beforehand with chcon(1)"
