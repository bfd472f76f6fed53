"""What the kernel and the caller's account offer for namespaces, and what is missing for the settings."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import stat
from collections.abc import Iterable
from pathlib import Path

import attrs

from hardening.base.linux import abi
from hardening.base.places import OF_HELPERS
from hardening.errors import ProfileError
from hardening.mechanism import inputs as host_inputs
from hardening.mechanism.host import Host
from hardening.mechanism.idmaps import IdMaps, IdRange, parse
from hardening.mechanism.inputs import Input, Inputs, Unknown
from hardening.mechanism.mechanism import Context, Unsupported
from hardening.mechanism.roles import HOST, PRIVATE
from hardening_namespaces.facts import NamespaceFacts, Ranges, within
from hardening_namespaces.settings import TYPES, NamespacesSettings, sysctl_namespace

#: TOML name -> name in /proc/PID/ns
PROC_NAMES = {name: "mnt" if name == "mount" else name for name in TYPES}
#: TOML name -> its flag of clone(2), which NS_GET_NSTYPE answers with (ioctl_ns(2))
_FLAGS = {
    "mount": abi.CLONE_NEWNS,
    "cgroup": abi.CLONE_NEWCGROUP,
    "uts": abi.CLONE_NEWUTS,
    "ipc": abi.CLONE_NEWIPC,
    "user": abi.CLONE_NEWUSER,
    "pid": abi.CLONE_NEWPID,
    "net": abi.CLONE_NEWNET,
    "time": abi.CLONE_NEWTIME,
}


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


def assumed(host: Host) -> NamespaceFacts:
    """All namespaces, and a range of subordinate ids."""
    ids = ((100_000, 65_536),)
    return NamespaceFacts(frozenset(PROC_NAMES), "", ids, ids, newuidmap=True, given=ids)


def inputs(settings: NamespacesSettings, context: Context) -> Inputs:
    """What decides the facts. A namespace that is joined may be another one at the next call, under the same name."""
    for name in TYPES:
        if settings.where(name) not in (PRIVATE, HOST):
            yield Unknown(f"namespaces.{name} is joined")
    yield Input("names", "/proc/self/ns")
    yield from host_inputs.kernel(
        "/proc/self/uid_map", "/proc/self/gid_map", *(f"/proc/sys/{name}" for name in _sysctls())
    )
    yield from host_inputs.accounts(context.host.uid)
    for path in ("/etc/subuid", "/etc/subgid"):
        yield from host_inputs.file(path)
    for folder in OF_HELPERS:
        for helper in ("newuidmap", "newgidmap"):
            yield from host_inputs.program(f"{folder}/{helper}")
            yield from host_inputs.access("x", f"{folder}/{helper}")


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
        flag = fcntl.ioctl(descriptor, abi.NS_GET_NSTYPE)
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
    return tuple((item.inside, item.size) for item in parse(Path("/proc/self", name).read_text()))


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


def check(settings: NamespacesSettings, context: Context) -> Iterable[Unsupported]:
    """What this host cannot give of the settings; raises `ProfileError` for settings that do not go together."""
    _require_consistent(settings)
    for lacking in _check_namespaces(settings, context):
        yield attrs.evolve(lacking, also=_gone_with(settings, lacking.leaf.partition(".")[2]))
    maps = settings.id_maps(context.host)
    if maps is not None:
        yield from _check_maps(maps, context.host, context.host.of(NamespaceFacts))


def _check_namespaces(settings: NamespacesSettings, context: Context) -> Iterable[Unsupported]:
    facts = context.host.of(NamespaceFacts)
    for name in TYPES:
        yield from _check_one(name, settings.where(name), facts)
    if settings.user == PRIVATE and facts.user_blocked:
        yield Unsupported(
            "namespaces.user", facts.user_blocked, "ask the administrator to permit user namespaces, or run as root"
        )
    elif settings.user == HOST and not context.host.root:
        yield Unsupported(
            "namespaces.user",
            "without root, every other namespace needs a private user namespace",
            'set user = "private"',
        )


def _gone_with(settings: NamespacesSettings, name: str) -> tuple[str, ...]:
    """The leaves of what is only ever done in a namespace of the command's own: maps of ids, and sysctls."""
    maps = ("id_map", "uid_map", "gid_map") if name == "user" and settings.user == PRIVATE else ()
    sysctls = (f"sysctls.{key}" for key in settings.sysctls.named if sysctl_namespace(key) == name)
    return tuple(f"namespaces.{leaf}" for leaf in (*maps, *sysctls))


def _check_one(name: str, where: str, facts: NamespaceFacts) -> Iterable[Unsupported]:
    leaf = f"namespaces.{name}"
    if where == PRIVATE:
        if name not in facts.supported:
            yield Unsupported(leaf, f"this kernel has no {name} namespaces", f'set {name} = "host"')
        elif name in facts.exhausted and name != "user":
            yield Unsupported(
                leaf, f"this host permits not one new {name} namespace", "raise it in /proc/sys/user/max_*_namespaces"
            )
    elif where != HOST:
        reason = wrong_namespace(name, where)
        if reason:
            yield Unsupported(leaf, reason, "name a namespace that exists and that you may join: /proc/PID/ns/…")


def _require_consistent(settings: NamespacesSettings) -> None:
    """What no setting shows alone."""
    if settings.mount == HOST and settings.user != HOST:
        raise ProfileError(
            'namespaces.mount = "host" does not go with a user namespace: it has no rights over the host\'s mounts',
            hint='set namespaces.mount = "private", or namespaces.user = "host" as root',
        )
    if bool(settings.uid_map) != bool(settings.gid_map):
        said, missing = ("uid_map", "gid_map") if settings.uid_map else ("gid_map", "uid_map")
        raise ProfileError(
            f"namespaces.{said} needs a namespaces.{missing} beside it", hint=f'set {missing} = ["0:100000:65536"]'
        )
    for name, value in settings.sysctls.named.items():
        namespace = sysctl_namespace(name)
        if value and namespace is not None and settings.where(namespace) != PRIVATE:
            raise ProfileError(
                f"namespaces.sysctls.{name} needs a private {namespace} namespace: another is not only the command's",
                hint=f'set namespaces.{namespace} = "private"',
            )


def _check_maps(maps: IdMaps, host: Host, facts: NamespaceFacts) -> Iterable[Unsupported]:
    if host.root:
        yield from _check_own("uid_map", maps.uids, facts.own_uids)
        yield from _check_own("gid_map", maps.gids, facts.own_gids)
        return
    if not maps.needs_helpers(host):
        return
    if not facts.newuidmap:
        yield Unsupported(
            "namespaces.uid_map",
            "newuidmap and newgidmap are not installed, or lack their setuid bit",
            "install uidmap (shadow-utils)",
        )
    for leaf, ranges, own, allowed, file in (
        ("uid_map", maps.uids, host.uid, facts.subuids, "/etc/subuid"),
        ("gid_map", maps.gids, host.gid, facts.subgids, "/etc/subgid"),
    ):
        for item in ranges:
            if not within(item, allowed) and not (item.size == 1 and item.outside == own):
                yield Unsupported(
                    f"namespaces.{leaf}",
                    f"{item} is outside the caller's ranges in {file}",
                    "have the range added: usermod --add-subuids START-END --add-subgids START-END USER",
                )


def _check_own(leaf: str, ranges: Iterable[IdRange], own: Ranges) -> Iterable[Unsupported]:
    for item in ranges:
        if not within(item, own):
            yield Unsupported(
                f"namespaces.{leaf}",
                f"{item} names ids that the caller's own user namespace does not have",
                "name outside ids of /proc/self/uid_map and gid_map",
            )
