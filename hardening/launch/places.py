"""Where things are: the state directory with its folders, the files of records, the names of launches in them, and programs.

| folder | one entry for each |
| --- | --- |
| `bundles` | bundle that is removed when its command ends (`hardening.bundles`) |
| `containers` | container that `hardening ps` shows (`hardening.launch.container_state`) |
| `runtimes` | container of another runtime (`hardening.launch.ociprogram`) |
| `plans` | command line, with a slot for each plan (`hardening.launch.plans`) |
| `records` | nothing but the file of records (`hardening.launch.sinks`) |
"""

from __future__ import annotations

from hardening.launch import files
from hardening.launch.system import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BUNDLES, CONTAINERS, RUNTIMES, PLANS, RECORDS = "bundles", "containers", "runtimes", "plans", "records"
#: Where other runtimes lie, whatever PATH the caller has: an ordinary user's often lacks sbin.
OF_RUNTIMES = ("/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/usr/sbin", "/bin", "/sbin")
#: Where newuidmap and newgidmap lie.
OF_HELPERS = ("/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin", "/run/wrappers/bin")
#: PATH of a command that is given none.
OF_COMMANDS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_VARIABLE = "HARDENING_STATE"
_OTHERS = 0o022  # the group and everybody else may write
_STICKY, _KIND, _LINK = 0o1000, 0o170000, 0o120000  # stat(2), inode(7)


def state(environment: Mapping[str, str], uid: int) -> str:
    """Where the state directory of a user is or would be; nothing is made or looked at. `OSError` for a user without a home
    directory who says nothing else."""
    explicit = environment.get(_VARIABLE)
    if explicit:
        return files.absolute(explicit)
    if uid == 0:
        return "/run/hardening"
    runtime = environment.get("XDG_RUNTIME_DIR")
    if runtime and runtime.startswith("/") and os.access(runtime, os.W_OK):
        return files.join(runtime, "hardening")
    home = environment["HOME"] if "HOME" in environment else _home()
    if home is None:
        raise OSError("the caller has no home directory")
    return files.join(environment.get("XDG_STATE_HOME") or f"{home.rstrip('/')}/.local/state", "hardening")


def of_records(environment: Mapping[str, str]) -> Iterator[str]:
    """The directories for the file of records, the best first: a place that outlives a session and a start of the
    machine, else one that does not. None lies in a state directory that somebody else could write."""
    explicit = environment.get(_VARIABLE)
    if explicit:
        # As the caller wrote it: who has no right to ask where they are can have an absolute one all the same.
        place = explicit if explicit.startswith("/") else files.absolute(explicit)
        if _may_be_own(place):
            yield files.join(place, RECORDS)
    if os.geteuid() == 0:
        yield from ("/var/log/hardening", f"/run/hardening/{RECORDS}")
    else:
        home = environment.get("HOME", "")
        place = environment.get("XDG_STATE_HOME") or (files.join(home, ".local/state") if home else "")
        if place.startswith("/"):
            yield files.join(place, f"hardening/{RECORDS}")
        # Another user's HOME comes along where nothing but the ids was changed. To ask the user database is slow.
        own = _home()
        if own not in (None, "", home):
            yield files.join(own, f".local/state/hardening/{RECORDS}")
        runtime = environment.get("XDG_RUNTIME_DIR", "")
        if runtime.startswith("/"):
            yield files.join(runtime, f"hardening/{RECORDS}")


def new_id() -> str:
    """A name for a launch, or a slot, that no other one has."""
    return os.urandom(6).hex()


def is_own(status: os.stat_result) -> bool:
    """Whether a file is the caller's, and can be written by nobody else."""
    return status.st_uid == os.geteuid() and not status.st_mode & _OTHERS


def is_of_root_or_own(status: os.stat_result) -> bool:
    """Whether a file is root's or the caller's, and can be written by nobody else."""
    return status.st_uid in (0, os.geteuid()) and not status.st_mode & _OTHERS


def require_safe_way(path: str) -> None:
    """Raise `OSError` where somebody else could put another file in the place of ``path``, or of a directory or link above
    it: by owning it, or by writing to where its name stands. In a sticky directory only the owner of a name can."""
    above = files.parent(path)
    while True:
        status = os.lstat(above)
        if status.st_uid not in (0, os.geteuid()) and not _is_unmapped(status.st_uid):
            raise PermissionError(f"{above} belongs to another user (uid {status.st_uid})")
        if status.st_mode & _KIND == _LINK:
            os.stat(above)  # which ends, or raises
            target = files.absolute(files.join(files.parent(above), files.decode(os.readlink(files.encode(above)))))
            require_safe_way(files.join(target, "."))
        elif status.st_mode & _OTHERS and not status.st_mode & _STICKY:
            raise PermissionError(f"others can write to {above}")
        if above == "/":
            return
        above = files.parent(above)


def _is_unmapped(uid: int) -> bool:
    """Whether this id stands for all those that a user namespace does not know, the host's root too (user_namespaces(7))."""
    if files.read("/proc/self/uid_map").split() == ["0", "0", "4294967295"]:
        return False
    return uid == int(files.read("/proc/sys/kernel/overflowuid"))


def _may_be_own(directory: str) -> bool:
    try:
        return is_own(os.lstat(directory))
    except FileNotFoundError:  # it will be made
        return True
    except OSError:
        return False


def _home() -> str | None:
    """The caller's home directory by the user database."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return None
