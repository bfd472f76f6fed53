"""Why a system call failed, where a namespace of the command's own, or its map of ids, is the reason (``hardening why``)."""

from __future__ import annotations

import errno
import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import attrs

from hardening.mechanism.denial import Cause, Size, SystemCall, Way
from hardening.mechanism.evidence import GIVING
from hardening.mechanism.idmaps import outside
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import HOST, PRIVATE
from hardening_namespaces.settings import NamespacesSettings, sysctl_name, sysctl_namespace

#: What the kernel says of an address that no device of a network namespace leads to.
_NO_WAY = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN)
_SENDING = ("connect", "sendto", "sendmsg", "sendmmsg")
#: how somebody is reached; one datagram by one, too
_REACHED = {"accept": "tcp", "accept4": "tcp", "recvfrom": "udp"}
#: calls that want an id -> whether it is a user's; those of chown(2) want one of each
_USERS = dict.fromkeys(("setuid", "setreuid", "setresuid", "setfsuid"), True)
_GROUPS = dict.fromkeys(("setgid", "setregid", "setresgid", "setfsgid", "setgroups"), False)
_IDS: Mapping[str, bool] = {
    f"{name}{wide}": user for name, user in {**_USERS, **_GROUPS}.items() for wide in ("", "32")
}
_UNCHANGED = 0xFFFFFFFF
#: calls that name a process -> which of their arguments does
_PROCESSES: Mapping[str, int] = {
    **dict.fromkeys(("kill", "tgkill", "tkill", "pidfd_open", "prlimit64", "getpgid", "getsid", "kcmp"), 0),
    **dict.fromkeys(("process_vm_readv", "process_vm_writev", "sched_setaffinity", "sched_setscheduler"), 0),
    **dict.fromkeys(("ptrace", "setpriority"), 1),
}
#: calls that find a System V object by its key -> where the host lists them (proc_sysvipc(5))
_OBJECTS = {"shmget": "shm", "semget": "sem", "msgget": "msg"}


def denied(settings: NamespacesSettings, context: Context, call: SystemCall) -> Iterator[Cause]:
    """The causes. What the host keeps from everybody in a namespace is none."""
    for causes in (_of_network, _of_ids, _of_process, _of_object, _of_name, _of_sysctl):
        yield from causes(settings, context, call)


def _is_private(settings: NamespacesSettings, context: Context, name: str) -> bool:
    return settings.where(name) == PRIVATE and not context.lacks(f"namespaces.{name}")


def _shared(name: str) -> Way:
    # Of the network a command gets the connections that somebody typed it for; of any other, what is the host's and stays.
    return Way(f"namespaces.{name}", HOST, Size.WIDER, reaches_host=name != "net")


def _of_network(settings: NamespacesSettings, context: Context, call: SystemCall) -> Iterator[Cause]:
    """What a network of the command's own leads to: nothing but itself."""
    if call.name not in (*_SENDING, *_REACHED, "bind") or not _is_private(settings, context, "net"):
        return
    kind, _, where = call.address.partition(" ")
    if call.name in _REACHED:
        if kind == _REACHED[call.name] and not call.outcome and (kind == "tcp" or call.is_question):
            what = f"nobody but the command itself reaches {call.address}: the network is private"
            yield Cause("namespaces.net", what, (_shared("net"),), certain=True)
        return
    if call.name == "bind":
        yield from _of_address(call, where.rpartition(":")[0].strip("[]"))
        return
    ways = (_shared("net"),)
    advice = 'or join one that has what it needs: namespaces.net = "/proc/PID/ns/net"'
    if kind == "unix":
        if where.startswith("@") and call.failed_with(errno.ECONNREFUSED) and where in _abstract():
            what = f"the socket {where} is the host's, and abstract names belong to a network"
            yield Cause("namespaces.net", what, ways, advice)
        return
    host, _, port = where.rpartition(":")
    if kind in ("tcp", "udp") and _is_loopback(host):
        # Whoever listens there on the host is not reached; where nobody does, it is as it would be on the host.
        if call.failed_with(errno.ECONNREFUSED, errno.ECONNABORTED) and port.isdecimal() and _listens(kind, int(port)):
            what = f"{call.address} is a service of the host's, and the network is the command's own"
            yield Cause("namespaces.net", what, ways, advice)
        elif call.is_question and not call.outcome:  # who will listen there is not known yet
            what = (
                f"only who is in the command's own network is reached at {call.address}, and no service of the host's"
            )
            yield Cause("namespaces.net", what, ways, advice)
    elif call.failed_with(*_NO_WAY) and kind not in ("netlink", ""):
        what = f"{call.address} cannot be reached: the network is private, with a loopback device and nothing else"
        yield Cause("namespaces.net", what, ways, advice, certain=call.error == errno.ENETUNREACH)


def _of_address(call: SystemCall, host: str) -> Iterator[Cause]:
    """An address that a device of the host's has."""
    with suppress(ValueError):
        address = ipaddress.ip_address(host)
        if call.failed_with(errno.EADDRNOTAVAIL) and not address.is_loopback and not address.is_unspecified:
            what = f"no device of the private network has the address {host}"
            yield Cause("namespaces.net", what, (_shared("net"),), "bind 0.0.0.0, or the loopback address")


def _is_loopback(host: str) -> bool:
    """Whether an address, or the name of one, is the loopback device's."""
    with suppress(ValueError):
        address = ipaddress.ip_address(host.strip("[]"))
        return address.is_loopback or address.is_unspecified
    return host == "localhost"


def _abstract() -> frozenset[str]:
    """The abstract names on the host, with ``@`` before them (proc_pid_net(5), unix)."""
    return frozenset(" ".join(row[7:]) for row in _rows("/proc/net/unix", 8) if row[7].startswith("@"))


def _listens(kind: str, port: int) -> bool:
    """Whether somebody on the host has a port, of TCP as who listens (proc_pid_net(5), tcp)."""
    rows = [row for version in ("", "6") for row in _rows(f"/proc/net/{kind}{version}", 4)]
    return any(int(row[1].rpartition(":")[2], 16) == port and (kind == "udp" or row[3] == "0A") for row in rows)


def _keys(kind: str) -> frozenset[int]:
    """The keys of the host's objects, as arguments have them: 32 bits without a sign."""
    return frozenset(int(row[0]) & 0xFFFFFFFF for row in _rows(f"/proc/sysvipc/{kind}", 1))


def _rows(path: str, columns: int) -> Iterable[list[str]]:
    """The rows of a table of the kernel's that have so many columns; none of one that is not there."""
    try:
        lines = Path(path).read_text(errors="surrogateescape").splitlines()
    except OSError:
        return ()
    return [row for row in map(str.split, lines[1:]) if len(row) >= columns]


def _of_process(settings: NamespacesSettings, context: Context, call: SystemCall) -> Iterator[Cause]:
    """A process of the host's that somebody would name: no thread of the kernel, whose ids are like those of the command's
    own processes."""
    index = _PROCESSES.get(call.name)
    if index is None or call.error != errno.ESRCH or not _is_private(settings, context, "pid"):
        return
    pid = call.arguments[index]
    with suppress(OSError):
        if Path(f"/proc/{pid}/cmdline").read_bytes():
            what = f"process {pid} is the host's, and the command sees its own alone"
            yield Cause("namespaces.pid", what, (_shared("pid"),))


def _of_object(settings: NamespacesSettings, context: Context, call: SystemCall) -> Iterator[Cause]:
    """A System V object of the host's."""
    kind = _OBJECTS.get(call.name)
    if kind is None or call.error != errno.ENOENT or not _is_private(settings, context, "ipc"):
        return
    key = call.arguments[0] & 0xFFFFFFFF
    if key in _keys(kind):
        what = f"the host has an object of the key {key:#x}, and the command sees its own alone"
        yield Cause("namespaces.ipc", what, (_shared("ipc"),))


def _of_name(settings: NamespacesSettings, context: Context, call: SystemCall) -> Iterator[Cause]:
    """The host's own name, out of a user namespace."""
    named = call.name in ("sethostname", "setdomainname") and call.failed_with(errno.EPERM)
    if named and settings.uts == HOST and settings.user == PRIVATE:
        what = "the name is the host's, which nobody in a user namespace may change"
        yield Cause("namespaces.uts", what, (Way("namespaces.uts", PRIVATE),))


def _of_ids(settings: NamespacesSettings, context: Context, call: SystemCall) -> Iterator[Cause]:
    maps = settings.id_maps(context.host) if _is_private(settings, context, "user") else None
    if maps is None or call.name not in (*_IDS, *GIVING):
        return
    leaf = "namespaces.uid_map" if settings.uid_map else "namespaces.id_map"
    limited = _limited(settings, context)
    if call.name.startswith("setgroups") and call.failed_with(errno.EPERM) and _denies_groups(settings, context):
        what = "setgroups is denied to who mapped its ids itself (/proc/self/setgroups), whatever its capabilities"
        yield Cause(leaf, what, _more_ids(settings, context), limited)
    if call.error != errno.EINVAL:
        return
    for number, is_user in _wanted(call):
        ranges = maps.uids if is_user else maps.gids
        if number != _UNCHANGED and outside(ranges, number) is None:
            kind = "user" if is_user else "group"
            known = ", ".join(f"{item.inside}-{item.inside + item.size - 1}" for item in ranges)
            what = f"{kind} {number} is not mapped: the command knows {known}"
            ways = _more_ids(settings, context, number, is_user=is_user)
            stated = f'map it: namespaces.uid_map and gid_map, each with "{number}:OUTSIDE:1" beside what they have'
            yield Cause(leaf, what, ways, "" if ways else limited or stated, certain=True)
            return


def _wanted(call: SystemCall) -> Iterator[tuple[int, bool]]:
    """The ids that a call wants, and whether each is a user's."""
    at = GIVING.get(call.name)
    if at is None:
        yield from ((number, _IDS[call.name]) for number in call.ids)
    else:
        yield from zip((number & _UNCHANGED for number in call.arguments[at : at + 2]), (True, False), strict=True)


def _limited(settings: NamespacesSettings, context: Context) -> str:
    """Why the caller has not as many ids to map as containers usually have; empty where they have."""
    usual = attrs.evolve(settings, id_map="auto", uid_map=(), gid_map=()).id_maps(context.host)
    return usual.limited if usual is not None else ""


def _denies_groups(settings: NamespacesSettings, context: Context) -> bool:
    """Whether the kernel lets nobody in the namespace set groups: an ordinary user's map of one id that no helper wrote
    (user_namespaces(7))."""
    maps = settings.id_maps(context.host)
    return maps is not None and not context.host.root and not maps.needs_helpers(context.host)


def _more_ids(
    settings: NamespacesSettings, context: Context, number: int | None = None, *, is_user: bool = True
) -> tuple[Way, ...]:
    """The other ways of mapping ids that know an id, or of which helpers write the map; the strictest first."""
    found = []
    for kind in ("auto", "keep-id", "root"):
        other = attrs.evolve(settings, id_map=kind, uid_map=(), gid_map=())
        maps = other.id_maps(context.host)
        if maps is None or maps.limited or kind == settings.id_map or settings.uid_map:
            continue
        knows = number is None or outside(maps.uids if is_user else maps.gids, number) is not None
        if knows and not _denies_groups(other, context):
            found.append(Way("namespaces.id_map", kind, Size.CALL))
    return tuple(found)


def _of_sysctl(settings: NamespacesSettings, context: Context, call: SystemCall) -> Iterator[Cause]:
    """A parameter of the kernel of a namespace of the command's own, which its profile says and no process sets."""
    if not call.path.startswith("/proc/sys/") or "write" not in call.access:
        return
    name = sysctl_name(call.path.removeprefix("/proc/sys/"))
    namespace = sysctl_namespace(name)
    if namespace is None or not call.failed_with(errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT):
        return
    leaf = f"namespaces.sysctls.{name}"
    if _is_private(settings, context, namespace):
        advice = f'have the profile set it: namespaces.sysctls."{name}" = "VALUE"'
        yield Cause(leaf, f"{name} is set by the profile, before the command starts", advice=advice)
