"""Filling a new tmpfs with what it is to cover (the option ``tmpcopyup`` of podman and CRI-O)."""

from __future__ import annotations

import _stat as stat
import errno

from hardening.base import files
from hardening.base.linux import abi, kernel
from hardening.base.linux.system import os
from hardening.launch.native.mounts import MountTmpfs

#: Of what is copied: set-user-ID and set-group-ID bits would lend rights of somebody else than in the root.
PERMISSIONS = 0o1777
_WITHIN = abi.RESOLVE_BENEATH | abi.RESOLVE_NO_SYMLINKS
_CHUNK = 1 << 24


class MountCopy(MountTmpfs):
    """A tmpfs that is filled with what it covers."""

    def fill(self, below: int, tree: int) -> None:
        copy_up(below, tree)


def copy_up(below: int, tree: int) -> None:
    """Copy what an open directory holds into a detached tmpfs: owners as far as they are mapped, permissions and links.

    `OSError`, also for a device, which no copy stands for, and where the tmpfs is too small.
    """
    pending = ["."]
    while pending:
        path = pending.pop()
        try:
            if path == "." or _copy(below, tree, path):
                opened = _open(below, path, os.O_RDONLY | os.O_DIRECTORY)
                names = os.listdir(opened)
                os.close(opened)
                pending += [f"{path}/{name}" for name in names]
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror}: {path.removeprefix('./')}") from error


def _open(directory: int, path: str, flags: int) -> int:
    return kernel.openat2(directory, files.encode(path), flags, _WITHIN)


def _copy(below: int, tree: int, path: str) -> bool:
    """Copy one entry; whether it is a directory."""
    place = _open(below, path, os.O_PATH | os.O_NOFOLLOW)
    parent = _open(tree, files.parent(path), os.O_PATH)
    name = files.base(path)
    try:
        status = os.fstat(place)
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFDIR:
            os.mkdir(name, 0o700, dir_fd=parent)
        elif kind == stat.S_IFLNK:
            os.symlink(os.readlink(b"", dir_fd=place), files.encode(name), dir_fd=parent)
        elif kind == stat.S_IFREG:
            _copy_content(below, path, name, parent)
        elif kind in (stat.S_IFIFO, stat.S_IFSOCK):
            os.mknod(name, kind | 0o600, dir_fd=parent)
        else:
            raise OSError(errno.EPERM, "a device cannot be copied")
        _own(name, parent, status)
        if kind != stat.S_IFLNK:
            os.chmod(name, status.st_mode & PERMISSIONS, dir_fd=parent)
        return kind == stat.S_IFDIR
    finally:
        os.close(parent)
        os.close(place)


def _copy_content(below: int, path: str, name: str, parent: int) -> None:
    source = _open(below, path, os.O_RDONLY | os.O_NOFOLLOW)
    target = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=parent)
    try:
        while os.sendfile(target, source, None, _CHUNK):
            pass
    finally:
        os.close(source)
        os.close(target)


def _own(name: str, parent: int, status: os.stat_result) -> None:
    try:
        os.chown(name, status.st_uid, status.st_gid, dir_fd=parent, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EPERM):  # an id that is not mapped, or that may not be given
            raise
