"""Building the container's file system tree: what is mounted at which place of the new root."""

from __future__ import annotations

import _stat as stat
import errno

from hardening.base import files
from hardening.base.linux import abi, kernel
from hardening.base.linux.system import os
from hardening.errors import LaunchError
from hardening.launch.native.operation import Building
from hardening.launch.native.root import Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hardening.launch.config.model import ConfigMount
    from hardening.launch.native.operation import LaunchState


class AttachRoot(Building):
    """The cloned root, mounted over the old one, in which everything that follows is looked up."""

    pointer = "/root/path"
    text = "mount the root"
    judged: bool

    def execute(self, state: LaunchState) -> None:
        state.root = Root(state.tree, state.channel, judged=self.judged)
        state.root.attach()


class MakeRootReadOnly(Building):
    """A root that cannot be written to."""

    pointer = "/root/readonly"
    text = "make the root read-only"

    def execute(self, state: LaunchState) -> None:
        state.root.make_read_only()


class MountBind(Building):
    """The cloned tree of a bind mount, with the restrictions of its entry; nothing is ever lifted."""

    text = "mount bind on {mount.destination}"
    pointer: str
    mount: ConfigMount

    def execute(self, state: LaunchState) -> None:
        mount = self.mount
        tree = state.trees.pop(self.pointer)
        directory = stat.S_ISDIR(os.fstat(tree).st_mode)
        place = state.root.place(mount.destination, directory=directory)
        if directory != stat.S_ISDIR(os.fstat(place).st_mode):
            kind = "a directory" if directory else "not a directory"
            raise LaunchError(
                f"{mount.source} is {kind}, and {mount.destination} in the root is the opposite",
                origin=f"config.json:{self.pointer}/destination",
            )
        # Restricted while it is detached: nobody sees it without.
        if mount.atime is not None:
            try:
                kernel.mount_setattr(tree, add=mount.atime, clear=abi.MOUNT_ATTR__ATIME)
            except PermissionError as error:
                # The access time mode of a mount that came with the user namespace is locked (mount_namespaces(7)).
                text = "a user namespace cannot change how the host's mount keeps access times"
                raise OSError(error.errno, text) from error
        if mount.add:
            kernel.mount_setattr(tree, add=mount.add)
        if mount.add_below:
            kernel.mount_setattr(tree, add=mount.add_below, recursive=True)
        kernel.move_mount(tree, place)
        os.close(place)
        if mount.propagation in (abi.MS_SHARED, abi.MS_UNBINDABLE):  # the others it has since it was cloned
            kernel.mount_setattr(tree, propagation=mount.propagation, recursive=mount.propagation_below)
        os.close(tree)


class MountNew(Building):
    """A new file system."""

    text = "mount {mount.kind} on {mount.destination}"
    pointer: str
    mount: ConfigMount

    def execute(self, state: LaunchState) -> None:
        # A link in place of /proc or /sys would leave the masked paths without effect.
        place = state.root.place(self.mount.destination, directory=True, plain=self.mount.kind in ("proc", "sysfs"))
        made = state.trees.pop(self.pointer, None)
        state.root.mount_at(self.create() if made is None else made, place, late=self.mount.late)

    def create(self, *data: tuple[str, str | None]) -> int:
        """The file system, detached, with options before its own."""
        return kernel.new_filesystem(
            self.mount.kind, (*data, *self.mount.data), self.mount.attributes, self.mount.source
        )


class MountSysfs(MountNew):
    """A sysfs, which a user namespace may mount only for a network namespace of its own; else the host's is shown."""

    def execute(self, state: LaunchState) -> None:
        try:
            super().execute(state)
        except PermissionError as error:
            if error.errno != errno.EPERM:
                raise
            place = state.root.place(self.mount.destination, directory=True, plain=True)
            tree = kernel.open_tree(abi.AT_FDCWD, b"/sys", abi.OPEN_TREE_CLONE | abi.AT_RECURSIVE)
            kernel.mount_setattr(tree, add=self.mount.attributes | self.mount.late, recursive=True)
            state.root.mount_at(tree, place)


class MountDevpts(MountNew):
    """Terminals of the container's own."""

    def create(self, *data: tuple[str, str | None]) -> int:
        try:
            return super().create(*data)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            text = f"{error.strerror} (an id in its options that the user namespace does not map?)"
            raise OSError(error.errno, text) from error


class MountTmpfs(MountNew):
    """A tmpfs with the mode of what it covers, as other runtimes have it: else the kernel lets everybody write."""

    def execute(self, state: LaunchState) -> None:
        covered = state.root.find_if_present(self.mount.destination)
        place = state.root.place(self.mount.destination, directory=True)
        data: tuple[tuple[str, str | None], ...] = ()
        if covered is not None:
            data = (("mode", f"{os.fstat(covered).st_mode & 0o1777:o}"),)
            os.close(covered)
        tree = self.create(*data)
        state.root.note_fresh(tree)
        self.fill(place, tree)
        state.root.mount_at(tree, place, late=self.mount.late)

    def fill(self, below: int, tree: int) -> None:
        """Put in what it begins with: nothing."""


class ProtectPath(Building):
    """A path that can be read only. One that is not there needs no protection."""

    text = "make {path} read-only"
    pointer: str
    path: str

    def execute(self, state: LaunchState) -> None:
        for path in self.paths(state.root):
            place = state.root.find_if_present(path)
            if place is not None:
                self.cover(state.root, place)

    def paths(self, root: Root) -> list[str]:
        """The paths below the root that it is for."""
        return [self.path]

    def cover(self, root: Root, place: int) -> None:
        """Mount what protects an open path."""
        tree = kernel.open_tree(place, b"", abi.OPEN_TREE_CLONE | abi.AT_RECURSIVE)
        kernel.mount_setattr(tree, add=abi.MOUNT_ATTR_RDONLY, recursive=True)
        root.mount_at(tree, place)


class MaskPath(ProtectPath):
    """A path of which nothing is seen."""

    text = "mask {path}"

    def cover(self, root: Root, place: int) -> None:
        flags = abi.MOUNT_ATTR_RDONLY | abi.MOUNT_ATTR_NOSUID | abi.MOUNT_ATTR_NODEV | abi.MOUNT_ATTR_NOEXEC
        if stat.S_ISDIR(os.fstat(place).st_mode):
            root.mount_at(kernel.new_filesystem("tmpfs", (("mode", "0555"),), flags), place)
        else:
            # The host's own /dev/null, checked by its numbers: the container's could be a link to something else.
            root.mount_at(clone_device("/dev/null", os.makedev(1, 3)), place)


class EnterRoot(Building):
    """The tree as the root of the mount namespace, complete and with its ``propagation``."""

    pointer = "/root/path"
    text = "enter the root"
    propagation: int
    below: bool

    def execute(self, state: LaunchState) -> None:
        state.root.finish()
        state.root.enter(self.propagation, recursive=self.below)


def clone_device(path: str, number: int) -> int:
    """A detached mount of one of the host's device nodes, after checking that it is that device.

    Read-only: the device is written to all the same, but a command whose id owns the node cannot change its mode.
    """
    tree = kernel.open_tree(abi.AT_FDCWD, files.encode(path), abi.OPEN_TREE_CLONE | abi.AT_SYMLINK_NOFOLLOW)
    status = os.fstat(tree)
    if not stat.S_ISCHR(status.st_mode) or status.st_rdev != number:
        os.close(tree)
        raise OSError(errno.ENODEV, f"the host's {path} is not the device that it should be")
    kernel.mount_setattr(tree, add=abi.MOUNT_ATTR_RDONLY)
    return tree
