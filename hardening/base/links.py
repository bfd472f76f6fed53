"""Following the links on the way to a source, unless a container may have laid them.

A directory that one container can write may hold the source of another one's volume. A link that is put in its place
would show any directory of the host there (as in CVE-2021-25741).
"""

from __future__ import annotations

import _stat as stat
import errno

from hardening.base import files, trusted
from hardening.base.files import MAX_LINKS, Opened
from hardening.base.linux import abi, kernel
from hardening.base.linux.system import os

HINT = "name its target, or create the link as the user who launches"


class ForeignLinkError(OSError):
    """A link that belongs neither to root nor to the caller; ``hint`` says what a person can do about it."""

    hint = HINT


class MovedLinkError(OSError):
    """A link on the way of a place that was judged when its links had been followed; with a ``hint``, too."""

    hint = "remove the link, or compose this again"


def find(path: str) -> int:
    """Open a path (O_PATH). `ForeignLinkError` for a link on the way that is somebody else's, else what the kernel says."""
    try:
        return kernel.openat2(abi.AT_FDCWD, files.encode(path), os.O_PATH, abi.RESOLVE_NO_SYMLINKS)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
    # This is asked in the container's user namespace, where 0 is the command's own root, whose links are not followed.
    owners = trusted.root(), os.geteuid()
    here = _top(path)
    parts, links = path.split("/"), 0
    while parts:
        part = parts.pop(0)
        if part in ("", "."):
            continue
        parent, here = here, -1
        try:
            here = _open(parent, part, os.O_NOFOLLOW)
            target = _target(here, part, owners)
            if target is None:
                continue
            link, here = here, -1
            os.close(link)
            links += 1
            if links > MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            if not target:
                here = _open(parent, part)
                continue
            here = _top(target) if target.startswith("/") else os.dup(parent)
            parts = target.split("/") + parts
        except OSError:
            if here >= 0:
                os.close(here)
            raise
        finally:
            os.close(parent)
    return here


def find_judged(directory: int, path: bytes, flags: int = os.O_PATH, resolve: int = 0) -> int:
    """openat2(2) of a place that was judged: `MovedLinkError` for a link on the way, which leads to what nobody judged."""
    try:
        return kernel.openat2(directory, path, flags, resolve | abi.RESOLVE_NO_SYMLINKS)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise MovedLinkError(errno.ELOOP, "a link created since this was composed redirects it") from error


def find_source(path: str, bundle: str, *, judged: bool) -> int:
    """Open what a configuration shows of the host (O_PATH), relative paths from the directory of its bundle: by
    `find_judged` where it was ``judged``, else by `find`."""
    if not judged:
        return find(files.join(bundle, path))
    if path.startswith("/"):
        return find_judged(abi.AT_FDCWD, files.encode(path))
    with Opened(find(bundle)) as top:
        return find_judged(top, files.encode(path))


def require_none(directory: str, path: str) -> None:
    """`find_judged` of what a runtime mounts on below a directory. `OSError` also where it cannot be looked at; what is
    missing the runtime makes."""
    top = os.open(directory, os.O_PATH | os.O_CLOEXEC)
    try:
        os.close(find_judged(top, files.encode(path or ".")))
    except (FileNotFoundError, NotADirectoryError):
        pass
    except UnicodeEncodeError as error:
        raise OSError(errno.EILSEQ, os.strerror(errno.EILSEQ)) from error
    finally:
        os.close(top)


def _open(parent: int, name: str, flags: int = 0) -> int:
    return kernel.openat2(parent, files.encode(name), os.O_PATH | flags, 0)


def _top(path: str) -> int:
    """Where the way of a path begins."""
    return os.open("/" if path.startswith("/") else ".", os.O_PATH | os.O_CLOEXEC)


def _target(fd: int, name: str, owners: tuple[int, int]) -> str | None:
    """Where an open link leads, '' where only the kernel knows it; None for what is no link.

    The link is read by its descriptor, so that it cannot be replaced between the look and the use.
    """
    status = os.fstat(fd)
    if not stat.S_ISLNK(status.st_mode):
        return None
    if status.st_uid not in owners:
        raise ForeignLinkError(errno.EPERM, f"the link {name} belongs to uid {status.st_uid}")
    if status.st_dev == os.stat("/proc/self").st_dev:
        return ""
    return files.decode(os.readlink(b"", dir_fd=fd))
