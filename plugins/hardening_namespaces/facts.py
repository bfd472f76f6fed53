"""What the kernel and the caller's account offer for namespaces."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import stat
from pathlib import Path

from hardening.base.places import OF_HELPERS
from hardening.base.values import frozen
from hardening.mechanism import inputs as look
from hardening.mechanism.host import Host
from hardening.mechanism.inputs import Inputs, Unknown
from hardening.mechanism.roles import HOST, PRIVATE
from hardening_namespaces.settings import TYPES, NamespacesSettings

#: TOML name -> name in /proc/PID/ns
PROC_NAMES = {name: "mnt" if name == "mount" else name for name in TYPES}
#: TOML name -> its flag of clone(2), which NS_GET_NSTYPE answers with (ioctl_ns(2))
_FLAGS = {
    "mount": 0x00020000,
    "cgroup": 0x02000000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
    "time": 0x00000080,
}
_NS_GET_NSTYPE = 0xB703

_EVERY_ID = ((0, 2**32 - 1),)

Ranges = tuple[tuple[int, int], ...]


@frozen
class NamespaceFacts:
    """``supported`` are TOML names; ``user_blocked`` says why the caller may not make user namespaces; ``subuids`` and
    ``subgids`` are the caller's (start, size) ranges; ``newuidmap`` is whether both setuid helpers are installed.

    ``given`` are the ranges of everybody in /etc/subuid and /etc/subgid, users or groups.
    ``own_uids`` and ``own_gids`` are the (start, size) ranges of ids that exist in the caller's own user namespace;
    ``exhausted`` are TOML names of which this host permits not one.
    """

    supported: frozenset[str]
    user_blocked: str
    subuids: Ranges
    subgids: Ranges
    newuidmap: bool
    own_uids: Ranges = _EVERY_ID
    own_gids: Ranges = _EVERY_ID
    given: Ranges = ()
    exhausted: frozenset[str] = frozenset()


def probe(host: Host) -> NamespaceFacts:
    """Read the facts from proc(5) and subuid(5)."""
    present = set(os.listdir("/proc/self/ns"))
    names = _account_names(host.uid)
    return NamespaceFacts(
        supported=frozenset(name for name, proc in PROC_NAMES.items() if proc in present),
        user_blocked=_user_blocked(host),
        subuids=_ranges(Path("/etc/subuid"), names),
        subgids=_ranges(Path("/etc/subgid"), names),
        newuidmap=all(_helper(name) for name in ("newuidmap", "newgidmap")),
        own_uids=_own_ids("uid_map"),
        own_gids=_own_ids("gid_map"),
        given=(*_ranges(Path("/etc/subuid")), *_ranges(Path("/etc/subgid"))),
        exhausted=frozenset(name for name, proc in PROC_NAMES.items() if _sysctl(f"user/max_{proc}_namespaces") == "0"),
    )


def inputs(settings: NamespacesSettings, host: Host) -> Inputs:
    """What decides the facts. A namespace that is joined may be another one at the next call, under the same name."""
    for name in TYPES:
        if settings.where(name) not in (PRIVATE, HOST):
            yield Unknown(f"namespaces.{name} is joined")
    yield look.Input("names", "/proc/self/ns")
    yield from look.kernel("/proc/self/uid_map", "/proc/self/gid_map", *(f"/proc/sys/{name}" for name in _sysctls()))
    yield from look.accounts(host.uid)
    for path in ("/etc/subuid", "/etc/subgid"):
        yield from look.file(path)
    for folder in OF_HELPERS:
        for helper in ("newuidmap", "newgidmap"):
            yield from look.program(f"{folder}/{helper}")
            yield from look.access("x", f"{folder}/{helper}")


def _sysctls() -> tuple[str, ...]:
    """The kernel settings that are read here."""
    limits = (f"user/max_{proc}_namespaces" for proc in PROC_NAMES.values())
    return (*limits, "kernel/unprivileged_userns_clone", "kernel/apparmor_restrict_unprivileged_userns")


def wrong_namespace(name: str, path: str) -> str:
    """Why the file at ``path`` cannot be joined as the namespace of a TOML name; empty where it can (ioctl_ns(2))."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        return f"{path} cannot be opened: {error.strerror}"
    try:
        flag = fcntl.ioctl(descriptor, _NS_GET_NSTYPE)
    except OSError:
        return f"{path} is not a namespace"
    finally:
        os.close(descriptor)
    if flag == _FLAGS[name]:
        return ""
    kind = next((other for other, value in _FLAGS.items() if value == flag), "unknown")
    return f"{path} is a {kind} namespace, not a {name} one"


def link_of(name: str, path: str) -> str | None:
    """The namespace at ``path`` as /proc/PID/ns shows it (``net:[4026531840]``), or None where it cannot be seen."""
    try:
        return f"{PROC_NAMES[name]}:[{os.stat(path).st_ino}]"
    except OSError:
        return None


def _account_names(uid: int) -> frozenset[str]:
    names = {str(uid)}
    # An id without an account can still be named by number in subuid(5).
    with contextlib.suppress(KeyError):
        names.add(pwd.getpwuid(uid).pw_name)
    return frozenset(names)


def _ranges(path: Path, names: frozenset[str] | None = None) -> Ranges:
    """The ranges of these names in a file of subuid(5), or of all."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        # Without the file, or the right to read it, there are no ranges: one id is mapped, and that is said.
        return ()
    found = []
    for line in lines:
        name, _, numbers = line.partition(":")
        start, _, size = numbers.partition(":")
        if (names is None or name in names) and start.isdecimal() and size.isdecimal():
            found.append((int(start), int(size)))
    return tuple(found)


def _own_ids(name: str) -> Ranges:
    rows = [line.split() for line in Path("/proc/self", name).read_text().splitlines()]
    return tuple((int(inside), int(size)) for inside, _, size in rows)


def _helper(name: str) -> bool:
    """Whether the helper is installed with the privilege that it needs: a setuid bit, or file capabilities."""
    for folder in OF_HELPERS:
        path = os.path.join(folder, name)
        if os.access(path, os.X_OK):
            return bool(os.stat(path).st_mode & stat.S_ISUID) or "security.capability" in os.listxattr(path)
    return False


def _user_blocked(host: Host) -> str:
    if _sysctl("user/max_user_namespaces") == "0":
        return "user.max_user_namespaces is 0"
    if not host.root and _sysctl("kernel/unprivileged_userns_clone") == "0":
        return "kernel.unprivileged_userns_clone is 0"
    if not host.root and _sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return "kernel.apparmor_restrict_unprivileged_userns is 1"
    return ""


def _sysctl(name: str) -> str | None:
    try:
        return Path("/proc/sys", name).read_text().strip()
    except FileNotFoundError:
        return None
