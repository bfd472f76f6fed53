"""What a system call asked for, in words: its numbers, and what they point to in the memory of who made it."""

from __future__ import annotations

import ipaddress
import os
import struct
import sys
from collections.abc import Callable, Mapping

import attrs

from hardening.base import files, units
from hardening.base.linux import abi
from hardening.base.text import printable
from hardening.mechanism.denial import DENIALS, Caller, SystemCall
from hardening.trace import calls, words
from hardening.trace.calls import PendingCall
from hardening.trace.shapes import base_of, is_long, shapes, signed
from hardening.trace.tracee import MOST_ADDRESS, Socket, Tracee

#: How an access(2) asks, and open(2): the two lowest bits of its flags.
_ASKED = {4: "read", 2: "write", 1: "execute"}
_OPENED = {os.O_RDONLY: ("read",), os.O_WRONLY: ("write",), os.O_RDWR: ("read", "write")}
_PATH_ONLY = os.O_PATH
_TYPES = {0o020000: "character device", 0o060000: "block device", 0o010000: "FIFO", 0o140000: "socket"}
#: Beyond these an id is none: -1 leaves one as it is.
_NO_ID = 0xFFFFFFFF
_TCP, _UDP = 6, 17
#: The most that is told of groups.
_MOST = 32
#: struct nlmsghdr and struct nlmsgerr (netlink(7)): what a message is, its errno, and what was asked.
_REFUSAL = struct.Struct("=4xH10xi4xH")
_NLMSG_ERROR = 2
#: Numbers that say what is wanted of a path.
_WANTING = ("flags", "mode")


class Decoder:
    """Puts system calls into words."""

    def __init__(self) -> None:
        self._shapes = shapes()

    def call(self, entry: PendingCall, tracee: Tracee, caller: Caller, error: int = 0, killed: int = 0) -> SystemCall:
        """A call of a process that stands at its entry or its exit: with ``error`` where it has failed, with ``killed``
        where that signal is its answer."""
        name = calls.name(entry.architecture, entry.number)
        decoding = _Decoding(tracee, entry, caller)
        shape = self._shapes.get(name)
        if shape is not None:
            decoding.access |= shape.access
            for at, step in enumerate(shape.steps):
                if step != "-":
                    decoding.take(step, at)
        return SystemCall(
            name=name,
            number=entry.number,
            architecture=entry.architecture,
            arguments=entry.arguments,
            caller=caller,
            error=error,
            signal=killed,
            path=decoding.path,
            target=decoding.target,
            way=tracee.way(decoding.path) if error in DENIALS else (),
            access=frozenset(decoding.access),
            address=decoding.address,
            ids=tuple(decoding.ids),
            capabilities=frozenset(name.removeprefix("CAP_") for name in decoding.capabilities),
            limit=decoding.limit,
            attribute=decoding.attribute,
            namespaces=decoding.namespaces,
            text=decoding.text(name),
            order=entry.order,
        )

    def access(self, entry: PendingCall) -> frozenset[str]:
        """What a call wants of its path, as far as its numbers say it."""
        shape = self._shapes.get(calls.name(entry.architecture, entry.number))
        if shape is None:
            return frozenset()
        decoding = _Decoding(Tracee(0), entry, Caller(0))
        for at, step in enumerate(shape.steps):
            if step in _WANTING:
                decoding.take(step, at)
        return shape.access | decoding.access

    def refusal(self, entry: PendingCall, tracee: Tracee, caller: Caller, size: int) -> SystemCall | None:
        """What was asked of the kernel by netlink(7) and has failed, as a message of so many bytes says that a call has
        received (NLMSG_ERROR); None for any other message."""
        place = entry.arguments[1]
        if calls.name(entry.architecture, entry.number) == "recvmsg":
            place = tracee.received(place, is_long=is_long(entry))
        data = tracee.memory(place, _REFUSAL.size) if place and size >= _REFUSAL.size else b""
        if len(data) < _REFUSAL.size:
            return None
        kind, error, asked = _REFUSAL.unpack(data)
        call = self.call(entry, tracee, caller, -error) if kind == _NLMSG_ERROR and error < 0 else None
        if call is None or not call.address.startswith("netlink "):
            return None
        request = words.word(words.ROUTE if call.address == "netlink route" else {}, asked)
        return attrs.evolve(call, request=asked, text=f"{call.address} {request}")


class _Decoding:
    """One call, argument by argument. Each method takes one, and may look at the next."""

    def __init__(self, tracee: Tracee, entry: PendingCall, caller: Caller) -> None:
        self._tracee, self._caller = tracee, caller
        self._arguments = entry.arguments
        self._is_long = is_long(entry)
        self._asked: Socket | None = None  # what the call is about
        self._base: str | None = None  # where the next path begins, as a link of /proc/PID
        self._file = ""  # of what a descriptor refers to
        self._joined = ""  # before the target
        self.path = self.target = self.address = self.attribute = ""
        self.namespaces = 0
        self.limit: tuple[int, ...] = ()
        self.access: set[str] = set()
        self.ids: list[int] = []
        self.capabilities: list[str] = []
        self.shown: list[str] = []
        self.notes: list[str] = []

    def take(self, step: str, at: int) -> None:
        """Take an argument for what the shape calls it."""
        method: Callable[[int, int], None] = getattr(self, f"_{step}")
        method(self._arguments[at], at)

    def text(self, name: str) -> str:
        """The whole call in words."""
        place = self.address.removeprefix("tcp ") or self.path or self._file
        parts = [
            name,
            *([place] if place else []),
            *([f"{self._joined} {self.target}"] if self.target else []),
            *self.shown,
        ]
        notes = [*self._wanted(name), *self.notes]
        return printable(" ".join(parts)) + (f" ({', '.join(notes)})" if notes else "")

    def _wanted(self, name: str) -> list[str]:
        """What is wanted of a path, where the name of the call does not say it."""
        told = name.startswith(("open", "access", "faccessat", "mmap"))
        return [word for word in ("read", "write", "create", "execute", "search") if told and word in self.access]

    # Files

    def _at(self, value: int, at: int) -> None:
        self._base = base_of(value)

    def _path(self, value: int, at: int) -> None:
        self.path = self._resolved(value)

    def _target(self, value: int, at: int) -> None:
        self.target, self._joined = self._resolved(value), "to"

    def _resolved(self, value: int) -> str:
        text = self._tracee.string(value)
        base, self._base = self._base, None
        if text or base is None:  # a path that is empty is nothing, unless a descriptor stands for it
            return self._tracee.path(text, base) if text else ""
        link = self._tracee.link(base)
        return link if link.startswith("/") else ""

    def _flags(self, value: int, at: int) -> None:
        if value & _PATH_ONLY:
            self.access.add("search")
            return
        self.access.update(_OPENED.get(value & os.O_ACCMODE, ("read", "write")))
        if value & os.O_CREAT or value & os.O_TMPFILE == os.O_TMPFILE:
            self.access.add("create")
        if value & os.O_TRUNC:
            self.access.add("write")

    def _how(self, value: int, at: int) -> None:
        for flags in self._tracee.numbers(value, 1):
            self._flags(flags, at)

    def _mode(self, value: int, at: int) -> None:
        self.access.update([word for bit, word in _ASKED.items() if value & bit] or ["search"])

    def _permissions(self, value: int, at: int) -> None:
        if "change" in self.access or value & 0o7000:
            self.shown.append(oct(value & 0o7777).replace("0o", "0"))

    def _node(self, value: int, at: int) -> None:
        kind = _TYPES.get(value & 0o170000)
        if kind:
            self.notes.append(kind)

    def _device(self, value: int, at: int) -> None:
        if any("device" in note for note in self.notes):
            self.notes.append(f"{os.major(value)}:{os.minor(value)}")

    def _fd(self, value: int, at: int) -> None:
        number = signed(value)
        found = self._tracee.descriptor(number) if number >= 0 else ""
        if found.startswith("/"):
            self.path = found.removesuffix(" (deleted)")
        else:
            self._file = found.partition(":")[0]

    def _request(self, value: int, at: int) -> None:
        self.shown.insert(0, words.word(words.IOCTL, value & 0xFFFFFFFF))

    def _command(self, value: int, at: int) -> None:
        self.shown.append(words.word(words.FCNTL, value))

    def _string(self, value: int, at: int) -> None:
        text = self._tracee.string(value)
        if text and text != os.path.basename(self.path):
            self.shown.append(text)

    def _attribute(self, value: int, at: int) -> None:
        self.attribute = self._tracee.string(value)
        self._string(value, at)

    # Memory

    def _size(self, value: int, at: int) -> None:
        self.notes.append(units.show_size(value))

    def _protection(self, value: int, at: int) -> None:
        if value & words.PROTECTION["PROT_EXEC"]:
            self.access.add("execute")
        self.notes += words.words(words.PROTECTION, value)

    def _mapping(self, value: int, at: int) -> None:
        self.notes += words.words(words.MAPPING, value)

    def _locking(self, value: int, at: int) -> None:
        self.shown += words.words(words.MLOCKALL, value)

    # Mounts and namespaces

    def _source(self, value: int, at: int) -> None:
        self._base = None
        text = self._tracee.string(value)
        self.target = self._tracee.path(text) if "/" in text else text

    def _source2(self, value: int, at: int) -> None:
        self.target = self._resolved(value)

    def _mountflags(self, value: int, at: int) -> None:
        self._joined = "from"
        if not self.target.startswith("/"):
            self.target = "" if self.target == os.path.basename(self.path) or not value else self.target
        self.notes += words.words(words.MOUNT, value)

    def _clone(self, value: int, at: int) -> None:
        self._with(words.CLONE, value)

    def _clone3(self, value: int, at: int) -> None:
        for flags in self._tracee.numbers(value, 1):
            self.namespaces = flags & abi.UNSHARE_NAMESPACES
            self._with(words.NAMESPACES, flags)

    def _namespaces(self, value: int, at: int) -> None:
        self._with(words.NAMESPACES, value)

    def _with(self, table: Mapping[str, int], value: int) -> None:
        named = "|".join(words.words(table, value))
        if named:
            self.shown.append(f"with {named}")

    # Sockets

    def _family(self, value: int, at: int) -> None:
        self._asked = Socket(value, 0, 0)
        self.address = words.word(words.FAMILIES, value).removeprefix("AF_").lower()

    def _kind(self, value: int, at: int) -> None:
        self.shown.append(words.word(words.SOCKETS, value & 0xF))

    def _protocol(self, value: int, at: int) -> None:
        family = self._asked.family if self._asked is not None else 0
        table = words.NETLINK if family == abi.AF_NETLINK else words.PROTOCOLS
        if value or table is words.NETLINK:
            self.shown.append(words.word(table, value))

    def _socket(self, value: int, at: int) -> None:
        number = signed(value)
        if number >= 0 and self._tracee.descriptor(number).startswith("socket:"):
            self._asked = self._tracee.socket(number)
            if self._asked is not None and self._asked.family == abi.AF_NETLINK:
                self._netlink()

    def _level(self, value: int, at: int) -> None:
        self.shown.append(words.word(words.LEVELS, value))

    def _option(self, value: int, at: int) -> None:
        table = words.OPTIONS.get(self.shown[-1], {})
        self.shown.append(words.word(table, value))

    def _address(self, value: int, at: int) -> None:
        if value:
            self._sockaddr(self._tracee.memory(value, min(self._arguments[at + 1], MOST_ADDRESS)))

    def _message(self, value: int, at: int) -> None:
        name = self._tracee.message_name(value, is_long=self._is_long)
        if name:
            self._sockaddr(name)

    def _sockaddr(self, data: bytes) -> None:
        family = int.from_bytes(data[:2], sys.byteorder)
        port = int.from_bytes(data[2:4], "big")
        if family == words.FAMILIES["AF_UNIX"]:
            name = data[2:]
            if name[:1] == b"\0":
                self.address = f"unix @{files.decode(name[1:])}"
            elif text := files.decode(name.partition(b"\0")[0]):
                self.path = self._tracee.path(text)
                self.address = f"unix {self.path}"
        elif family == words.FAMILIES["AF_INET"] and len(data) >= 8:
            self.address = f"{self._transport()} {ipaddress.IPv4Address(data[4:8])}:{port}"
        elif family == words.FAMILIES["AF_INET6"] and len(data) >= 24:
            self.address = f"{self._transport()} [{ipaddress.IPv6Address(data[8:24])}]:{port}"
        elif family == abi.AF_NETLINK:
            self._netlink()
        else:
            self.address = words.word(words.FAMILIES, family).removeprefix("AF_").lower()

    def _netlink(self) -> None:
        protocol = self._asked.protocol if self._asked is not None else 0
        self.address = f"netlink {words.word(words.NETLINK, protocol).removeprefix('NETLINK_').lower()}"

    def _transport(self) -> str:
        if self._asked is None:
            return "tcp"
        kinds = {"SOCK_STREAM": "tcp", "SOCK_DGRAM": "udp"}
        known = {_TCP: "tcp", _UDP: "udp"}
        return known.get(self._asked.protocol) or kinds.get(words.word(words.SOCKETS, self._asked.kind), "raw")

    # Rights and processes

    def _id(self, value: int, at: int) -> None:
        if value & _NO_ID != _NO_ID:
            self.ids.append(value & _NO_ID)
        self.shown.append(str(signed(value)))

    def _count(self, value: int, at: int) -> None:
        self._number(value, at)

    def _groups(self, value: int, at: int) -> None:
        self.shown.pop()
        self.ids += self._tracee.numbers(value, min(self._arguments[0] & 0xFFFFFFFF, _MOST), 4)
        self.shown.append(",".join(map(str, self.ids)))

    def _capabilities(self, value: int, at: int) -> None:
        halves = self._tracee.numbers(value, 6, 4)  # effective, permitted, inheritable; twice
        if len(halves) == 6:
            low, high = halves[:3], halves[3:]
            self.capabilities = abi.capability_names(low[0] | low[1] | low[2] | (high[0] | high[1] | high[2]) << 32)
            # Most programs ask for what they have already, and for little more.
            more = [name for name in self.capabilities if name.removeprefix("CAP_") not in self._caller.capabilities]
            self.shown.append(",".join(more or self.capabilities) or "none")

    def _prctl(self, value: int, at: int) -> None:
        self.shown.append(words.word(words.PRCTL, value & 0xFFFFFFFF))

    def _number(self, value: int, at: int) -> None:
        self.shown.append(str(signed(value)) if value < 1024 or value > 1 << 31 else hex(value))

    def _ptrace(self, value: int, at: int) -> None:
        self.shown.append(words.word(words.PTRACE, value))

    def _pid(self, value: int, at: int) -> None:
        if value:
            self.shown.append(str(signed(value)))

    def _signal(self, value: int, at: int) -> None:
        self.shown.append(words.word(words.SIGNALS, value) if value else "0")

    def _resource(self, value: int, at: int) -> None:
        self.shown.append(words.word(abi.RLIMITS, value))

    def _limit(self, value: int, at: int) -> None:
        self.limit = tuple(self._tracee.numbers(value, 2)) if value else ()
        if self.limit:
            self.shown.append(":".join("unlimited" if limit >= (1 << 63) else str(limit) for limit in self.limit))

    def _bpf(self, value: int, at: int) -> None:
        self.shown.append(words.word(words.BPF, value))

    def _keyctl(self, value: int, at: int) -> None:
        self.shown.append(words.word(words.KEYCTL, value))

    def _seccomp(self, value: int, at: int) -> None:
        self.shown.append(words.word(words.SECCOMP, value))
