"""Files that decide what is permitted: read only where nobody else could have written them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from hardening.errors import ProfileError

_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def read(path: Path, what: str, longest: int, *, hint: str, own: bool = False) -> bytes:
    """The bytes of the regular file at ``path``, called ``what`` in messages, at most ``longest`` of them.

    Raises `ProfileError` (with ``hint`` where it cannot be opened) for a file that is missing, unreadable, not regular, too
    large, or that others than its owner and root could have written or replaced: through its own mode, a symbolic link
    on the way, or a directory above it. ``own`` demands that it belongs to the caller or root.
    """
    try:
        # O_NONBLOCK: a FIFO must not hang us before we have seen that it is one.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ProfileError(f"cannot read {what}: {error.strerror}", origin=path, hint=hint) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ProfileError(f"{what} is not a regular file", origin=path, hint="name a regular file")
        trusted = {0, os.geteuid(), *_unmapped()}
        if own and status.st_uid not in trusted:
            raise ProfileError(
                f"{what} belongs to another user (uid {status.st_uid})",
                origin=path,
                hint="to use it all the same, name it by its path",
            )
        _refuse_mode(status, path, what)
        _require_safe_way(path, what, trusted if own else trusted | {status.st_uid})
        with os.fdopen(os.dup(descriptor), "rb") as file:
            data = file.read(longest + 1)
    except OSError as error:
        raise ProfileError(f"cannot read {what}: {error.strerror}", origin=path, hint=hint) from None
    finally:
        os.close(descriptor)
    if len(data) > longest:
        raise ProfileError(f"{what} is larger than {longest} bytes", origin=path, hint="split it")
    return data


def _unmapped() -> set[int]:
    """The id that stands for the host's root, and for every other unmapped owner, inside a user namespace
    (user_namespaces(7), unmapped user and group IDs); none in the initial one."""
    if Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]:
        return set()
    return {int(Path("/proc/sys/kernel/overflowuid").read_text())}


def _require_safe_way(path: Path, what: str, trusted: set[int]) -> None:
    """Nobody but ``trusted`` may be able to change which file ``path`` is: each link on the way, and each directory that
    holds a name of it, is theirs, and no other can write to it."""
    for link in _links(path):
        if os.lstat(link).st_uid not in trusted:
            raise ProfileError(
                f"{link} leads to {what} and belongs to another user", origin=path, hint=f"remove {link}"
            )
    holders = {name.parent for name in (path.absolute(), *_links(path), path.resolve())}
    for folder in sorted({above for holder in holders for above in (holder, *holder.parents)}):
        status = os.stat(folder)
        if status.st_mode & stat.S_ISVTX:
            continue  # only the owner of a name can take it away
        _refuse_mode(status, folder, f"a directory above {what}")
        if status.st_uid not in trusted:
            raise ProfileError(
                f"a directory above {what} belongs to another user (uid {status.st_uid}): {folder}",
                origin=path,
                hint="keep it where only its owner and root can replace it",
            )


def _links(path: Path) -> Iterator[Path]:
    """The symbolic links on the way to ``path``'s file (path_resolution(7)); opening it has shown that they end."""
    for name in (path.absolute(), *path.absolute().parents):
        if name.is_symlink():
            yield name
            yield from _links(name.parent / os.readlink(name))


def _refuse_mode(status: os.stat_result, path: Path, what: str) -> None:
    if status.st_mode & _OTHERS:
        raise ProfileError(
            f"{what} can be written by others than its owner (mode {stat.S_IMODE(status.st_mode):04o})",
            origin=path,
            hint=f"chmod go-w {path}",
        )
