"""Files read whole, those that decide what is permitted only where nobody else could have written them
(`hardening.base.trusted`), and files that are there whole or not at all: whoever is killed over them, and whatever the host
loses when it goes down.

A file is written under a name that nobody reads, flushed to the disk, and gets its own name then. Until it is whole, only
the caller can read it, whatever the umask and whatever its mode is to be. Who was killed leaves a name that begins with
`files.PARTIAL`, which may be removed by who holds the directory.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path

from hardening.base import files, trusted
from hardening.base.text import nearest
from hardening.errors import HardeningError, ProfileError

#: The errors of a disk without room, or of a quota that is used up.
FULL = (errno.ENOSPC, errno.EDQUOT)
ROOM = "free space on that disk"


#: Where a process has the descriptors that it was given: a pipe there has somebody at its other end.
_GIVEN = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")


class Owner(Enum):
    """Whose file it may be: root's, whatever the caller's rights, the caller's or root's, or that of anybody, who is trusted
    then, as whoever named it by its path has chosen."""

    ROOT = "root"
    OWN = "own"
    ANY = "any"


def read(path: str | Path, longest: int | None = None) -> bytes:
    """The content of a regular file, of which no more than ``longest`` bytes and one are read. A FIFO, in which nobody may
    ever write, and a device, which may have no end, are refused at once; a pipe that was handed over (`<(…)` of a shell) is
    read. Raises `OSError`."""
    if os.fspath(path).startswith(_GIVEN) and stat.S_ISFIFO(os.stat(path).st_mode):
        # Its writer may be gone by now, for whom opening it would wait (fifo(7)).
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(descriptor, True)
    else:
        descriptor = files.open_file(os.fspath(path), follow=True)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(-1 if longest is None else longest + 1)


def read_trusted(path: Path, what: str, longest: int, *, hint: str, owner: Owner = Owner.ANY) -> bytes:
    """The bytes of the regular file at ``path``, called ``what`` in messages, at most ``longest`` of them.

    Raises `ProfileError` (with ``hint`` where it cannot be opened) for a file that is missing, unreadable, not regular, too
    large, not of an ``owner`` as is asked for, or that others than its owner and root could have written or replaced:
    through its own mode, a symbolic link on the way, or a directory above it.
    """
    try:
        with os.fdopen(files.open_file(str(path), follow=True), "rb") as file:
            status = os.fstat(file.fileno())
            among = _trusted(owner, status.st_uid)
            trusted.require(status, what, str(path), file.fileno(), among)
            trusted.require_secure_path(str(path), among)
            data = file.read(longest + 1)
    except trusted.UntrustedError as error:
        raise ProfileError(str(error), origin=path, hint=error.hint) from None
    except OSError as error:
        beside = nearest_file(path) if isinstance(error, FileNotFoundError) else None
        raise ProfileError(f"cannot read {what}: {error.strerror}", origin=path, hint=beside or hint) from None
    if len(data) > longest:
        raise ProfileError(f"{what} is larger than {longest} bytes", origin=path, hint="split it")
    return data


def nearest_file(path: Path) -> str | None:
    """A hint that names the file beside one that is not there whose name is closest, of those of its kind; or None."""
    with suppress(OSError):
        return nearest(path.name, [name for name in os.listdir(path.parent) if name.endswith(path.suffix)])
    return None


def write(
    path: Path,
    data: bytes,
    mode: int | None = None,
    *,
    new: int = 0o644,
    durable: bool = True,
    within: Path | None = None,
) -> None:
    """Have ``data`` under a name, in the place of what has it now. Without a mode, that of the file that is replaced is
    kept; a ``new`` one gets that. ``within`` is where it is written, on the same file system, in the place of its own
    directory. What is not ``durable`` may be empty after a crash of the host. Raises `OSError`; then all is as it was."""
    files.replace(
        str(path),
        data,
        _mode(path, new) if mode is None else mode,
        within=str(within) if within is not None else "",
        durable=durable,
    )


def add(folder: Path, data: bytes, names: Iterable[str], mode: int) -> Path | None:
    """Have ``data`` in a file of its own, under the first of some names that is free; None where none is. Of two who add at
    once each gets a name. Raises `OSError`; then nothing is left, unless the disk fails at the last (EIO of fsync(2))."""
    partial = folder / f"{files.PARTIAL}{os.urandom(6).hex()}"
    with files.open_names(str(folder)) as opened:
        files.create(str(partial), data, mode, durable=True)
        try:
            for path in map(folder.joinpath, names):
                with suppress(FileExistsError):
                    os.link(partial, path)
                    return path
            return None
        finally:
            with suppress(FileNotFoundError):
                os.unlink(partial)
            os.fsync(opened)


@contextmanager
def errors_as(kind: type[HardeningError], what: str, *, origin: object, hint: str, room: str = ROOM) -> Iterator[None]:
    """Raise an `OSError` as an error of some kind; ``room`` is the hint where a disk is full, ``hint`` else."""
    try:
        yield
    except OSError as error:
        remedy = room if error.errno in FULL else hint
        raise kind(f"{what}: {error.strerror or error}", origin=origin, hint=remedy) from None


def _mode(path: Path, new: int) -> int:
    try:
        return stat.S_IMODE(os.stat(path).st_mode)
    except FileNotFoundError:
        return new


def _trusted(owner: Owner, uid: int) -> Collection[int]:
    among = trusted.owners()
    if owner is Owner.ROOT:
        return among - {os.geteuid()} | {0}
    return among | {uid} if owner is Owner.ANY else among
