"""A root directory that the entries of layers are made in, whatever they say (OCI image spec, layers and whiteouts).

Every name is looked up below the root with openat2(RESOLVE_IN_ROOT), so that no link and no ``..`` leads out of it; what is
made is made under a name that did not exist, in a directory that is held open. Device nodes, and rights that a host would
honour, are left out and noted.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import attrs

from hardening.base import files, trees
from hardening.base.files import Opened
from hardening.base.linux import abi, kernel
from hardening.base.values import frozen
from hardening.errors import ImageError
from hardening.images.ids import Ids
from hardening.images.unpacking import tar
from hardening.images.unpacking.tar import TarEntry
from hardening.images.unpacking.whiteouts import WHITEOUT, Hiding, chain, lstat

#: What is left out: words that `Notes` begins with.
DEVICE, ATTRIBUTE, SET_USER, SET_GROUP = "device node", "extended attribute", "set-user-ID bit", "set-group-ID bit"
#: How many of the things that were left out are named one by one.
MAX_NOTED = 1000
#: How many directories may lie in one another.
MAX_DEPTH = 256
_PER_ENTRY = 4096  # bytes of headers and padding, more than an image has in the middle
_RESOLVE = abi.IN_ROOT | abi.RESOLVE_NO_XDEV
_SET_ID = stat.S_ISUID | stat.S_ISGID


@frozen
class Limits:
    """The most that an image may hold: bytes of one file and of all, entries, bytes of names that are remembered while it is
    unpacked, and names that whiteouts look through. To all bytes belong those of headers that are no entry, and to entries
    these headers and the directories that no entry names."""

    file: int = 32 << 30
    total: int = 128 << 30
    entries: int = 2_000_000
    names: int = 256 << 20
    searched: int = 10_000_000


@attrs.define
class Notes:
    """What of an image is not there, or not as it says: a word on why, and the path."""

    count: int = 0
    _named: dict[bytes, list[str]] = attrs.field(factory=dict)
    _names: int = 0

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """What is named of it, as it came."""
        return [(why, path.decode("utf-8", "replace")) for path, found in self._named.items() for why in found]

    def add(self, why: str, path: bytes) -> None:
        """One more; beyond `MAX_NOTED` they are only counted."""
        self.count += 1
        if self._names < MAX_NOTED:
            self._names += 1
            self._named.setdefault(path, []).append(why)

    def gone(self, path: bytes, *, below: bool = False) -> None:
        """A layer takes away what was at a path, or puts something else there."""
        paths = [path, *(name for name in self._named if name.startswith(path + b"/"))] if below else [path]
        lost = sum(len(self._named.pop(name, ())) for name in paths)
        self.count -= lost
        self._names -= lost


class Tree:
    """A root that layers are unpacked into."""

    def __init__(self, root: Path, ids: Ids, limits: Limits, notes: Notes, *, keep_ids: bool) -> None:
        self.limits = limits
        self.entries = self.bytes = self._read = 0
        self._unnamed = self._headed = 0  # what counts as entries and as bytes, and is neither
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._depth = os.readlink(f"/proc/self/fd/{self._root}").count("/")
        self._ids = ids
        self._notes = notes
        self._keep_ids = keep_ids
        self._squashed = ids.owner is not None
        self._origin = ""
        self._hiding = Hiding(limits.names, limits.searched, self.wrong, self._remove)
        # Modes and times of directories wait to the end: what is made in one changes its time, and may need its mode.
        self._directories: dict[bytes, tuple[int, int, int]] = {}
        # By path, after how many entries a directory was taken away last: what was noted below it before is of no use.
        self._gone: dict[bytes, int] = {}
        self._cached: tuple[bytes, int] | None = None

    def begin(self, origin: str) -> None:
        """A new layer begins: what was written before is below it."""
        self._origin = origin
        self._hiding.begin()

    def close(self) -> None:
        """Let go of the directories."""
        self._forget()
        os.close(self._root)

    def read(self, size: int) -> None:
        """So many bytes more of an archive were read, headers and padding included. Raises `ImageError` for too many."""
        self._read += size
        if self._read > self.limits.total + self.limits.entries * _PER_ENTRY:
            raise self.wrong("has too many entries")

    def header(self, size: int) -> None:
        """A header that is no entry, with so many bytes. Raises `ImageError` for too many."""
        self._unnamed += 1
        self._headed += size
        self._require_few()

    def _require_few(self) -> None:
        if self.entries + self._unnamed > self.limits.entries:
            raise self.wrong(f"has more than {self.limits.entries} entries, those of the layers below it included")
        if self.bytes + self._headed > self.limits.total:
            raise self.wrong(f"has more than {self.limits.total} bytes, those of the layers below it included")

    def add(self, entry: TarEntry, reader: tar.TarReader) -> None:
        """Make one entry. Raises `ImageError` for one that wants out of the root, or is beyond the limits."""
        self.entries += 1
        self._require_few()
        parts = self._parts(entry.name)
        if not parts:
            if entry.kind == tar.DIRECTORY:
                self._note_directory(b"", self._root, entry)
            return
        folder, name = b"/".join(parts[:-1]), parts[-1]
        if name.startswith(WHITEOUT):
            self._hiding.white_out(self._open, folder, name)
            return
        if any(part.startswith(WHITEOUT) for part in parts):
            raise self.wrong(f"has a whiteout that is a directory: {entry.name!r}")
        path = b"/".join(parts)
        if entry.kind in (tar.CHARACTER, tar.BLOCK_DEVICE):
            self._notes.gone(path)
            self._notes.add(DEVICE, path)
            return
        self._notes.gone(path)
        parent = self._parent(folder)
        if entry.kind == tar.HARD_LINK:
            self._link(entry, parent, name, path)
        else:
            self._make(entry, reader, parent, name, path)
        for above in chain(path):
            if not self._hiding.wrote(above):
                break

    def finish(self) -> None:
        """Give the directories their modes and times, the deepest first."""
        for path in sorted(self._directories, key=lambda path: (-path.count(b"/"), -len(path))):
            since, mode, mtime = self._directories[path]
            if any(self._gone.get(above, -1) >= since for above in chain(path)):
                continue
            try:
                descriptor = self._open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            except OSError:  # a link above it leads elsewhere now
                continue
            with Opened(descriptor):
                os.fchmod(descriptor, mode)
                os.utime(descriptor, ns=(mtime, mtime))

    def wrong(self, problem: str) -> ImageError:
        """The error for a layer that is not what it should be."""
        return ImageError(
            f"the layer {problem}", origin=self._origin, hint="use another image, or report this to its author"
        )

    # --- names ----------------------------------------------------------------------------------------------------

    def _parts(self, name: bytes) -> list[bytes]:
        parts = [part for part in name.split(b"/") if part not in (b"", b".")]
        if b".." in parts:
            raise self.wrong(f"has a name with `..` in it: {name[:100]!r}")
        if len(parts) > MAX_DEPTH:
            raise self._too_deep(name)
        return parts

    def _too_deep(self, name: bytes) -> ImageError:
        return self.wrong(f"has a name below more than {MAX_DEPTH} directories: {name[:100]!r}")

    def _open(self, path: bytes, flags: int) -> int:
        return kernel.openat2(self._root, path or b".", flags, _RESOLVE)

    def _forget(self) -> None:
        if self._cached is not None:
            os.close(self._cached[1])
            self._cached = None

    def _parent(self, folder: bytes) -> int:
        """The directory ``folder``, made where it is missing; it stays open until the next one is asked for."""
        if not folder:
            return self._root
        if self._cached is not None and self._cached[0] == folder:
            return self._cached[1]
        self._forget()
        try:
            descriptor = self._open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            descriptor = self._make_parents(folder)
        except OSError as error:
            raise self.wrong(
                f"has something in {folder[:100]!r}, which is not a directory ({error.strerror})"
            ) from None
        if self._is_deep(descriptor):
            os.close(descriptor)
            raise self._too_deep(folder)
        self._cached = (folder, descriptor)
        return descriptor

    def _is_deep(self, folder: int) -> bool:
        """Whether a directory lies too deep: links may lead below what is deep already."""
        try:
            return os.readlink(f"/proc/self/fd/{folder}").count("/") - self._depth >= MAX_DEPTH
        except OSError:  # its name is longer than any may be (proc(5), PATH_MAX)
            return True

    def _make_parents(self, folder: bytes) -> int:
        parts = folder.split(b"/")
        above = os.dup(self._root)
        try:
            for depth in range(1, len(parts) + 1):
                path = b"/".join(parts[:depth])
                try:
                    below = self._open(path, os.O_RDONLY | os.O_DIRECTORY)
                except FileNotFoundError:
                    self._unnamed += 1
                    self._require_few()
                    self._make_directory(above, parts[depth - 1], 0, 0)
                    below = self._open(path, os.O_RDONLY | os.O_DIRECTORY)
                    os.fchmod(below, 0o755)
                    self._hiding.wrote(path)
                os.close(above)
                above = below
        except OSError as error:
            os.close(above)
            if error.errno in (errno.EEXIST, errno.ENOTDIR, errno.ELOOP, errno.EXDEV):
                raise self.wrong(f"has something below {folder[:100]!r}, which is not a directory") from None
            raise
        return above

    # --- entries --------------------------------------------------------------------------------------------------

    def _make(self, entry: TarEntry, reader: tar.TarReader, parent: int, name: bytes, path: bytes) -> None:
        there = lstat(parent, name)
        if there is not None and not (entry.kind == tar.DIRECTORY and stat.S_ISDIR(there.st_mode)):
            self._remove(parent, name, path, there)
            there = None
        uid, gid = self._owner(entry, path)
        if entry.kind == tar.DIRECTORY:
            if there is None:
                self._make_directory(parent, name, entry.uid, entry.gid)
            with Opened(
                os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
            ) as descriptor:
                if there is not None and not self._squashed:
                    os.fchown(descriptor, uid, gid)
                self._note_directory(path, descriptor, entry)
        elif entry.kind == tar.FILE:
            self._write(entry, reader, parent, name, path)
        else:
            if entry.kind == tar.LINK:
                os.symlink(entry.target, name, dir_fd=parent)
            else:
                os.mkfifo(name, 0o600, dir_fd=parent)
            if not self._squashed:
                os.chown(name, uid, gid, dir_fd=parent, follow_symlinks=False)
            if entry.kind == tar.FIFO:
                os.chmod(name, self._mode(entry, path) & 0o777, dir_fd=parent)
            os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)

    def _write(self, entry: TarEntry, reader: tar.TarReader, parent: int, name: bytes, path: bytes) -> None:
        if entry.size > self.limits.file:
            raise self.wrong(f"has a file of {entry.size} bytes: {path[:100]!r}")
        self.bytes += entry.size
        self._require_few()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with Opened(os.open(name, flags, 0o600, dir_fd=parent)) as descriptor:
            for piece in reader.data():
                files.write_all(descriptor, piece)
            if not self._squashed:
                os.fchown(descriptor, *self._owner(entry, path))
            os.fchmod(descriptor, self._mode(entry, path))
            self._extend(entry, descriptor, path)
            os.utime(descriptor, ns=(entry.mtime, entry.mtime))

    def _extend(self, entry: TarEntry, descriptor: int, path: bytes) -> None:
        """Extended attributes: those of users are set, where the file system has them. The kernel acts on all others."""
        for name, value in entry.attributes.items():
            if not name.startswith("user."):
                self._notes.add(f"{ATTRIBUTE} {name}", path)
                continue
            try:
                os.setxattr(descriptor, name, value)
            except OSError:
                self._notes.add(f"{ATTRIBUTE} {name}", path)

    def _link(self, entry: TarEntry, parent: int, name: bytes, path: bytes) -> None:
        parts = self._parts(entry.target)
        if b"/".join(parts) == path:
            raise self.wrong(f"has a hard link to itself: {path[:100]!r}")
        try:
            folder = self._open(b"/".join(parts[:-1]), os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            raise self._no_target(entry) from None
        try:
            source = lstat(folder, parts[-1]) if parts else None
            if source is None or not (stat.S_ISREG(source.st_mode) or stat.S_ISLNK(source.st_mode)):
                raise self._no_target(entry)
            there = lstat(parent, name)
            if there is not None:
                if os.path.samestat(there, source):
                    return
                self._remove(parent, name, path, there)
            os.link(parts[-1], name, src_dir_fd=folder, dst_dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:  # it lay below what the link takes the place of
            raise self._no_target(entry) from None
        finally:
            os.close(folder)

    def _no_target(self, entry: TarEntry) -> ImageError:
        return self.wrong(
            f"has a hard link to something that is not a file in it: {entry.name[:100]!r} to {entry.target[:100]!r}"
        )

    def _make_directory(self, parent: int, name: bytes, uid: int, gid: int) -> None:
        os.mkdir(name, 0o700, dir_fd=parent)
        found = self._ids.outside(uid, gid)
        if found is None:
            raise self._unmapped(uid, gid, name)
        if not self._squashed:
            os.chown(name, *found, dir_fd=parent, follow_symlinks=False)

    def _note_directory(self, path: bytes, descriptor: int, entry: TarEntry) -> None:
        if not path and not self._squashed:
            os.fchown(descriptor, *self._owner(entry, path))
        if path not in self._directories:
            self._hiding.remember(path)
        self._directories[path] = (self.entries, self._mode(entry, path), entry.mtime)
        if any(not name.startswith("user.") for name in entry.attributes):
            self._notes.add("extended attributes of a directory", path)

    def _owner(self, entry: TarEntry, path: bytes) -> tuple[int, int]:
        found = self._ids.outside(entry.uid, entry.gid)
        if found is None:
            raise self._unmapped(entry.uid, entry.gid, path)
        return found

    def _unmapped(self, uid: int, gid: int, path: bytes) -> ImageError:
        return ImageError(
            f"{path.decode('utf-8', 'replace')} belongs to {uid}:{gid}, and the user namespace has no such ids",
            origin=self._origin,
            hint="map more ids: a longer range in /etc/subuid and /etc/subgid, or namespaces.uid_map",
        )

    def _mode(self, entry: TarEntry, path: bytes) -> int:
        if entry.mode & _SET_ID and not self._keep_ids:
            if entry.kind == tar.FILE:
                for bit, what in ((stat.S_ISUID, SET_USER), (stat.S_ISGID, SET_GROUP)):
                    if entry.mode & bit:
                        self._notes.add(what, path)
            return entry.mode & ~_SET_ID
        return entry.mode

    # --- removal --------------------------------------------------------------------------------------------------

    def _remove(self, parent: int, name: bytes, path: bytes, there: os.stat_result) -> None:
        self._notes.gone(path, below=stat.S_ISDIR(there.st_mode))
        if not stat.S_ISDIR(there.st_mode):
            os.unlink(name, dir_fd=parent)
            if stat.S_ISLNK(there.st_mode):
                self._forget_unless(parent)
            return
        trees.remove(name, parent)
        self._gone[path] = self.entries - 1
        self._forget_unless(parent)

    def _forget_unless(self, parent: int) -> None:
        """Another directory may be meant by the same path from now on; the one that is in use stays open."""
        if self._cached is not None and self._cached[1] != parent:
            self._forget()
