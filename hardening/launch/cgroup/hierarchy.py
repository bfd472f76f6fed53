"""The hierarchies of control groups that this host has mounted (cgroups(7)), and where the groups of a path are in them."""

from __future__ import annotations

import _stat as stat
import errno

from hardening.base import files, locks, places
from hardening.base.frozen import Frozen
from hardening.base.linux import mountinfo
from hardening.base.linux.system import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Hierarchy(Frozen):
    """One mounted hierarchy: its mount point, its controllers, this process's own group in it."""

    mount: str
    controllers: tuple[str, ...]
    unified: bool
    own: str


def read_hierarchies() -> tuple[Hierarchy, ...]:
    """The cgroup hierarchies that this process sees mounted, v1 first; none that another mount covers."""
    found: dict[str, Hierarchy] = {}
    for mount, unified, names, own in _mounted():
        controllers = tuple(files.read(f"{mount}/cgroup.controllers").split()) if unified else names
        found[mount] = Hierarchy(mount=mount, controllers=controllers, unified=unified, own=own)
    return tuple(sorted(found.values(), key=lambda entry: entry.unified))


def _mounted() -> Iterator[tuple[str, bool, tuple[str, ...], str]]:
    """Each mount of a hierarchy: its place, whether it is v2, its controllers where it is v1, the group of this process."""
    own: dict[str, str] = {}
    for line in files.read("/proc/self/cgroup").rstrip("\n").split("\n"):
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            own[controller.removeprefix("name=")] = path
    for mount in mountinfo.seen(mountinfo.read()):
        if mount.kind == "cgroup2":
            yield mount.place, True, (), own.get("", "/")
        elif mount.kind == "cgroup":
            listed = (name.removeprefix("name=") for name in mount.data)
            names = tuple(name for name in listed if name in own)
            yield mount.place, False, names, own[names[0]] if names else "/"


def names_below(hierarchy: Hierarchy, path: str) -> list[str]:
    """The names from the mount point of a hierarchy to the group of a path, which may be relative to the own one."""
    relative = files.join(hierarchy.own, path)
    return [part for part in relative.split("/") if part not in ("", ".")]


def groups_of(path: str) -> Iterator[str]:
    """Where the group of a path that was written down is in each hierarchy; nowhere for what no launch has made: it would
    lead out of the hierarchy, is no group of a container's own, or no name that the kernel knows."""
    if places.wrong_group(path):
        return
    for hierarchy in read_hierarchies():
        below = "/".join(names_below(hierarchy, path))
        # The own group may lie above what a namespace shows (`/../a`).
        if not places.wrong_group(below) and is_group(f"{hierarchy.mount}/{below}"):
            yield f"{hierarchy.mount}/{below}"


def groups_anywhere(path: str) -> list[str]:
    """The groups that are there of a path which another runtime takes: runtimes differ in whether they begin at the top of a
    hierarchy or at their own group."""
    name = files.absolute(f"/{path}").lstrip("/")
    tops = {top for mount, _, _, own in _mounted() for top in (mount, files.join(mount, own.strip("/")))}
    return [group for group in sorted(files.join(top, name) for top in tops) if name and is_group(group)]


def is_group(directory: str) -> bool:
    """Whether a directory is a group, and not what is mounted over one."""
    return files.exists(f"{directory}/cgroup.procs")


def subgroups(directory: int) -> list[str]:
    names = os.listdir(directory)
    return [name for name in names if stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)]


def lock(directory: str) -> int:
    fd = locks.acquire(locks.open_directory(directory), wait=False)
    try:
        # Another launch may have removed it as a leftover before it was locked, and made one of its own.
        if not files.same(os.fstat(fd), os.stat(directory)):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), directory)
    except OSError:
        os.close(fd)
        raise
    return fd
