"""Opening what the container's root is made of, with the eyes of the caller.

A tree is cloned detached (open_tree(2)) before the process takes other ids: what the caller can reach can be
mounted, also below a directory that the container's ids cannot traverse.
"""

from __future__ import annotations

import _stat as stat

from hardening.base import files, links
from hardening.base.linux import abi, idmaps, kernel
from hardening.base.linux.failure import Step
from hardening.base.linux.system import os
from hardening.errors import LaunchError
from hardening.launch.native.operation import Cloning, Mapping, Separation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hardening.launch.config.model import ConfigMount
    from hardening.launch.native.operation import LaunchState


class CloneRoot(Cloning):
    """The tree of the root, from a ``path`` that starts at the bundle where it is relative, and has no links where it was
    ``judged``. In it nothing but the launcher makes a device or lends rights: ``attributes`` are ``MOUNT_ATTR_*``, and
    ``propagation`` a ``MS_*``."""

    pointer = "/root/path"
    text = "clone the root {path}"
    path: str
    judged: bool
    propagation: int
    attributes: int

    def execute(self, state: LaunchState) -> None:
        state.tree = _clone(self.path, state.bundle.directory, True, self.pointer, judged=self.judged)
        if not stat.S_ISDIR(os.fstat(state.tree).st_mode):
            raise LaunchError(f"the root {self.path} is not a directory", origin=f"config.json:{self.pointer}")
        with Step("set the propagation of the root", "/linux/rootfsPropagation"):
            kernel.mount_setattr(state.tree, propagation=self.propagation, recursive=True)
        with Step("mount the root nodev and nosuid", self.pointer):
            kernel.mount_setattr(state.tree, add=self.attributes, recursive=True)


class CloneSource(Cloning):
    """The tree of one bind mount, as that of the root; ``propagation`` 0 leaves it as it is."""

    text = "clone {mount.source}"
    pointer: str
    mount: ConfigMount
    judged: bool
    propagation: int
    below: bool

    def execute(self, state: LaunchState) -> None:
        hint = "in a user namespace a tree with other mounts in it can only be bound whole: use rbind"
        source, recursive = self.mount.source, self.mount.recursive
        tree = state.trees[self.pointer] = _clone(
            source,
            state.bundle.directory,
            recursive,
            f"{self.pointer}/source",
            "" if recursive else hint,
            judged=self.judged,
        )
        if self.propagation:
            with Step(f"set the propagation of {source}", f"{self.pointer}/options"):
                kernel.mount_setattr(tree, propagation=self.propagation, recursive=self.below)


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


def clone(state: LaunchState) -> None:
    """Clone all trees. `LaunchError`; `PermissionError` where the kernel does not let this process clone, which has none
    then."""
    try:
        for operation in state.of(Cloning):
            operation.execute(state)
    except (OSError, LaunchError):
        state.close_trees()
        raise


class CloneInside(Separation):
    """What the main process was not permitted to clone, cloned in the user namespace that permits it: still with the
    caller's ids on files, so that whatever the caller can reach can be mounted."""

    pointer = "/linux/namespaces"
    text = "clone in the user namespace what the caller could not"

    def execute(self, state: LaunchState) -> None:
        if state.tree >= 0:
            return
        with Step("leave the host's mount propagation", self.pointer):
            make_slave()
        try:
            clone(state)
        except PermissionError as error:
            raise LaunchError("the kernel does not let this process clone mounts", hint=kernel.remedy(1)) from error


class MapSourceIds(Mapping):
    """Id-map the tree of a bind mount; without maps by the container's user namespace. It takes CAP_SYS_ADMIN on the
    host, so the main process does it once that namespace has its maps (mount_setattr(2))."""

    hint = "the file system must support id-mapped mounts, and the tree must hold no other mounts that do not"
    text = "map the ids of {mount.source}"
    pointer: str
    mount: ConfigMount

    def execute(self, state: LaunchState) -> None:
        if self.mount.uid_map:
            space = idmaps.new_user_namespace(self.mount.uid_map, self.mount.gid_map)
        else:
            space = os.open(f"/proc/{state.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        tree = state.trees[self.pointer]
        kernel.mount_setattr(tree, add=abi.MOUNT_ATTR_IDMAP, userns=space, recursive=self.mount.idmap_below)
        os.close(space)


def make_slave() -> None:
    """Let nothing that is mounted from now on reach the mount namespace that this one was copied from."""
    place = os.open("/", os.O_PATH | os.O_CLOEXEC)
    kernel.mount_setattr(place, propagation=abi.MS_SLAVE, recursive=True)
    os.close(place)
