"""Opening what the container's root is made of, with the eyes of the caller.

A tree is cloned detached (open_tree(2)) before the process takes other ids: what the caller can reach can be
mounted, also below a directory that the container's ids cannot traverse.
"""

from __future__ import annotations

import _stat as stat

from hardening.base import files, links
from hardening.base.linux import abi, kernel
from hardening.base.linux.failure import Step
from hardening.base.linux.system import os
from hardening.errors import LaunchError
from hardening.launch.config.bundle import is_judged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hardening.launch.config.wanted import Mount, Wanted


class Sources:
    """Detached trees: the root and each bind mount's, by the pointer of its entry."""

    def __init__(self, root: int, trees: dict[str, int]) -> None:
        self.root = root
        self.trees = trees

    def close(self) -> None:
        """Close every tree; those that were mounted stay mounted."""
        for fd in (self.root, *self.trees.values()):
            os.close(fd)


def open_sources(wanted: Wanted, bundle: str) -> Sources:
    """Clone the root and all sources of bind mounts. Raises `LaunchError`; `PermissionError` without privilege."""
    judged = is_judged(dict(wanted.annotations))
    root = _clone(wanted.root, bundle, True, "/root/path", judged=judged)
    trees: dict[str, int] = {}
    try:
        if not stat.S_ISDIR(os.fstat(root).st_mode):
            raise LaunchError(f"the root {wanted.root} is not a directory", origin="config.json:/root/path")
        with Step("set the propagation of the root", "/linux/rootfsPropagation"):
            flag = abi.MS_SLAVE if wanted.root_propagation == abi.MS_SLAVE else abi.MS_PRIVATE
            kernel.mount_setattr(root, propagation=flag, recursive=True)
        with Step("mount the root nodev and nosuid", "/root/path"):
            kernel.mount_setattr(root, add=root_attributes(wanted), recursive=True)
        for mount in wanted.mounts:
            if mount.kind == "bind":
                trees[mount.pointer] = _open_bind(mount, bundle, judged=judged)
                if wanted.device_rules:
                    from hardening.launch.config import device_rules

                    device_rules.keep(wanted, mount, trees[mount.pointer], files.join(bundle, mount.source))
    except (OSError, LaunchError):
        Sources(root, trees).close()
        raise
    return Sources(root, trees)


def root_attributes(wanted: Wanted) -> int:
    """``MOUNT_ATTR_*`` of the root, in which nothing but the launcher makes a device or lends rights."""
    no_devices = 0 if wanted.devices_in_root() else abi.MOUNT_ATTR_NODEV
    return no_devices | (abi.MOUNT_ATTR_NOSUID if wanted.process.no_new_privileges else 0)


def _open_bind(mount: Mount, bundle: str, *, judged: bool) -> int:
    hint = ""
    if not mount.recursive:
        hint = "in a user namespace a tree with other mounts in it can only be bound whole: use rbind"
    tree = _clone(mount.source, bundle, mount.recursive, f"{mount.pointer}/source", hint, judged=judged)
    with Step(f"set the propagation of {mount.source}", f"{mount.pointer}/options"):
        if mount.propagation not in (abi.MS_SHARED, abi.MS_SLAVE):
            kernel.mount_setattr(tree, propagation=abi.MS_PRIVATE, recursive=True)
        elif mount.propagation == abi.MS_SLAVE:
            kernel.mount_setattr(tree, propagation=abi.MS_SLAVE, recursive=mount.propagation_below)
    return tree


def _clone(source: str, bundle: str, recursive: bool, pointer: str, hint: str = "", *, judged: bool) -> int:
    """A detached copy of a tree, by the path that a configuration gives; one that was ``judged`` has no links."""
    flags = abi.OPEN_TREE_CLONE | (abi.AT_RECURSIVE if recursive else 0)
    path = files.join(bundle, source)
    try:
        place = links.find_source(source, bundle, judged=judged)
        try:
            return kernel.open_tree(place, b"", flags)
        finally:
            os.close(place)
    except PermissionError as error:
        if error.errno == 1:  # EPERM: the caller may not clone at all; EACCES: it may not reach this path
            raise
        raise LaunchError(
            f"{path} cannot be reached: {error.strerror}", origin=f"config.json:{pointer}", hint=kernel.remedy(13)
        ) from error
    except OSError as error:
        raise LaunchError(
            f"{path} cannot be opened: {error.strerror}",
            origin=f"config.json:{pointer}",
            hint=getattr(error, "hint", "") or (hint if error.errno == 22 else "") or kernel.remedy(error.errno),
        ) from error


def map_ids(wanted: Wanted, sources: Sources, own: int | None) -> None:
    """Id-map the trees that ask for it; ``own`` is the container's user namespace. Needs CAP_SYS_ADMIN on the host."""
    for mount in wanted.mounts:
        if not mount.idmapped:
            continue
        from hardening.base.linux.idmaps import new_user_namespace

        fd = new_user_namespace(mount.uid_map, mount.gid_map) if mount.uid_map else own
        with Step(
            f"map the ids of {mount.source}",
            mount.pointer,
            "the file system must support id-mapped mounts, and the tree must hold no other mounts that do not",
        ):
            kernel.mount_setattr(
                sources.trees[mount.pointer],
                add=abi.MOUNT_ATTR_IDMAP,
                userns=fd or 0,
                recursive=mount.idmap_below,
            )
        if fd is not None and fd != own:
            os.close(fd)


def make_slave() -> None:
    """Let nothing that is mounted from now on reach the mount namespace that this one was copied from."""
    place = os.open("/", os.O_PATH | os.O_CLOEXEC)
    kernel.mount_setattr(place, propagation=abi.MS_SLAVE, recursive=True)
    os.close(place)
