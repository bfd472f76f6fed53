"""What a source on the host may not show, wherever it is mounted: the rights of a path follow the file that it leads to, and
not the name that it has in the container.

One question for all mounts of the host's files, those that make up the root and those of volumes: `kept_in` answers what
below a source stays hidden. What is hidden itself, or belongs to the kernel, is no source at all.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from hardening.base.files import is_below
from hardening.base.linux import mountinfo
from hardening.errors import ProfileError
from hardening.mechanism.roles import Volume
from hardening_rootfs import aliases, hidden
from hardening_rootfs.paths import RootPath, holds, real_path

#: File systems in which the kernel shows itself (proc_filesystems(5)). What is masked or read-only in them is so by its path
#: in the container, and would be neither at another one.
KERNEL = frozenset(
    ("binder", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs", "fusectl",
     "mqueue", "nsfs", "proc", "pstore", "resctrl", "securityfs", "selinuxfs", "smackfs", "sysfs", "tracefs")
)  # fmt: skip
#: Where they are mounted, whatever their type: a host may be a container itself.
_TOPS = ("/proc", "/sys", "/dev")
#: Of the running system, and nothing of the host's own root: its sockets are there.
_RUNNING = ("/dev", "/run")
#: A directory like any other, which only lies among devices.
_SHARED = "/dev/shm"  # noqa: S108
_HINT = {
    "/dev": "devices are shown with rootfs.devices or --device",
    "/sys": 'rootfs.sys = "read-only" shows a /sys',
    "/proc": "the mechanism mounts a /proc of the command's own: see rootfs.proc",
}


def require_public(volume: Volume) -> None:
    """Raise `ProfileError`, with the place that said it, for a volume of what the kernel shows of itself, or of a device,
    under whatever name."""
    found = kernel(volume.source)
    if found is not None:
        top = next((top for top in _TOPS if holds(top, real_path(volume.source))), "/proc")
        raise ProfileError(
            f"rootfs.volumes: {volume.source} leads to {found}, which cannot be the source of a volume: elsewhere nothing "
            "of it would be masked or read-only",
            origin=volume.origin,
            hint=_HINT[top],
        )


def require_root(root: RootPath) -> None:
    """Raise `ProfileError`, with the place that said it, unless a root is a directory that can be read."""
    try:
        os.scandir(root.path).close()
    except NotADirectoryError:
        raise ProfileError(
            f"rootfs.path: {root} is not a directory", origin=root.origin, hint="unpack an image into a directory first"
        ) from None
    except OSError as error:
        raise ProfileError(
            f"rootfs.path: cannot use {root}: {error.strerror}", origin=root.origin, hint="name an existing directory"
        ) from None
    found = kernel(real_path(root.path))
    if found is not None:
        raise ProfileError(
            f"rootfs.path: {root} is {found}, which is not a root",
            origin=root.origin,
            hint="unpack an image into a directory",
        )


def kernel(source: str) -> str | None:
    """The file or file system of the kernel's that a path leads to, or through; None where it does not."""
    devices = {mount.device: mount.kind for mount in mountinfo.read() if mount.kind in KERNEL}
    for link in aliases.links(source):
        if devices.get(mountinfo.device(os.lstat(link).st_dev)) == "proc":
            # Only the kernel knows where it leads: into another root, or a mount namespace that shows other files.
            return f"{link} of proc"
    status = os.stat(source)
    if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        return "a device"
    kind = devices.get(mountinfo.device(status.st_dev))
    if kind is not None:
        return f"a file system of the kernel ({kind})"
    real = real_path(source)
    top = next((top for top in _TOPS if holds(top, real)), None)
    return top if top is not None and not holds(_SHARED, real) else None


def kept_in(
    source: str,
    secrets: Iterable[str],
    mounts: tuple[aliases.MountAlias, ...] | None = None,
    *,
    recursive: bool = True,
) -> tuple[str, ...]:
    """What stays hidden below a source: ``secrets`` wherever they are seen in it, the file systems of the kernel, and what
    lies under a mount that does not go with the source, which nobody has seen to judge it; where the caller may not look,
    the directory around it. Paths in the source, that begin with a slash."""
    mounts = aliases.mounted() if mounts is None else mounts
    real = real_path(source)
    own = {mount.place for mount in mounts if mount.kind in KERNEL}
    left = (mount.place for mount in mounts if not recursive or mount.unbindable)
    shown = (place for place in (*hidden.everywhere(secrets, mounts), *own, *_TOPS, *left) if is_below(place, real))
    there = ((place, hidden.seen(place)) for place in hidden.outermost(shown))
    found = (_around(place, seen, real, kernel=place in own) for place, seen in there if seen is not None)
    return hidden.outermost("/" + os.path.relpath(place, real) for place in found)


def _around(place: str, seen: str, top: str, *, kernel: bool) -> str:
    """A place below ``top``, or the directory around it into which the caller cannot look, or, of the kernel, only
    root: in a user namespace nothing is mounted there."""
    if kernel and os.geteuid() == 0:
        above = (str(parent) for parent in reversed(Path(place).parents))
        closed = (path for path in above if is_below(path, top) and not os.stat(path).st_mode & stat.S_IXOTH)
        return next(closed, place)
    return seen if is_below(seen, top) else place


def kept_in_root(root: str, secrets: Iterable[str]) -> tuple[str, ...]:
    """The same of a root directory. The host's own shows the running system under no other name either."""
    mounts = aliases.mounted()
    running = [name for top in _RUNNING for name in aliases.names(top, mounts)] if root == "/" else []
    return hidden.outermost((*kept_in(root, secrets, mounts), *running))
