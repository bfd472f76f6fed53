"""The new root while it is built, all by descriptor: no path is looked up twice.

Every target is opened below it with openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS), so that a symbolic link in the root
leads nowhere else, and mounts are moved onto what was opened.
"""

from __future__ import annotations

import _stat as stat
import errno

from hardening.base import files, links, trusted
from hardening.base.files import MAX_LINKS, Opened
from hardening.base.linux import abi, kernel
from hardening.base.linux.system import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hardening.launch.native.channel import Channel


class UnmappedRootError(PermissionError):
    """A root in which the container's ids can make no mount point; ``hint`` says what a person can do about it."""

    hint = 'give its files to ids of /linux/uidMappings, or compose it under a profile with [namespaces] user = "host"'


class Root:
    """The new root while it is built. Until `enter` the old one stays reachable under absolute paths. Where the places of
    mounts were ``judged`` they have no links in them."""

    def __init__(self, tree: int, channel: Channel, *, judged: bool = False) -> None:
        self.tree = tree
        self._judged = judged
        self._channel = channel
        self._late: list[tuple[int, int]] = []  # (mount, attributes that would hinder the building)
        self._fresh = set[int]()  # device numbers of file systems that are new: nothing in them outlives the container

    def attach(self) -> None:
        """Mount the tree over the old root."""
        place = os.open("/", os.O_PATH | os.O_CLOEXEC)
        kernel.move_mount(self.tree, place)
        os.close(place)

    def make_read_only(self) -> None:
        """Make the mounts inside the tree read-only at once, and the tree itself by `finish`: mount points may have to be
        made in it."""
        was_read_only = bool(os.fstatvfs(self.tree).f_flag & os.ST_RDONLY)
        kernel.mount_setattr(self.tree, add=abi.MOUNT_ATTR_RDONLY, recursive=True)
        if not was_read_only:
            kernel.mount_setattr(self.tree, clear=abi.MOUNT_ATTR_RDONLY)
            self._late.append((os.dup(self.tree), abi.MOUNT_ATTR_RDONLY))

    def find(self, path: str, flags: int = os.O_PATH, resolve: int = 0) -> int:
        """Open a path below the root; `links.MovedLinkError` where ``resolve`` forbids links, and there were none."""
        look_up = links.find_judged if self._judged and resolve & abi.RESOLVE_NO_SYMLINKS else kernel.openat2
        return look_up(self.tree, files.encode(path.lstrip("/") or "."), flags, abi.IN_ROOT | resolve)

    def find_if_present(self, path: str, resolve: int = 0) -> int | None:
        """Open a path below the root, or None when it is not there."""
        try:
            return self.find(path, resolve=resolve)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return None
            raise

    def target(self, path: str, *, directory: bool, resolve: int = 0) -> int:
        """Open a mount point, made first when it is missing."""
        try:
            return self._target(path, directory=directory, resolve=resolve)
        except PermissionError as error:
            if os.fstat(self.tree).st_uid != trusted.overflow_id():
                raise
            text = f"{error.strerror} (the root belongs to an id that the user namespace does not map)"
            raise UnmappedRootError(error.errno, text) from error

    def _target(self, path: str, *, directory: bool, resolve: int) -> int:
        try:
            there = self.find(path, resolve=resolve)
        except FileNotFoundError:
            pass
        else:
            if files.same(os.fstat(there), os.fstat(self.tree)):
                # What is mounted there lies beside everything that is looked up below the root.
                raise OSError(errno.EBUSY, f"{path} resolves to the root itself")
            return there
        parts, depth, parent = self._missing(path, resolve)
        for part in parts[depth:]:
            depth += 1
            outlives = self.outlives(parent)
            if directory or depth < len(parts):
                os.mkdir(part, 0o755, dir_fd=parent)
            else:
                os.mknod(part, 0o644 | stat.S_IFREG, dir_fd=parent)
            if outlives:
                _give(part, parent)
                self.tell_made(part, parent)
            os.close(parent)
            parent = self.find("/".join(parts[:depth]), resolve=resolve)
        return parent

    def _missing(self, path: str, resolve: int) -> tuple[list[str], int, int]:
        """The parts of a path that leads nowhere, how many of them are there, and these open. A link in it that leads
        nowhere is followed, inside the root, to the place that it names, unless ``resolve`` forbids links."""
        for _ in range(MAX_LINKS):
            parts = [part for part in path.split("/") if part]
            depth = len(parts) - 1
            while (parent := self.find_if_present("/".join(parts[:depth]), resolve)) is None:
                depth -= 1
            if ".." in parts[depth:]:
                raise OSError(errno.ENOENT, f"{path} does not exist")
            try:
                link = os.readlink(parts[depth], dir_fd=parent)
            except FileNotFoundError:
                return parts, depth, parent
            os.close(parent)
            if resolve & abi.RESOLVE_NO_SYMLINKS:
                break  # it was laid a moment ago
            path = "/".join([files.join("/".join(parts[:depth]), link), *parts[depth + 1 :]])
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))

    def place(self, path: str, *, directory: bool, plain: bool = False) -> int:
        """Open the mount point of an entry of `/mounts`, made first when it is missing; ``plain``: through no link."""
        return self.target(path, directory=directory, resolve=abi.RESOLVE_NO_SYMLINKS if plain or self._judged else 0)

    def outlives(self, directory: int) -> bool:
        """Whether what is made in an open directory is there after the container."""
        return os.fstat(directory).st_dev not in self._fresh

    def tell_made(self, name: str, directory: int) -> None:
        """Tell the launcher what was made in an open directory, to be taken away after a launch that fails."""
        try:
            # Its own mount: the one of this directory may be read-only by then.
            place = kernel.open_tree(directory, b"", abi.OPEN_TREE_CLONE | abi.AT_RECURSIVE)
        except OSError:  # unbindable
            place = os.dup(directory)
        self._channel.send("made", name, fd=place)
        os.close(place)

    def mount_at(self, tree: int, place: int, *, late: int = 0) -> None:
        """Move a detached mount onto an open mount point; ``late`` attributes are added by `finish`."""
        kernel.move_mount(tree, place)
        if late:
            self._late.append((tree, late))
        else:
            os.close(tree)
        os.close(place)

    def note_fresh(self, tree: int) -> None:
        """Remember that this mount is of a new file system."""
        self._fresh.add(os.fstat(tree).st_dev)

    def finish(self) -> None:
        """Add what had to wait."""
        for fd, attributes in self._late:
            kernel.mount_setattr(fd, add=attributes)
            os.close(fd)
        self._late.clear()

    def enter(self, propagation: int, *, recursive: bool) -> None:
        """Make the tree the root of this mount namespace, with this propagation, and let the old one go."""
        os.fchdir(self.tree)
        kernel.pivot_root(b".", b".")
        # '.' now names the old root, which lies on top of the new one.
        kernel.umount(b".", abi.MNT_DETACH)
        os.chdir("/")
        if propagation in (abi.MS_SHARED, abi.MS_UNBINDABLE):
            # Only now: pivot_root(2) takes no shared root.
            kernel.mount_setattr(self.tree, propagation=propagation, recursive=recursive)
        os.close(self.tree)


def _give(name: str, directory: int) -> None:
    """Give what was made to whom its directory belongs: what is an id's of the container's own its caller cannot remove. The
    host's root gives nothing away, and nobody what something is in: who owns the directory could have moved another file to
    that name by now."""
    unmapped = trusted.overflow_id()
    if trusted.root() != unmapped:
        return
    status = os.fstat(directory)
    uid, gid = (-1 if number == unmapped else number for number in (status.st_uid, status.st_gid))
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    with Opened(os.open(name, flags, dir_fd=directory)) as made:
        if not _is_empty(made):
            return
        try:
            os.fchown(made, uid, gid)
        except PermissionError:  # a file system without owners
            return


def _is_empty(fd: int) -> bool:
    """Whether nothing is in an open directory, or in an open file that has no other name."""
    status = os.fstat(fd)
    if stat.S_ISDIR(status.st_mode):
        return not os.listdir(fd)
    return status.st_size == 0 and status.st_nlink == 1
