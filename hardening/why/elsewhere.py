"""What else than the stack may have refused a call: the file's own mode, a file that is not there, the host, the program."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from hardening.base import files
from hardening.base.linux import abi
from hardening.base.pointer import items, lookup
from hardening.launch.config.config_mounts import is_bind
from hardening.launch.config.confinement import helpers
from hardening.launch.native.lookup import interpreter
from hardening.launch.supervise.signal_forwarder import read_status
from hardening.mechanism.denial import DENIALS, MISSING, Caller, SystemCall
from hardening.mechanism.evidence import GIVING
from hardening.mechanism.mechanism import Context
from hardening.mechanism.outside import found as file_of
from hardening.mechanism.outside import is_own_root, is_reached, withheld
from hardening.why import copies

_NAMESPACES = {
    abi.CLONE_NEWUSER: "user", abi.CLONE_NEWNET: "net", abi.CLONE_NEWNS: "mnt", abi.CLONE_NEWPID: "pid",
    abi.CLONE_NEWUTS: "uts", abi.CLONE_NEWIPC: "ipc", abi.CLONE_NEWCGROUP: "cgroup", abi.CLONE_NEWTIME: "time",
}  # fmt: skip
#: Sockets that some groups may ping by without a capability (icmp(7)): family, type and protocol.
_PING = ((socket.AF_INET, socket.SOCK_DGRAM, 1), (socket.AF_INET6, socket.SOCK_DGRAM, 58))
#: What forbids an ordinary user a user namespace, by the value that does.
_USER_NAMESPACES = {"kernel.apparmor_restrict_unprivileged_userns": "1", "kernel.unprivileged_userns_clone": "0"}
_EXECUTION = ("execve", "execveat")
#: What the kernel answers whoever asks, by what it says of a file or an address.
_OF_ITSELF = {
    errno.EEXIST: "it is there already", errno.ENOTEMPTY: "the directory is not empty", errno.EISDIR: "it is a directory",
    errno.ELOOP: "too many levels of symbolic links", errno.ENAMETOOLONG: "the name is too long",
    errno.ETXTBSY: "text file busy: somebody has it open to write to it",
    errno.EADDRINUSE: "address already in use", errno.ECONNREFUSED: "connection refused: nobody listens there",
}  # fmt: skip
#: Calls that yama looks at, and the value with which no capability helps.
_TRACING, _NO_TRACING = ("ptrace", "process_vm_readv", "process_vm_writev"), 3
#: The process of perf_event_open(2) that stands for all of them: -1.
_EVERYBODY = 0xFFFFFFFF
#: What is answered of a kind of sockets that there is not (socket(2)), and the bits of a number there.
_NO_SOCKET, _INT = (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT), 0x7FFFFFFF
#: Where the host's kernel shows its settings.
SYSCTLS = Path("/proc/sys")


def reason(call: SystemCall, document: Mapping[str, Any], context: Context, *, is_certain: bool = False) -> str:
    """What but the stack explains that a call failed under a configuration; empty where nothing is seen that does. Where it
    ``is_certain`` that the stack has answered it, the host's kernel is not asked what it was never asked: for a kind of
    sockets that nobody has made it would load a module."""
    for look in (_sysctl, _full, _login, _family, _path):
        found = "" if is_certain and look is _family else look(call, document)
        if found:
            return found
    return _mode(call, context) or _account(call, context) or _owner(call, context) or _sandbox(call, document)


def of_itself(call: SystemCall) -> str:
    """What a call failed for whoever makes it; empty where its errno may mean that somebody may not."""
    about = call.path or call.address
    return f"{about}: {_OF_ITSELF[call.error]}" if about and call.error in _OF_ITSELF else ""


def folder(call: SystemCall, document: Mapping[str, Any]) -> str:
    """How a command is given the folder where the caller stands, where it looks for a file of that in its own working
    directory; empty where it does not."""
    inside, here = str(lookup(document, "/process/cwd") or "/"), os.getcwd()
    below = call.path.removeprefix(inside).lstrip("/")
    if call.error != errno.ENOENT or not below or not files.is_below(call.path, inside):
        return ""
    if outside(document, inside) == here or not os.path.lexists(files.join(here, below)):
        return ""
    return (
        f"{below} is looked for in {inside}, where the command starts; it is where you stand, a folder that the command "
        f'is shown and started in with -v "$PWD:$PWD" -w "$PWD" ("$PWD:$PWD:ro" where it only reads)'
    )


def _sandbox(call: SystemCall, document: Mapping[str, Any]) -> str:
    """What a program has confined itself by: a filter of system calls beside those that a command starts with, for whoever
    launches it has some, and the stack one; or a domain of Landlock."""
    inherited = int(read_status("self").get("Seccomp_filters", "0"))
    own = "the program's own sandbox may have: it"
    if call.error in DENIALS and call.caller.filters > inherited + bool(lookup(document, "/linux/seccomp")):
        return f"{own} has loaded a filter of system calls beside the stack's"
    # A helper before the command may have confined it, and not it itself.
    if call.error in (errno.EACCES, errno.EXDEV) and call.caller.is_confined and not helpers(document):
        return f"{own} has confined itself to some files and ports (landlock(7))"
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


def _full(call: SystemCall, document: Mapping[str, Any]) -> str:
    if call.error not in (errno.ENOSPC, errno.EDQUOT) or not call.path:
        return ""
    place = outside(document, call.path)
    if place is None:
        return ""
    place = _existing(place)
    if call.error == errno.ENOSPC and not _is_full(place):
        return ""
    what = "the quota on it is used up" if call.error == errno.EDQUOT else "no space is left on it"
    return f"the file system of {place} on the host: {what}"


def _is_full(place: str) -> bool:
    """Whether a file system has no free block, or no free inode; one that counts none has as many as it wants."""
    try:
        found = os.statvfs(place)
    except OSError:
        return False
    return bool((found.f_blocks and not found.f_bavail) or (found.f_files and not found.f_favail))


def _path(call: SystemCall, document: Mapping[str, Any]) -> str:
    place = outside(document, call.path) if call.path else None
    if place is None:
        return ""
    if call.error in MISSING:
        missing, names = _missing(place), ""
        if not missing and call.name in _EXECUTION:  # the kernel says so of a script where its interpreter is missing
            named = interpreter(place)
            its_place = outside(document, named)
            missing, names = _missing(its_place) if its_place is not None else "", f"{place} names {named}, and "
        return f"the file itself: {names}{missing} does not exist on the host either" if missing else ""
    if call.error == errno.EROFS:
        return _mounted(place, os.ST_RDONLY, "read-only")
    if call.error == errno.EACCES and call.name in _EXECUTION:
        return _mounted(place, os.ST_NOEXEC, "noexec")
    return _kept(place) if call.error == errno.EPERM else ""


def _missing(place: str) -> str:
    """The first part of a path that does not exist."""
    for part in (*reversed(PurePosixPath(place).parents), PurePosixPath(place)):
        if not os.path.lexists(part):
            return str(part)
        if not os.path.exists(part):
            return f"what the link {part} leads to"
    return ""


def _existing(place: str) -> str:
    return str(next((part for part in (Path(place), *Path(place).parents) if os.path.exists(part)), "/"))


def _mounted(place: str, flag: int, how: str) -> str:
    found = _existing(place)
    try:
        flags = os.statvfs(found).f_flag
    except OSError:
        return ""
    return f"the host has mounted the file system of {found} {how}" if flags & flag else ""


def outlasts_copies(call: SystemCall, document: Mapping[str, Any]) -> bool:
    """Whether an attribute of the file keeps its writers out, which no copy has: a run with one shows nothing of that."""
    place = outside(document, call.path) if "write" in call.access else None
    return bool(place and _kept(place))


def _kept(place: str) -> str:
    """The file, or the folder that holds it, whose attribute keeps everybody from writing to it (chattr(1))."""
    for part in (place, os.path.dirname(place)):
        kept = copies.kept_as(part)
        if kept:
            return f"the file's own attribute: {part} is {kept} on the host (chattr(1))"
    return ""


def _mode(call: SystemCall, context: Context) -> str:
    """The file on the way to a path whose mode keeps the caller out. One with a list of access control has no say here: its
    mode is not all that decides (acl(5))."""
    found = withheld(context, call) if call.error == errno.EACCES else None
    if found is None or found[0].has_list:
        return ""
    (seen, right), caller = found, call.caller
    has_right = _has_on_host(caller, "DAC_OVERRIDE", "DAC_READ_SEARCH")
    if seen.lets_root(right) and (has_right or (is_own_root(context, caller) and not is_reached(context, seen))):
        return ""
    return (
        f"the file's own mode: {seen.place} is {stat.filemode(seen.mode)} of uid {seen.uid} and gid {seen.gid}, and uid "
        f"{caller.uid} with gid {caller.gid} asked (as the host counts)"
    )


def _account(call: SystemCall, context: Context) -> str:
    """The caller's own account, which chown(2) lets give no file away that no capability inside reaches, with a stack or
    without."""
    caller = call.caller
    is_own = not context.host.root and caller.uid == context.host.uid and "CHOWN" not in caller.capabilities
    if call.error != errno.EPERM or call.name not in GIVING or not is_own:
        return ""
    seen = file_of(context, call, call.path) if call.path else None
    if seen is not None and is_reached(context, seen):
        return ""
    return f"the caller's own account: uid {caller.uid} may give no file to anybody else, without a stack either (chown(2))"


def _owner(call: SystemCall, context: Context) -> str:
    """The file, or the one in a sticky folder, that nobody but its owner changes or removes (chmod(2), utimensat(2),
    unlink(2)), where no capability that the command can be given reaches it."""
    seen = file_of(context, call, call.path) if call.error == errno.EPERM and call.path else None
    if seen is None or seen.uid == call.caller.uid or is_reached(context, seen) or is_own_root(context, call.caller):
        return ""
    above = file_of(context, call, os.path.dirname(call.path)) if "remove" in call.access else None
    keeps = above is not None and above.mode & stat.S_ISVTX and above.uid != call.caller.uid
    if not (keeps or "change" in call.access):
        return ""
    where = f" in the sticky folder {above.place}" if above is not None and keeps else ""
    return (
        f"the file's own owner: {seen.place}{where} is uid {seen.uid}'s, and uid {call.caller.uid} asked (as the host "
        "counts)"
    )


def _has_on_host(caller: Caller, *names: str) -> bool:
    """Whether a process has one of these capabilities over what is the host's: whoever has it in a user namespace of its own
    has it over that alone, and is another user there."""
    return caller.uid == 0 and not caller.capabilities.isdisjoint(names)


def _sysctl(call: SystemCall, document: Mapping[str, Any]) -> str:
    name, why = _of_sysctl(call, document)
    value = _value(name) if name else ""
    return f"the host: {name} is {value}{why}" if value else ""


def _of_sysctl(call: SystemCall, document: Mapping[str, Any]) -> tuple[str, str]:
    """The setting of the host's kernel that answers a call, and what it means."""
    kinds = {str(lookup(item, "/type")) for item in items(document, "/linux/namespaces")}
    own_network = "network" in kinds
    if call.error in (errno.ENOSPC, errno.EUSERS) and call.name in ("unshare", "clone", "clone3"):
        kind = next((name for flag, name in _NAMESPACES.items() if flag & call.new_namespaces), "user")
        return f"user.max_{kind}_namespaces", ""
    if call.error == errno.ENOSPC and call.name == "inotify_add_watch":
        return "fs.inotify.max_user_watches", " (inotify(7))"
    if call.error not in DENIALS:
        return "", ""
    if call.name == "socket" and _is_ping(call) and not own_network:
        first, last = map(int, (_value("net.ipv4.ping_group_range") or "1 0").split())
        if not first <= call.caller.gid <= last:
            return "net.ipv4.ping_group_range", ", the groups that may ping without a capability"
    if call.name == "bind" and not own_network:
        port = call.address.rpartition(":")[2]
        if port.isdecimal() and 0 < int(port) < _number("net.ipv4.ip_unprivileged_port_start"):
            return "net.ipv4.ip_unprivileged_port_start", ", and lower ports are root's"
    # Below that a capability in the command's own namespace is enough, which is the stack's to give.
    if call.name in _TRACING and _number("kernel.yama.ptrace_scope") == _NO_TRACING:
        return "kernel.yama.ptrace_scope", ", and nobody may trace (ptrace(2))"
    if call.name == "perf_event_open" and _is_paranoid(call):
        return "kernel.perf_event_paranoid", " (perf_event_open(2))"
    if call.name == "syslog" and _number("kernel.dmesg_restrict") == 1:
        return "kernel.dmesg_restrict", ""
    if call.name == "bpf" and _number("kernel.unprivileged_bpf_disabled") > 0:
        return "kernel.unprivileged_bpf_disabled", ""
    if call.new_namespaces & abi.CLONE_NEWUSER:
        for name, forbids in _USER_NAMESPACES.items():
            if _value(name) == forbids:
                return name, ""
    return "", ""


def _is_ping(call: SystemCall) -> bool:
    family, kind, protocol = (number & _INT for number in call.arguments[:3])
    return (family, kind & ~(socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC), protocol) in _PING


def _is_paranoid(call: SystemCall) -> bool:
    """Whether the host's value keeps others than root from what a call would measure: above 0 all that a processor does,
    above 1 the kernel's part of the caller's own work, above 2 anything (on Debian)."""
    most = {_EVERYBODY: 0, 0: 1}.get(call.arguments[1] & 0xFFFFFFFF, 2)
    privileged = _has_on_host(call.caller, "PERFMON", "SYS_ADMIN")
    return call.error == errno.EACCES and not privileged and _number("kernel.perf_event_paranoid") > most


def _login(call: SystemCall, document: Mapping[str, Any]) -> str:
    if not call.path.endswith("/loginuid") or call.error not in DENIALS:
        return ""
    return (
        "the audit system: a login uid that is set is set once (pam_loginuid(8)), or by CAP_AUDIT_CONTROL of the host"
    )


def _family(call: SystemCall, document: Mapping[str, Any]) -> str:
    """A kind of sockets that the host's kernel has not, which says so to anybody."""
    if call.name != "socket" or call.error not in _NO_SOCKET:
        return ""
    try:
        socket.socket(*(number & _INT for number in call.arguments[:3])).close()
    except OSError as error:
        return "the host's kernel has no such sockets" if error.errno == call.error else ""
    return ""


def _number(name: str) -> int:
    """The value of a setting of the host's kernel; -1 where it has none, as where that forbids nothing."""
    try:
        return int(_value(name))
    except ValueError:
        return -1


def _value(name: str) -> str:
    try:
        return " ".join(SYSCTLS.joinpath(*name.split(".")).read_text(encoding="ascii").split())
    except (OSError, UnicodeError):
        return ""
