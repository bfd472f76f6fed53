"""What is visible in a container that stands at its first instruction, looked at from inside by a process of ours.

That process enters the container's namespaces and reads: it executes nothing, writes nothing but parameters of namespaces
that it makes for itself, and is killed where something keeps it waiting. What it cannot look at is left out.
"""

from __future__ import annotations

import os
import stat

from hardening.base import jsontext
from hardening.base.files import Opened
from hardening.base.frozen import Frozen
from hardening.base.linux import abi, children, kernel
from hardening.base.linux.system import signal
from hardening.launch.config.model import DEFAULT_DEVICES
from hardening.launch.container.entering import OpenNamespaces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator
    from typing import Any

LONGEST = 20  # seconds
MOST = 4096  # entries of a root that is made of mount points
#: What differs between two new network namespaces, and what tells nothing.
_VOLATILE = ("net.ipv4.tcp_fastopen_key",)
_IPC = ("fs/mqueue", "kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/sem", "kernel/shmall", "kernel/shmmax",
        "kernel/shmmni", "kernel/shm_rmid_forced", "kernel/msg_next_id", "kernel/sem_next_id",
        "kernel/shm_next_id")  # fmt: skip
_NAMED = ("net", "ipc", "uts")
_SYSCTLS = "/proc/sys/"
_VALUE = 1 << 14  # bytes; few of the kernel's values have more, and a greater buffer costs time at each
#: What new namespaces of some types have: the value of each parameter, and `_effects`; by those types, and by whether a user
#: namespace of its own has them, to which the kernel shows fewer.
References = dict[str, tuple[dict[str, str], dict[str, dict[str, str]]]]


class Observation(Frozen):
    """What is to be looked at. ``paths`` are some in the container, ``mounts`` the places of its mounts, ``memory`` those of
    its own file systems in memory; ``nodes`` are the places of devices that its configuration makes; ``made`` says that its
    root was made for it; ``sysctls`` are the parameters that its configuration sets, ``variables`` those variables that it
    sets to the value of a profile; ``references`` are what was learnt of new namespaces from others that set the same."""

    paths: tuple[str, ...]
    mounts: frozenset[str]
    memory: tuple[str, ...]
    nodes: tuple[str, ...]
    made: bool
    sysctls: dict[str, str]
    variables: dict[str, str]
    references: References


def observe(pid: int, wanted: Observation) -> dict[str, object]:
    """What a container shows, by key: ``sysctls`` of namespaces of its own, with their values: those that its configuration
    sets, those that these change, and those that differ from new ones; ``new_sysctls``, the same of new ones; ``effects``,
    what each one that is set changes with it in new ones; ``references``, where new ones had to be made for that; ``uts``,
    the host and domain name; ``environment``, ``descriptors`` and ``personality`` of the process; ``paths``, what is at each
    path; ``devices``, what is in the places of the default devices; ``nodes``, each device in its own file systems in
    memory; and where its root was made for it ``tree``, all that is in the root's own mount.

    What stands at a path is told as ``absent``, ``null`` (the device), ``empty`` (a directory), ``shown`` or
    ``unreadable``; in the place of a device as its numbers, such as ``1:3``, or ``none``, a node
    with its type before them; an entry of the tree as
    ``mount``, ``directory``, ``file`` and its size, or ``link`` and its target.
    """
    told, _ = children.ask(lambda writer: _look(pid, writer, wanted))
    found: dict[str, object] = {}
    for line in told.split(b"\n")[:-1]:  # what was cut off is no line
        said: Any = jsontext.parse(line, "what was looked at")
        found |= said
    return found


def _look(pid: int, writer: int, wanted: Observation) -> None:
    """Be the process that looks."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    signal.alarm(LONGEST)

    def say(key: str, look: Callable[[], object]) -> None:
        try:
            os.write(writer, f"{jsontext.dump({key: look()})}\n".encode())
        except OSError:  # it cannot be looked at
            return

    try:
        spaces = OpenNamespaces(pid, "user", "net", "ipc", "uts", "mnt")
        # What was joined belongs to a user namespace further out, and only rights there enter it; the rest needs those of
        # the container's own.
        joined = [name for name in _NAMED if _entered(spaces, name)]
        kind = "user " if spaces.enter("user") else ""
        own = (*joined, *(name for name in _NAMED if spaces.enter(name)))
        say("environment", lambda: environment(f"/proc/{pid}", wanted.variables))
        say("descriptors", lambda: descriptors(f"/proc/{pid}"))
        say("personality", lambda: _read(f"/proc/{pid}/personality"))
        say("uts", lambda: {"hostname": os.uname().nodename, "domainname": _read("/proc/sys/kernel/domainname")})
        # Before the mount namespace, whose /proc need not show them.
        kind += " ".join(own)
        reference = wanted.references.get(kind)
        values = dict(_sysctls(own, reference[0] if reference else ()))
        if reference is None:
            kernel.unshare(abi.CLONE_NEWNET | abi.CLONE_NEWIPC)
            new = dict(_sysctls(own))
            reference = new, _effects(wanted.sysctls, own, new)
            say("references", lambda: {kind: reference})
        new, effects = reference
        told = {*wanted.sysctls, *(name for changed in effects.values() for name in changed), *_changes(new, values)}
        say("sysctls", lambda: {name: value for name, value in values.items() if name in told})
        say("new_sysctls", lambda: {name: value for name, value in new.items() if name in told})
        say("effects", lambda: effects)
        spaces.enter("mnt")
        root = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        say("paths", lambda: {path: _kind(root, path) for path in wanted.paths})
        say("devices", lambda: {path: _device(root, path) for path in DEFAULT_DEVICES})
        if wanted.made:
            say("tree", lambda: _tree(root, wanted.mounts))
        say("nodes", lambda: dict(_nodes(root, wanted)))  # the last, for there is no end to how many entries there are
    except (OSError, ValueError):  # the rest cannot be looked at
        return


def _entered(spaces: OpenNamespaces, name: str) -> bool:
    try:
        return spaces.enter(name)
    except PermissionError:
        return False


def _changes(before: dict[str, str], after: dict[str, str]) -> dict[str, str]:
    """The parameters that have another value after than before."""
    return {name: value for name, value in after.items() if before.get(name) != value and name not in _VOLATILE}


def _effects(wanted: dict[str, str], own: tuple[str, ...], values: dict[str, str]) -> dict[str, dict[str, str]]:
    """What setting each parameter changes, tried in namespaces of this process's own; nothing of one that it cannot set."""
    found = {}
    for name, value in wanted.items():
        try:
            with open(f"/proc/sys/{name.replace('.', '/')}", "w", encoding="utf-8") as file:
                file.write(value)
        except OSError:
            continue
        after = dict(_sysctls(own, values))
        found[name] = _changes(values, after)
        values = after
    return found


def _sysctls(own: tuple[str, ...], known: Container[str] = ()) -> Iterator[tuple[str, str]]:
    """The parameters of these namespaces of this process, of which some are ``known`` to be such."""
    places = [*(["net"] if "net" in own else []), *(_IPC if "ipc" in own else [])]
    for place in places:
        for directory, _, names in os.walk(_SYSCTLS + place):
            for name in names:
                yield from _sysctl(f"{directory}/{name}", known)
        yield from _sysctl(_SYSCTLS + place, known)


def _sysctl(path: str, known: Container[str]) -> Iterator[tuple[str, str]]:
    name = path.removeprefix(_SYSCTLS).replace("/", ".")
    try:
        if name in known or _is_parameter(os.stat(path).st_mode):
            yield name, _read(path)
    except OSError:  # not everybody may read it, or it has no value yet
        return


def _is_parameter(mode: int) -> bool:
    return stat.S_ISREG(mode) and bool(mode & 0o200) and bool(mode & 0o444)


def _read(path: str) -> str:
    """A file of the kernel's without the end of its last line. Five hundred are read for a receipt: a buffer of Python's
    for each would take three times as long."""
    with Opened(os.open(path, os.O_RDONLY | os.O_CLOEXEC)) as fd:
        data = piece = os.read(fd, _VALUE)
        while len(piece) == _VALUE:
            piece = os.read(fd, _VALUE)
            data += piece
    return data.decode("utf-8", "replace").rstrip("\n")


def _open(root: int, path: str) -> int:
    return kernel.openat2(root, os.fsencode(path.lstrip("/") or "."), os.O_PATH, abi.IN_ROOT)


def _kind(root: int, path: str) -> str:
    """What a path shows (see `observe`)."""
    try:
        fd = _open(root, path)
    except (FileNotFoundError, NotADirectoryError):
        return "absent"
    except OSError:
        return "unreadable"
    try:
        status = os.fstat(fd)
        if stat.S_ISCHR(status.st_mode) and status.st_rdev == os.makedev(1, 3):
            return "null"
        if stat.S_ISDIR(status.st_mode):
            with Opened(os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)) as directory:
                return "shown" if os.listdir(directory) else "empty"
        return "shown"  # of the kernel's own files none has a size
    except OSError:
        return "unreadable"
    finally:
        os.close(fd)


def _device(root: int, path: str) -> str:
    """The numbers of the device in a place, or ``none`` (see `observe`)."""
    try:
        fd = _open(root, path)
    except OSError:
        return "none"
    with Opened(fd):
        status = os.fstat(fd)
        if not stat.S_ISCHR(status.st_mode):
            return "none"
        return f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"


def _nodes(root: int, wanted: Observation) -> Iterator[tuple[str, str]]:
    """The devices that are no mounts, by path."""
    for path in wanted.nodes:
        if path not in wanted.mounts:
            try:
                with Opened(_open(root, path)) as fd:
                    yield from _node(path, os.fstat(fd))
            except (FileNotFoundError, NotADirectoryError):
                continue
    for top in wanted.memory:
        fd = _open(root, top)
        own, is_directory = os.fstat(fd).st_dev, stat.S_ISDIR(os.fstat(fd).st_mode)
        # Of runc's mounts some are a file of such a file system.
        for directory, names, others, at in os.fwalk(".", dir_fd=fd, onerror=_fail) if is_directory else ():
            place = os.path.normpath(os.path.join(top, directory))
            status = {name: os.stat(name, dir_fd=at, follow_symlinks=False) for name in (*names, *others)}
            names[:] = [name for name in names if status[name].st_dev == own]
            for name in others:
                path = os.path.join(place, name)
                if path not in wanted.mounts:
                    yield from _node(path, status[name])
        os.close(fd)


def _fail(error: OSError) -> None:
    raise error


def _node(path: str, status: os.stat_result) -> Iterator[tuple[str, str]]:
    kind = "c" if stat.S_ISCHR(status.st_mode) else "b" if stat.S_ISBLK(status.st_mode) else ""
    if kind:
        yield path, f"{kind} {os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"


def _tree(root: int, mounts: frozenset[str]) -> dict[str, str]:
    """The entries of the root's own mount by path. `OSError` where there are too many for one that was made."""
    found: dict[str, str] = {}
    waiting = ["/"]
    while waiting:
        directory = waiting.pop()
        with Opened(
            os.open(directory.lstrip("/") or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=root)
        ) as fd:
            for name in os.listdir(fd):
                path = f"{directory.rstrip('/')}/{name}"
                found[path] = "mount" if path in mounts else _entry(name, fd)
                if found[path] == "directory":
                    waiting.append(path)
        if len(found) > MOST:
            raise OSError(f"more than {MOST} entries")
    return found


def _entry(name: str, directory: int) -> str:
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if stat.S_ISDIR(status.st_mode):
        return "directory"
    if stat.S_ISLNK(status.st_mode):
        return f"link {os.readlink(name, dir_fd=directory)}"
    return f"file {status.st_size}" if stat.S_ISREG(status.st_mode) else "special"


def environment(place: str, known: dict[str, str]) -> dict[str, str | None] | None:
    """The names of a process's variables, each with its value where that is the ``known`` one. Any other may be a secret and
    is None; so is that of a name that is there twice, of which programs take the one or the other."""
    try:
        with open(f"{place}/environ", "rb") as file:
            entries = os.fsdecode(file.read()).split("\0")
    except OSError:
        return None
    found: dict[str, str | None] = {}
    for name, equals, value in (entry.partition("=") for entry in entries):
        if equals:
            found[name] = value if known.get(name) == value and name not in found else None
    return found


def descriptors(place: str) -> list[int] | None:
    """The numbers of the open descriptors of a process; None where they may not be read."""
    try:
        return sorted(map(int, os.listdir(f"{place}/fd")))
    except OSError:
        return None
