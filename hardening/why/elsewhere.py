"""What else than the stack may have refused a call: the file's own mode, a file that is not there, the host, the program."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from hardening.base import files
from hardening.base.pointer import items, lookup
from hardening.launch.config.config_mounts import is_bind
from hardening.mechanism.denial import Caller, SystemCall

_DENIED = (errno.EACCES, errno.EPERM)
_NAMESPACES = {
    "CLONE_NEWUSER": "user", "CLONE_NEWNET": "net", "CLONE_NEWNS": "mnt", "CLONE_NEWPID": "pid", "CLONE_NEWUTS": "uts",
    "CLONE_NEWIPC": "ipc", "CLONE_NEWCGROUP": "cgroup", "CLONE_NEWTIME": "time",
}  # fmt: skip
#: What is wanted of a path, and the bit of a mode that gives it to others (inode(7)).
_BITS = {"read": 4, "list": 4, "write": 2, "execute": 1, "search": 1}


def reason(call: SystemCall, document: Mapping[str, Any], filters: int = 1) -> str:
    """What but the stack explains that a call failed under a configuration; empty where nothing is seen that does.
    ``filters`` is how many filters of system calls the launch itself has put on a process."""
    for look in (_full, _sysctl, _login, _mapped, _path):
        found = look(call, document)
        if found:
            return found
    if call.error in _DENIED and call.caller.filters > filters:
        return "the program's own sandbox may have: it has loaded a filter of system calls beside the stack's"
    return ""


def outside(document: Mapping[str, Any], path: str) -> str | None:
    """Where a path inside lies on the host, by the mounts of a configuration; None where only the container has it. A root
    that is made for a run, and named relative to its bundle, shows the host's own by its mounts."""
    root = str(lookup(document, "/root/path") or "")
    best, source, own = "", root if os.path.isabs(root) else "/", False
    if not path.startswith("/"):
        return None
    path = files.absolute(path)
    for mount in items(document, "/mounts"):
        place = str(lookup(mount, "/destination") or "").rstrip("/") or "/"
        if (path == place or files.is_below(path, place)) and len(place) >= len(best):
            bound = is_bind(lookup(mount, "/type"), lookup(mount, "/options") or ())
            best, source, own = place, str(lookup(mount, "/source") or ""), not bound
    if own:
        return None
    rest = path.removeprefix(best.rstrip("/")).lstrip("/")
    return files.join(source, rest) if rest else source


def mapped(document: Mapping[str, Any], kind: str, number: int) -> int:
    """A ``uid`` or ``gid`` inside as the host counts it; as it is where no user namespace has it."""
    for entry in items(document, f"/linux/{kind}Mappings"):
        if _holds(entry, number):
            return number - int(lookup(entry, "/containerID")) + int(lookup(entry, "/hostID"))
    return number


def _full(call: SystemCall, document: Mapping[str, Any]) -> str:
    if call.error not in (errno.ENOSPC, errno.EDQUOT) or not call.path:
        return ""
    place = outside(document, call.path)
    if place is None:
        return ""
    what = "the quota on it is used up" if call.error == errno.EDQUOT else "no space is left on it"
    return f"the file system of {_existing(place)} on the host: {what}"


def _path(call: SystemCall, document: Mapping[str, Any]) -> str:
    place = outside(document, call.path) if call.path else None
    if place is None:
        return ""
    if call.error in (errno.ENOENT, errno.ENOTDIR):
        missing = _missing(place)
        return f"the file itself: {missing} does not exist on the host either" if missing else ""
    if call.error == errno.EROFS:
        return _read_only(place)
    return _mode(call, place) if call.error in _DENIED else ""


def _missing(place: str) -> str:
    """The first part of a path that does not exist."""
    for part in (*reversed(PurePosixPath(place).parents), PurePosixPath(place)):
        if not os.path.lexists(part):
            return str(part)
        if not os.path.exists(part):
            return f"what the link {part} leads to"
    return ""


def _existing(place: str) -> str:
    return str(next((part for part in (Path(place), *Path(place).parents) if part.exists()), "/"))


def _read_only(place: str) -> str:
    found = _existing(place)
    try:
        flags = os.statvfs(found).f_flag
    except OSError:
        return ""
    return f"the host has mounted the file system of {found} read-only" if flags & os.ST_RDONLY else ""


def _mode(call: SystemCall, place: str) -> str:
    """The part of a path whose mode keeps the caller out."""
    for above in reversed(PurePosixPath(place).parents):
        found = _keeps_out(str(above), call.caller, 1)
        if found:
            return found
    wanted = sum({_BITS[name] for name in call.access if name in _BITS})
    if call.access & {"create", "remove"} or not os.path.lexists(place):
        return _keeps_out(files.parent(place), call.caller, 3)
    return _keeps_out(place, call.caller, wanted)


def _keeps_out(place: str, caller: Caller, wanted: int) -> str:
    try:
        status = os.stat(place)
    except OSError:
        return ""
    # A capability over the host's files: whoever has it in a user namespace of its own has it over ids mapped there alone.
    if wanted == 0 or (caller.uid == 0 and {"DAC_OVERRIDE", "DAC_READ_SEARCH"} & caller.capabilities):
        return ""
    shift = 6 if caller.uid == status.st_uid else 3 if caller.gid == status.st_gid else 0
    if (status.st_mode >> shift) & wanted == wanted:
        return ""
    mode = stat.filemode(status.st_mode)
    return (
        f"the file's own mode: {place} is {mode} of uid {status.st_uid} and gid {status.st_gid}, and uid {caller.uid} with "
        f"gid {caller.gid} asked (as the host counts)"
    )


def _sysctl(call: SystemCall, document: Mapping[str, Any]) -> str:
    name, why = _of_sysctl(call, document)
    if not name:
        return ""
    value = _read(f"/proc/sys/{name.replace('.', '/')}")
    return f"the host: {name} is {value}{why}" if value else ""


def _of_sysctl(call: SystemCall, document: Mapping[str, Any]) -> tuple[str, str]:
    """The setting of the host's kernel that answers a call, and what it means."""
    kinds = {str(lookup(item, "/type")) for item in items(document, "/linux/namespaces")}
    own_network = "network" in kinds
    words = set(call.text.replace("|", " ").replace(",", " ").split())
    if call.error in (errno.ENOSPC, errno.EUSERS) and call.name in ("unshare", "clone", "clone3"):
        kind = next((name for flag, name in _NAMESPACES.items() if flag in words), "user")
        return f"user.max_{kind}_namespaces", ""
    if call.error not in _DENIED:
        return "", ""
    if call.name == "socket" and "IPPROTO_ICMP" in words and not own_network:
        return "net.ipv4.ping_group_range", ", the groups that may ping without a capability"
    if call.name == "bind" and not own_network:
        port = call.address.rpartition(":")[2]
        first = _read("/proc/sys/net/ipv4/ip_unprivileged_port_start")
        if port.isdecimal() and first.isdecimal() and 0 < int(port) < int(first):
            return "net.ipv4.ip_unprivileged_port_start", ", and lower ports are root's"
    looks = call.name in ("ptrace", "process_vm_readv", "process_vm_writev")
    if looks and _read("/proc/sys/kernel/yama/ptrace_scope") not in ("", "0"):
        return "kernel.yama.ptrace_scope", " (ptrace(2))"
    if call.name == "perf_event_open":
        return "kernel.perf_event_paranoid", ""
    if call.name == "syslog" and _read("/proc/sys/kernel/dmesg_restrict") == "1":
        return "kernel.dmesg_restrict", ""
    if call.name == "bpf" and _read("/proc/sys/kernel/unprivileged_bpf_disabled") not in ("", "0"):
        return "kernel.unprivileged_bpf_disabled", ""
    if "CLONE_NEWUSER" in words:
        for name in ("kernel.apparmor_restrict_unprivileged_userns", "kernel.unprivileged_userns_clone"):
            value = _read(f"/proc/sys/{name.replace('.', '/')}")
            if value == ("1" if "apparmor" in name else "0"):
                return name, ""
    return "", ""


def _login(call: SystemCall, document: Mapping[str, Any]) -> str:
    if not call.path.endswith("/loginuid") or call.error not in _DENIED:
        return ""
    return (
        "the audit system: a login uid that is set is set once (pam_loginuid(8)), or by CAP_AUDIT_CONTROL of the host"
    )


def _mapped(call: SystemCall, document: Mapping[str, Any]) -> str:
    """Ids that the user namespace does not have."""
    if call.error != errno.EINVAL or not call.ids:
        return ""
    group = "gid" in call.name or "group" in call.name
    ranges = list(items(document, f"/linux/{'gid' if group else 'uid'}Mappings"))
    if not ranges:
        return ""
    for number in call.ids:
        if not any(_holds(entry, number) for entry in ranges):
            count = sum(int(lookup(entry, "/size") or 0) for entry in ranges)
            return (
                f"the ids of the caller: {number} is none of the {count} that the container has "
                f"(/etc/sub{'gid' if group else 'uid'} gives an ordinary user more)"
            )
    return ""


def _holds(entry: object, number: int) -> bool:
    first, size = lookup(entry, "/containerID"), lookup(entry, "/size")
    return isinstance(first, int) and isinstance(size, int) and first <= number < first + size


def _read(path: str) -> str:
    try:
        return " ".join(Path(path).read_text(encoding="ascii").split())
    except (OSError, UnicodeError):
        return ""
