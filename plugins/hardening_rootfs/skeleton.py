"""A root made of mounts: empty directories and links in the bundle, onto which the entries of the real root are mounted.

Mount points that the real root lacks are made in the skeleton, so nothing is ever created in a directory of the user's,
and nothing is left behind in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from hardening.base.files import is_below
from hardening.base.values import frozen
from hardening.errors import ProfileError
from hardening.mechanism.fragment import Directory, File, Symlink
from hardening.profile.source import Origin
from hardening_rootfs.paths import above, holds, on_host, resolve

#: More mounts than these make every start slow; they come from a mount point missing deep in a large directory.
MAX_ENTRIES = 512


@frozen
class MountTarget:
    """A mount point that must exist: ``path`` has no links in it; ``directory`` says which kind it must have."""

    path: str
    directory: bool
    origin: Origin | None = None


@frozen(eq=False)
class Skeleton:
    """``files`` by path in the root; ``binds`` are the paths to be mounted from the real root, ``opened`` the directories of
    it that were looked into."""

    files: dict[str, File]
    binds: tuple[str, ...]
    opened: tuple[str, ...]


def is_needed(root: str, targets: Iterable[MountTarget]) -> bool:
    """Whether a root lacks mount points. Raises `ProfileError` where one is of the wrong kind."""
    lacking = [target for target in targets if not _exists(root, target)]
    return bool(lacking)


def build(root: str, targets: Sequence[MountTarget], empty: frozenset[str], *, spare: bool = False) -> Skeleton:
    """The skeleton of ``root`` with all ``targets``; ``empty`` are directories to be shown without what is in them.
    With ``spare``, directories that are empty anyway are made and not mounted.

    Raises `ProfileError` where a mount point cannot be made, or would take too many mounts.
    """
    open_directories, made = {"/"}, dict[str, File]()
    for target in targets:
        hole = next((path for path in empty if holds(path, target.path)), None)
        if hole is None and _exists(root, target):
            continue
        anchor = hole if hole is not None else resolve(root, target.path).existing
        if hole is None and not os.path.isdir(on_host(root, anchor)):
            raise ProfileError(f"{target.path} cannot be made: {anchor} is not a directory", origin=target.origin)
        open_directories |= set(above(anchor)) | ({anchor} if hole is None else set())
        for path in (*above(target.path), target.path):
            if is_below(path, anchor) or path == hole:
                made[path] = Directory() if path != target.path or target.directory else b""
    files: dict[str, File] = {}
    binds: list[str] = []
    mounted = {target.path for target in targets}
    for path in sorted(open_directories):
        _open(root, path, open_directories | empty, mounted, files, binds)
        if spare:
            binds = [bind for bind in binds if not _is_empty(on_host(root, bind))]
        if len(files) > MAX_ENTRIES:
            inner = max(open_directories, key=len)
            raise ProfileError(
                f"a mount point is missing in {inner}, which has too many entries to be rebuilt around it",
                origin=next((target.origin for target in targets if is_below(target.path, inner)), None),
                hint="mount somewhere else, or give a root that has the directory",
            )
    return Skeleton(dict(sorted((files | made).items())), tuple(sorted(binds)), tuple(sorted(open_directories)))


def _is_empty(path: str) -> bool:
    try:
        return os.path.isdir(path) and not os.listdir(path)
    except OSError:
        # What the caller cannot read stays as it is: the command may have other rights.
        return False


def _exists(root: str, target: MountTarget) -> bool:
    place = resolve(root, target.path)
    if place.missing:
        return False
    if os.path.isdir(on_host(root, place.path)) != target.directory:
        there, wanted = ("a file", "a directory") if target.directory else ("a directory", "a file")
        raise ProfileError(f"{target.path} is {there}, so {wanted} cannot be mounted there", origin=target.origin)
    return True


def _open(
    root: str, path: str, kept: set[str] | frozenset[str], mounted: set[str], files: dict[str, File], binds: list[str]
) -> None:
    """Add the entries of one directory: links as links, everything else as a mount point for itself."""
    try:
        entries = sorted(os.scandir(on_host(root, path)), key=lambda entry: entry.name)
    except OSError as error:
        raise ProfileError(f"cannot read {on_host(root, path)}: {error.strerror}") from None
    for entry in entries:
        inner = path.rstrip("/") + "/" + entry.name
        if any("\udc80" <= character <= "\udcff" for character in inner):
            raise ProfileError(f"the name {os.fsencode(inner)!r} is not UTF-8, so no configuration can hold it")
        if entry.is_symlink():
            files[inner] = Symlink(os.readlink(entry.path))
        elif entry.is_dir(follow_symlinks=False):
            files[inner] = Directory()
            if inner not in kept and inner not in mounted:
                binds.append(inner)
        elif root != "/" or path != "/":
            # Files at the top of a host are swap files, quota files and markers of the running system.
            files[inner] = b""
            if inner not in mounted:
                binds.append(inner)
