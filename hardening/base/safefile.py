"""Files that decide what is permitted: read only where nobody else could have written them (`hardening.base.trusted`)."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from enum import Enum
from pathlib import Path

from hardening.base import trusted
from hardening.errors import ProfileError


class Owner(Enum):
    """Whose file it may be: root's, whatever the caller's rights, the caller's or root's, or that of anybody, who is trusted
    then, as whoever named it by its path has chosen."""

    ROOT = "root"
    OWN = "own"
    ANY = "any"


def read(path: Path, what: str, longest: int, *, hint: str, owner: Owner = Owner.ANY) -> bytes:
    """The bytes of the regular file at ``path``, called ``what`` in messages, at most ``longest`` of them.

    Raises `ProfileError` (with ``hint`` where it cannot be opened) for a file that is missing, unreadable, not regular, too
    large, not of an ``owner`` as is asked for, or that others than its owner and root could have written or replaced:
    through its own mode, a symbolic link on the way, or a directory above it.
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
        among = _trusted(owner, status.st_uid)
        trusted.require(status, what, str(path), descriptor, among)
        trusted.require_secure_path(str(path), among)
        with os.fdopen(os.dup(descriptor), "rb") as file:
            data = file.read(longest + 1)
    except trusted.UntrustedError as error:
        raise ProfileError(str(error), origin=path, hint=error.hint) from None
    except OSError as error:
        raise ProfileError(f"cannot read {what}: {error.strerror}", origin=path, hint=hint) from None
    finally:
        os.close(descriptor)
    if len(data) > longest:
        raise ProfileError(f"{what} is larger than {longest} bytes", origin=path, hint="split it")
    return data


def _trusted(owner: Owner, uid: int) -> Collection[int]:
    among = trusted.owners()
    if owner is Owner.ROOT:
        return among - {os.geteuid()} | {0}
    return among | {uid} if owner is Owner.ANY else among
