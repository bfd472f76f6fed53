"""The `[namespaces]` table."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import attrs

from hardening.base.text import nearest
from hardening.base.values import frozen
from hardening.mechanism.host import Host
from hardening.mechanism.idmaps import IdMaps, IdRange
from hardening.mechanism.kinds import Choice, Exact, Unordered
from hardening.mechanism.roles import HOST, PRIVATE, Isolation
from hardening.mechanism.schema import Members, Schema, Statement, family, read_table, scalar
from hardening.profile.source import Node
from hardening_namespaces import idmaps

#: Names in TOML and in /proc/PID/ns -> types of the OCI runtime spec (config-linux, Namespaces).
TYPES = {
    "pid": "pid",
    "mount": "mount",
    "ipc": "ipc",
    "uts": "uts",
    "net": "network",
    "cgroup": "cgroup",
    "user": "user",
    "time": "time",
}

_HOSTNAME = r"[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?"
#: namespaced sysctls -> the namespace that must be private (network_namespaces(7), ipc_namespaces(7)); a name that ends
#: with a dot stands for all below it
_SYSCTLS = {
    "net.": "net",
    "fs.mqueue.": "ipc",
    "kernel.msgmax": "ipc",
    "kernel.msgmnb": "ipc",
    "kernel.msgmni": "ipc",
    "kernel.sem": "ipc",
    "kernel.shmall": "ipc",
    "kernel.shmmax": "ipc",
    "kernel.shmmni": "ipc",
    "kernel.shm_rmid_forced": "ipc",
}
#: Names of one parameter of the kernel: the second is the one that is composed (net/ipv4/devinet.c, ctl_forward_entry).
_ALIASES = {"net.ipv4.conf.all.forwarding": "net.ipv4.ip_forward"}
#: How older names end of parameters, and the names that say all of their values (net/core/neighbour.c, net/ipv6/route.c,
#: net/mptcp/ctrl.c).
_COARSE = {
    "base_reachable_time": "base_reachable_time_ms",
    "retrans_time": "retrans_time_ms",
    "unres_qlen": "unres_qlen_bytes",
    "gc_min_interval": "gc_min_interval_ms",
    "pm_type": "path_manager",
}
#: Parameters that give their value to those of each interface, and of interfaces to come: how the names of these begin and
#: end (net/ipv4/devinet.c, inet_forward_change; net/ipv6/addrconf.c).
_SPREADING = {"net.ipv4.ip_forward": ("net.ipv4.conf.", ".forwarding")} | {
    f"net.ipv6.conf.all.{name}": ("net.ipv6.conf.", f".{name}")
    for name in ("forwarding", "force_forwarding", "disable_ipv6", "addr_gen_mode", "ignore_routes_with_linkdown")
}


def _namespace(node: Node) -> str:
    value = node.string()
    if value in (PRIVATE, HOST) or value.startswith("/"):
        return value
    hint = nearest(value, (PRIVATE, HOST)) or 'to join: "/proc/PID/ns/net"'
    raise node.error(f'"{value}" is neither private, host nor an absolute path', hint=hint)


def _network(node: Node) -> str:
    # podman's word for a network namespace with nothing but loopback in it, which a private one is here.
    return PRIVATE if node.raw == "none" else _namespace(node)


def _ranges(node: Node) -> tuple[IdRange, ...]:
    ranges = []
    for item in node.items():
        parts = item.string().split(":")
        if len(parts) not in (2, 3) or not all(part.isdecimal() and len(part) < 11 for part in parts):
            raise item.error(
                f'"{item.raw}" is not an id range', hint='write "inside:outside:size", as in "0:100000:65536"'
            )
        inside, outside, size = (*map(int, parts), 1)[:3]
        if not size or inside + size > 2**32 - 1 or outside + size > 2**32 - 1:
            raise item.error(
                "the range is empty, or goes beyond the ids there are",
                hint="ids go up to 4294967294, and a size from 1 on",
            )
        ranges.append(IdRange(inside, outside, size))
    _refuse_overlap(node, ranges)
    return tuple(sorted(ranges))


def _refuse_overlap(node: Node, ranges: list[IdRange]) -> None:
    for side in ("inside", "outside"):
        ordered = sorted(ranges, key=lambda item: getattr(item, side))
        for first, second in itertools.pairwise(ordered):
            if getattr(first, side) + first.size > getattr(second, side):
                raise node.error(
                    f"{first} and {second} overlap", hint="each id belongs to one range: shorten one of them"
                )


@frozen(eq=False)
class IdMapKind(Exact[tuple[IdRange, ...]]):
    """Explicit id maps: equal or incomparable."""

    def show(self, value: tuple[IdRange, ...]) -> str:
        return " ".join(map(str, value)) or "none"

    def dump(self, value: tuple[IdRange, ...]) -> object:
        return [str(item) for item in value]


#: The ways of mapping ids that give at most as much as `keep-id`, and the same ids.
_WITHIN_KEPT = ("auto", "one-id")


@frozen(eq=False)
class IdMapping(Choice):
    """The ways of `id_map`: ``auto`` and ``one-id`` cannot be compared. For root, one id means host root's own; for
    others, the fewer ids of ``one-id`` come with supplementary groups that cannot be dropped (user_namespaces(7),
    setgroups). ``root`` can be compared with none: what is the caller inside is another id with any other way."""

    values: tuple[str, ...] = (*_WITHIN_KEPT, "keep-id", "root")

    def is_no_looser_than(self, a: str, b: str) -> bool:
        return a == b or (b == "keep-id" and a in _WITHIN_KEPT)

    def intersect(self, a: str, b: str) -> str | None:  # type: ignore[override]
        return a if self.is_no_looser_than(a, b) else b if self.is_no_looser_than(b, a) else None


def _host_name(node: Node) -> str:
    value = node.string()
    if value and not re.fullmatch(_HOSTNAME, value):
        raise node.error(f'"{value}" is not a host name', hint="letters, digits, dots and hyphens, at most 64")
    return value


def sysctl_namespace(name: str) -> str | None:
    """The namespace that a sysctl belongs to, or None for one that is the whole host's."""
    return _SYSCTLS.get(name) or next(
        (namespace for prefix, namespace in _SYSCTLS.items() if prefix.endswith(".") and name.startswith(prefix)), None
    )


def sysctl_name(name: str) -> str:
    """The one name of a sysctl, with dots between its parts, the form that every runtime takes."""
    dotted = name.replace("/", ".")
    return _ALIASES.get(dotted, dotted)


def spreads(name: str, other: str) -> bool:
    """Whether setting one sysctl gives another one its value, too."""
    begin, end = _SPREADING.get(name, ("", ""))
    return bool(end) and other != name and other.startswith(begin) and other.endswith(end)


def _sysctl(node: Node) -> str:
    name = sysctl_name(node.string())
    if sysctl_namespace(name) is None or not re.fullmatch(r"[a-z0-9_]+(\.[A-Za-z0-9_-]+)+", name):
        raise node.error(
            f'"{name}" is not a namespaced sysctl, it would change the whole host',
            hint="net.*, fs.mqueue.*, kernel.sem and the known kernel.msg* and kernel.shm* are namespaced",
        )
    before, _, last = name.rpartition(".")
    if last in _COARSE:
        fine = f"{before}.{_COARSE[last]}"
        raise node.error(f'"{name}" is an older name of {fine}, which takes all of its values', hint=f"write {fine}")
    return name


def _seconds(node: Node) -> int:
    return node.integer(-(2**31), 2**31)


_WHERE = Exact(
    _namespace, '`"private"`, `"host"`, or the path of a namespace to join', PRIVATE, (PRIVATE, HOST, "/a", "/b")
)
_NETWORK = attrs.evolve(_WHERE, reader=_network)
_MAPS = IdMapKind(_ranges, 'array of `"inside:outside:size"`', (), ((), (IdRange(0, 1, 1),), (IdRange(0, 2, 1),)))


@frozen
class NamespacesSettings(Isolation):
    """Composed `[namespaces]`."""

    pid: str = scalar(_WHERE, PRIVATE, "Process ids.")
    mount: str = scalar(_WHERE, PRIVATE, "Mount points.")
    ipc: str = scalar(_WHERE, PRIVATE, "System V IPC and POSIX message queues.")
    uts: str = scalar(_WHERE, PRIVATE, "Host and domain name.")
    net: str = scalar(
        _NETWORK, PRIVATE, "Network devices, addresses, ports; a private one has a loopback device that is up."
    )
    cgroup: str = scalar(_WHERE, PRIVATE, "The view of the cgroup tree.")
    user: str = scalar(_WHERE, PRIVATE, "User and group ids, and the capabilities that belong to them.")
    time: str = scalar(_WHERE, PRIVATE, "Boot and monotonic clocks.")
    id_map: str = scalar(
        IdMapping(),
        "auto",
        "How a private user namespace maps ids. `auto`: ids of its own for root, `keep-id` for everybody else; "
        "`one-id`: the caller's id as itself and no other; `keep-id`: the caller's id as itself, the others from the "
        "caller's ranges; `root`: the caller's id as 0, the others from the ranges.",
    )
    uid_map: tuple[IdRange, ...] = scalar(_MAPS, (), "Explicit map of user ids; replaces `id_map`.")
    gid_map: tuple[IdRange, ...] = scalar(_MAPS, (), "Explicit map of group ids; goes with `uid_map`.")
    hostname: str = scalar(
        Unordered(_host_name, "a host name", ("a", "b")), "hardened", "Host name in a private `uts` namespace."
    )
    domainname: str = scalar(
        Unordered(_host_name, "a domain name, or nothing", ("", "b")),
        "",
        "NIS domain name in a private `uts` namespace.",
    )
    sysctls: Members[str] = family(
        Exact(Node.string, 'a string; `""` leaves it at the kernel\'s default', None, ("", "0", "1")),
        rest="",
        absent="",
        read_member=_sysctl,
        help="Kernel parameters of the private namespaces, by name; those of the whole host are refused.",
        examples=("net.ipv4.ip_forward", "kernel.msgmax"),
    )
    boottime_offset: int = scalar(
        Unordered(_seconds, "seconds", (0, 1)), 0, "Offset of the boot clock in a private `time` namespace.",
        name="time_offsets.boottime",
    )  # fmt: skip
    monotonic_offset: int = scalar(
        Unordered(_seconds, "seconds", (0, 1)), 0, "Offset of the monotonic clock in a private `time` namespace.",
        name="time_offsets.monotonic",
    )  # fmt: skip

    def where(self, name: str) -> str:
        """Where the namespace of a TOML name is: private, host or a path."""
        value: str = getattr(self, name)
        return value

    def id_maps(self, host: Host) -> IdMaps | None:
        return idmaps.resolve(self.id_map, self.uid_map, self.gid_map, host) if self.user == PRIVATE else None

    @property
    def sets_sysctls(self) -> bool:
        return any(self.sysctls.named.values())


def read(schema: Schema, table: Node) -> Iterator[Statement]:
    """The says of a table. A way of mapping ids says of the explicit maps that there are none, so that it binds them: as a
    value and as a limit."""
    statements = list(read_table(schema, table))
    yield from statements
    named = {statement.setting: statement for statement in statements}
    if "id_map" in named:
        for setting in ("uid_map", "gid_map"):
            if setting not in named:
                yield Statement(setting, "", (), named["id_map"].origin)
