"""Writing on behalf of who has called: a wrapper (sudoers(5), a set-user-ID program) lends its rights to a launch, and not
to files of the caller's choice."""

from __future__ import annotations

import errno

from hardening.launch import files
from hardening.launch.system import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

HINT = "write it where the caller may write; root itself, and not for somebody else, is who calls without SUDO_UID"


def caller() -> tuple[int, int] | None:
    """Uid and gid of who has called, where this process acts with the rights of another: the real ids, or whom sudo(8)
    names to root. None where it acts for itself."""
    if os.getuid() != os.geteuid():
        return os.getuid(), os.getgid()
    environment = files.environment()
    ids = [environment.get(name, "") for name in ("SUDO_UID", "SUDO_GID")]
    if os.geteuid() != 0 or not ids[0].isdecimal() or int(ids[0]) == 0:
        return None
    return int(ids[0]), int(ids[1]) if ids[1].isdecimal() else int(ids[0])


def write(action: Callable[[], None]) -> None:
    """Have something written with no more rights than who has called has, and their primary group alone. `OSError`.

    A child gives the rights up for good, so that it is the kernel that judges each step of the way, when it is taken.
    """
    who = caller()
    if who is None:
        action()
        return
    child = os.fork()
    if child == 0:
        code = errno.EIO
        try:
            uid, gid = who
            os.setgroups([gid])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            action()
            code = 0
        except OSError as error:
            code = error.errno or errno.EIO
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        number = code if code > 0 else errno.EINTR
        raise OSError(number, os.strerror(number))


def require_replaceable(path: str) -> None:
    """`OSError` unless a path is free, or has a regular file of who writes: neither a link, nor anything else, nor somebody
    else's file is written over."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    if status.st_mode & 0o170000 != 0o100000:
        raise OSError(errno.EEXIST, "something else than a regular file is there", path)
    if status.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "the file there belongs to somebody else", path)
