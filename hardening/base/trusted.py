"""Who could have written what decides something: one rule for profiles, keys, policies, bundles, cache entries, stores and
records.

Trusted are root, the caller, and whom a caller of these functions adds. What belongs to one of them counts as long as
nobody else could have written it, or put something else in its place. The caller's own group is nobody else
(`hardening.base.linux.group`).
"""

from __future__ import annotations

from hardening.base import files
from hardening.base.linux.system import os
from hardening.errors import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

_GROUP, _OTHERS = 0o020, 0o022  # the group, and everybody else too, may write
_STICKY, _KIND, _LINK, _FOLDER = 0o1000, 0o170000, 0o120000, 0o040000  # stat(2), inode(7)
_ELOOP = 40
_COPY = "use a copy that belongs to you, in a directory of yours, once you have read it"


class UntrustedError(PermissionError):
    """Somebody else could have written something, or put it where it is; ``hint`` is what to do about it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def root() -> int:
    """The uid that the host's root is seen by: in a user namespace the one that stands for everybody whom it does not map
    (user_namespaces(7), unmapped user and group IDs)."""
    everybody = files.read("/proc/self/uid_map").split() == ["0", "0", "4294967295"]
    return 0 if everybody else overflow_id()


def overflow_id() -> int:
    """The uid by which a user namespace shows everybody whom it does not map."""
    return int(files.read("/proc/sys/kernel/overflowuid"))


def owners() -> frozenset[int]:
    """Root, by both of its uids in a user namespace, and the caller."""
    return frozenset({0, root(), os.geteuid()})


def _is_trusted(uid: int, trusted: Collection[int] | None) -> bool:
    # Most are found without a look at /proc.
    return uid in (0, os.geteuid()) or uid in owners() if trusted is None else uid in trusted


def others_can_write(status: os.stat_result, place: str | int) -> bool:
    """Whether anybody but its owner can write what lies at a path or behind a descriptor."""
    mode = status.st_mode & _OTHERS
    if mode != _GROUP:
        return bool(mode)
    from hardening.base.linux.group import is_private  # which hardly any path asks for

    return not is_private(place, status.st_uid, status.st_gid)


def is_own(status: os.stat_result, place: str | int) -> bool:
    """Whether something is the caller's, and can be written by nobody else."""
    return status.st_uid == os.geteuid() and not others_can_write(status, place)


def is_of_root_or_own(status: os.stat_result, place: str | int) -> bool:
    """Whether something is root's or the caller's, and can be written by nobody else."""
    return status.st_uid in (0, os.geteuid()) and not others_can_write(status, place)


def require(
    status: os.stat_result,
    what: str,
    path: str,
    place: str | int,
    trusted: Collection[int] | None = None,
    *,
    sticky: bool = True,
) -> None:
    """Raise `UntrustedError`, in which ``what`` names it, where something at a ``path`` (or, opened, at ``place``) belongs
    to somebody who is not ``trusted``, or can be written by others. In a sticky directory only its owner and those of its
    names can take these away, or give them to something else (unlink(2)), which is enough where ``sticky``."""
    mine = status.st_uid == os.geteuid()
    if not _is_trusted(status.st_uid, trusted):
        raise UntrustedError(f"{what} belongs to another user (uid {status.st_uid})", _COPY)
    if sticky and status.st_mode & _KIND == _FOLDER and status.st_mode & _STICKY:
        return
    if others_can_write(status, place):
        hint = _mend(path) if mine and not status.st_mode & _STICKY else "keep it where only you and root can write"
        raise UntrustedError(
            f"{what} can be written by others than its owner (mode {status.st_mode & 0o7777:04o})", hint
        )


def _mend(path: str) -> str:
    """The command after which nobody else writes to what is the caller's: for all of a tree that was made with another
    umask, where the folders above are the same."""
    top = path if ".." in path.split("/") else _tree(path)
    return f"chmod go-w {quoted(path)}" if top == path else f"chmod -R go-w {quoted(top)}"


def _tree(path: str) -> str:
    """The highest of the folders above, one after another, that the caller's umask left open to others, or ``path``. What is
    root's, or of another group, may be open on purpose."""
    while os.geteuid():
        try:
            above = files.parent(files.join(os.getcwd(), path))
            status = os.lstat(above)
            own = (status.st_uid, status.st_gid) == (os.geteuid(), os.getegid())
            if not own or status.st_mode & (_KIND | _STICKY) != _FOLDER or not others_can_write(status, above):
                break
        except OSError:  # of a folder that the caller cannot search
            break
        path = above
    return path


def require_secure_path(path: str, trusted: Collection[int] | None = None, *, makes: bool = True) -> None:
    """Raise `OSError` where somebody who is not ``trusted`` (by default `owners`) could put another file in the place of
    ``path``: by owning a directory in which one of its names stands, a link on the way, or a name in a sticky directory, or
    by writing to one that is not sticky. A name that is missing from a sticky directory anybody could put there: it is an
    error unless the caller ``makes`` it, and looks whose it is then."""
    here = "/" if path.startswith("/") else os.getcwd()
    pending = path.split("/")[::-1]
    secure: dict[str, bool] = {}  # whether owners of names can move them
    if here != "/":
        pending += here.split("/")[::-1]
        here = "/"
    links = 0
    while pending:
        part = pending.pop()
        if part in ("", "."):
            continue
        if part == "..":
            here = files.parent(here)
            continue
        if here not in secure:
            status = os.lstat(here)
            require(status, here, here, here, trusted)
            secure[here] = bool(status.st_mode & _OTHERS)
        name = files.join(here, part)
        try:
            status = os.lstat(name)
        except FileNotFoundError:
            if not makes:
                require(os.lstat(here), here, here, here, trusted, sticky=False)
            return
        is_link = status.st_mode & _KIND == _LINK
        if (is_link or secure[here]) and not _is_trusted(status.st_uid, trusted):
            what, hint = (f"the link {name}", f"rm {quoted(name)}") if is_link else (name, _COPY)
            raise UntrustedError(f"{what} belongs to another user (uid {status.st_uid})", hint)
        if not is_link:
            here = name
            continue
        links += 1
        if links > files.MAX_LINKS:
            raise OSError(_ELOOP, os.strerror(_ELOOP), path)
        target = files.decode(os.readlink(files.encode(name)))
        here = "/" if target.startswith("/") else here
        pending += target.split("/")[::-1]
