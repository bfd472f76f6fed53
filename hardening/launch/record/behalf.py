"""Writing on behalf of who has called: a wrapper (sudoers(5), a set-user-ID program) lends its rights to a launch, and not
to files of the caller's choice."""

from __future__ import annotations

import _stat as stat
import errno

from hardening.base import files, links
from hardening.base.files import Opened
from hardening.base.linux import children
from hardening.base.linux.system import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Where wrappers tell root who has called: sudo(8) and run0(1), doas(1), pkexec(1).
_TELL = ("SUDO_UID", "DOAS_USER", "PKEXEC_UID")
HINT = f"write it where the caller may write; root itself, and for nobody else, is who calls without {', '.join(_TELL)}"


def caller() -> tuple[int, int] | None:
    """Uid and gid of who has called, where this process acts with the rights of another: the real ids, or whom a wrapper
    names to root. None where it acts for itself. Raises `PermissionError` where wrappers name several, or nobody that there
    is: none of them is the one to believe."""
    if os.getuid() != os.geteuid():
        return os.getuid(), os.getgid()
    if os.geteuid() != 0:
        return None
    environment = files.environment()
    found = {account for name in _TELL if (account := _account(name, environment)) is not None}
    if len(found) > 1:
        raise PermissionError(
            errno.EPERM, f"{', '.join(name for name in _TELL if name in environment)} name several callers"
        )
    return found.pop() if found else None


def _account(name: str, environment: Mapping[str, str]) -> tuple[int, int] | None:
    said = environment.get(name, "")
    if (name != "DOAS_USER" and not said.isdecimal()) or said in ("", "0", "root"):
        return None
    group = environment.get("SUDO_GID", "")
    if name == "SUDO_UID" and group.isdecimal():
        return int(said), int(group)
    import pwd

    try:
        account = pwd.getpwuid(int(said)) if said.isdecimal() else pwd.getpwnam(said)
    except KeyError:
        if said.isdecimal():
            return int(said), int(said)
        raise PermissionError(errno.EPERM, f"{name} names nobody") from None
    return (account.pw_uid, account.pw_gid) if account.pw_uid else None


def write(action: Callable[[], None]) -> None:
    """Have something written with no more rights than who has called has, and their primary group alone. `OSError`.

    A child gives the rights up for good, so that it is the kernel that judges each step of the way, when it is taken.
    """
    who = caller()
    if who is None:
        action()
        return
    uid, gid = who

    def act(writer: int) -> None:
        try:
            os.setgroups([gid])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            action()
        except OSError as error:
            os.write(writer, str(error.errno or errno.EIO).encode())

    answer, code = children.ask(act)
    if answer or code:
        number = int(answer or (errno.EIO if code > 0 else errno.EINTR))
        raise OSError(number, os.strerror(number))


def save(
    path: str, data: bytes, *, new: bool = False, own: bool = False, mode: int = 0o644, durable: bool = True
) -> None:
    """`write` the file that somebody has named, all of it or nothing. One that is there keeps its mode; there is none where
    it is to be ``new``, and none but theirs (`require_replaceable`) where it is to be their ``own``. Links on the way are
    followed where they are root's or of who writes: another user's folder, in which root writes, leads nowhere else. A
    device or a pipe is written to. `OSError`."""
    write(lambda: _save(path, data, new, own, mode, durable))


def _save(path: str, data: bytes, new: bool, own: bool, mode: int, durable: bool) -> None:
    if own:
        require_replaceable(path)
    if not new:
        try:
            with Opened(links.find(path)) as found:
                status = os.fstat(found)
                # What the kernel has opened is named as the kernel names it: without links.
                place = f"/proc/self/fd/{found}"
                if stat.S_IFMT(status.st_mode) not in (stat.S_IFREG, stat.S_IFDIR):
                    with Opened(os.open(place, os.O_WRONLY | os.O_CLOEXEC)) as stream:
                        files.write_all(stream, data)
                    return
                mode, path = stat.S_IMODE(status.st_mode), files.decode(os.readlink(files.encode(place)))
        except FileNotFoundError:
            pass
    with Opened(find_folder(path)) as there:
        name = files.base(path)
        if new:
            files.create(name, data, mode, there)
        else:
            files.replace(name, data, mode, there, durable=durable)


def make_folders(path: str) -> None:
    """`write` a directory, and those above it that are missing, where there is none; of links on the way as `save`.
    `OSError`."""
    write(lambda: _make_folders(path))


def _make_folders(path: str) -> None:
    try:
        os.close(links.find(path))
    except FileNotFoundError:
        if parent := path.rpartition("/")[0]:
            _make_folders(parent)
        with Opened(find_folder(path)) as there:
            os.mkdir(files.base(path), dir_fd=there)


def find_folder(path: str) -> int:
    """The directory in which a path has its last name (O_PATH). `OSError`, also for a link of another user's on the way."""
    folder = path.rpartition("/")[0]
    return links.find(folder or ("/" if path.startswith("/") else "."))


def require_replaceable(path: str) -> None:
    """`OSError` unless a path is free, or has a regular file of who writes: neither a link, nor anything else, nor somebody
    else's file is written over, nor what a link of another user's on the way leads to."""
    try:
        with Opened(find_folder(path)) as there:
            status = os.stat(files.base(path), dir_fd=there, follow_symlinks=False)
    except FileNotFoundError:
        return
    if status.st_mode & 0o170000 != 0o100000:
        raise OSError(errno.EEXIST, "it is not a regular file", path)
    if status.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "the file belongs to another user", path)
