"""What a layer has written itself, and what it hides of the layers below it (OCI image spec, whiteouts)."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator

from hardening.base.files import Opened
from hardening.errors import ImageError

WHITEOUT, OPAQUE, RESERVED = b".wh.", b".wh..wh..opq", b".wh..wh."
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

#: A directory and a name in it, its path below the root, and what it is.
Remove = Callable[[int, bytes, bytes, os.stat_result], None]


class Hiding:
    """What of a root is of the layer that is being unpacked. ``names`` is how many bytes of names are remembered at most,
    ``searched`` through how many names whiteouts look; ``wrong`` makes the error for a layer, ``remove`` removes."""

    def __init__(self, names: int, searched: int, wrong: Callable[[str], ImageError], remove: Remove) -> None:
        self._names = names
        self._most_searched = searched
        self._wrong = wrong
        self._remove = remove
        self._searched = 0
        self._remembered = 0  # bytes of names
        self._written: set[bytes] = set()
        self._opaque: set[bytes] = set()

    def begin(self) -> None:
        """A new layer begins: what was written before is below it."""
        self._remembered -= sum(map(len, self._written))
        self._written.clear()
        self._opaque.clear()

    def wrote(self, path: bytes) -> bool:
        """The layer has written a path: whether that is new. Raises `ImageError` for too many."""
        if path in self._written:
            return False
        self._written.add(path)
        self.remember(path)
        return True

    def remember(self, path: bytes) -> None:
        """One more path is remembered, here or elsewhere. Raises `ImageError` for too many bytes of them."""
        self._remembered += len(path)
        if self._remembered > self._names:
            raise self._wrong(f"has names of more than {self._names} bytes")

    def white_out(self, open_below: Callable[[bytes, int], int], folder: bytes, name: bytes) -> None:
        """Remove what lower layers have of a name, or of a whole directory."""
        hidden = name[len(WHITEOUT) :]
        if name != OPAQUE and (name.startswith(RESERVED) or hidden in (b"", b".", b"..")):
            if hidden in (b"", b".", b".."):
                raise self._wrong(f"has a whiteout of {hidden!r} in {folder[:100]!r}")
            return  # of aufs(5), which writes such names for itself
        try:
            parent = open_below(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:  # there is nothing to be hidden
            return
        with Opened(parent):
            if name == OPAQUE:
                self._clear(parent, folder)
                return
            there = lstat(parent, hidden)
            path = b"/".join((folder, hidden)) if folder else hidden
            if there is not None:
                self._hide(parent, hidden, path, there)

    def _hide(self, parent: int, name: bytes, path: bytes, there: os.stat_result) -> None:
        """Remove what is there, but for what this layer has written itself."""
        if path not in self._written:
            self._remove(parent, name, path, there)
        elif stat.S_ISDIR(there.st_mode):
            with Opened(os.open(name, _FOLDER, dir_fd=parent)) as below:
                self._clear(below, path)

    def _clear(self, folder: int, path: bytes) -> None:
        """Remove from a directory whatever this layer has not written itself."""
        if path in self._opaque:
            return
        self._opaque.add(path)
        for name in os.listdir(folder):
            self._searched += 1
            if self._searched > self._most_searched:
                raise self._wrong("has whiteouts that cover too many entries")
            inner = os.fsencode(name)
            there = lstat(folder, inner)
            if there is not None:
                self._hide(folder, inner, b"/".join((path, inner)) if path else inner, there)


def chain(path: bytes) -> Iterator[bytes]:
    """A path and all above it, the deepest first."""
    while path:
        yield path
        path = path.rpartition(b"/")[0]


def lstat(folder: int, name: bytes) -> os.stat_result | None:
    """What a name in a directory is, no link followed; None where there is none."""
    try:
        return os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return None
