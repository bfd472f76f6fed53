"""What the arguments of system calls are, and what tells one call from another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias, cast

from hardening.base.linux import abi
from hardening.base.values import frozen
from hardening.mechanism.evidence import SIGNIFICANT
from hardening.trace import calls
from hardening.trace.calls import PendingCall
from hardening.trace.tracee import MOST_ADDRESS, Tracee

#: What the arguments of calls are; what is missing there is told by its name alone.
SHAPES = Path(__file__).with_name("shapes.txt")
#: Reads of a call what stands behind one of its arguments.
Read: TypeAlias = Callable[[PendingCall, Tracee], object]
#: Steps that are paths.
_PATHS = frozenset({"path", "target", "source", "source2"})
#: Steps whose words follow from the key of a call alone.
_FROM_KEYS = frozenset({"at", "path", "target", "flags", "mode", "permissions", "node", "device", "-"})
#: Links of /proc/PID that lead where they led until a call has moved something.
_KEPT = frozenset({"cwd", "root"})
#: As much of memory as any of them reads.
_READ = 128


@frozen
class Shape:
    """What the arguments of a call are, and what is wanted of its path."""

    steps: tuple[str, ...]
    access: frozenset[str]


def shapes() -> Mapping[str, Shape]:
    """What `SHAPES` has, by the names of calls."""
    found = {}
    for line in SHAPES.read_text().splitlines():
        names, _, rest = line.partition(":")
        steps, _, access = rest.partition("=")
        for name in names.split() if not line.startswith("#") else ():
            found[name] = Shape(tuple(steps.split()), frozenset(access.split()))
    return MappingProxyType(found)


class _Path:
    """Reads a path, and where it begins."""

    def __init__(self, at: int, base: int | None, place: Callable[[Tracee, str], str]) -> None:
        self.at, self._base, self._place = at, base, place

    def __call__(self, entry: PendingCall, tracee: Tracee) -> tuple[bytes, str]:
        text = tracee.raw_string(entry.arguments[self.at])
        return text, self._place(tracee, self.begin(entry, text))

    def begin(self, entry: PendingCall, text: bytes) -> str:
        """As a link of /proc/PID."""
        if text.startswith(b"/"):
            return "root"
        return "cwd" if self._base is None else base_of(entry.arguments[self._base]) or "cwd"


class _Shown(Tracee):
    """What is kept of a process that goes on: strings by their addresses, and links of /proc/PID."""

    def __init__(self, strings: Mapping[int, bytes], links: Mapping[str, str]) -> None:
        super().__init__(0)
        self._strings, self._links = strings, links

    def raw_string(self, address: int) -> bytes:
        return self._strings[address]

    def link(self, name: str) -> str:
        return self._links[name]


class Keys:
    """Has of each call what its words follow from."""

    def __init__(self) -> None:
        self._shapes = shapes()
        self._reads: dict[tuple[int, int], tuple[Read, ...]] = {}
        self._from_keys: set[tuple[int, int]] = set()  # of which a key has all that their words follow from
        self._places: dict[tuple[int, str], str] = {}  # where the root and the working directory of a thread are

    def key(self, entry: PendingCall, tracee: Tracee) -> tuple[object, ...]:
        """What a call is made of: of those that have the same the words are the same. It is had sooner than they are."""
        number = entry.architecture, entry.number
        reads = self._reads.get(number)
        if reads is None:
            reads = self._reads[number] = tuple(self._needed(calls.name(*number)))
        return (number, *[read(entry, tracee) for read in reads])

    def are_all(self, entry: PendingCall) -> bool:
        """Whether the words of a call whose key was had follow from that alone."""
        return (entry.architecture, entry.number) in self._from_keys

    def shown(self, entry: PendingCall, key: tuple[object, ...]) -> Tracee:
        """What of a process its key has, which made this call."""
        strings, links = {}, {}
        for read, found in zip(self._reads[entry.architecture, entry.number], key[1:], strict=True):
            if isinstance(read, _Path):
                text, place = cast("tuple[bytes, str]", found)
                strings[entry.arguments[read.at]] = text
                links[read.begin(entry, text)] = place
        return _Shown(strings, links)

    def moved(self) -> None:
        """Threads may no longer stand where they stood."""
        self._places.clear()

    def _needed(self, name: str) -> Iterator[Read]:
        """What reads the arguments that say something, in their order. Where a path begins belongs to that."""
        shape = self._shapes.get(name)
        steps = shape.steps if shape is not None else ()
        if shape is not None and _FROM_KEYS.issuperset(steps):
            self._from_keys.update(calls.numbers(name))
        base = None
        for at, step in enumerate(steps):
            if step == "at":
                base = at
            elif step in _PATHS:
                yield _Path(at, base, self._place)
                base = None
            elif step != "-":
                yield _READERS.get(step, _number)(at)
        yield from (_number(at) for at in SIGNIFICANT.get(name, ()) if "-" in steps[at : at + 1] or at >= len(steps))

    def _place(self, tracee: Tracee, name: str) -> str:
        if name not in _KEPT:
            return tracee.link(name)
        key = tracee.pid, name
        found = self._places.get(key)
        if found is None:
            found = self._places[key] = tracee.link(name)
        return found


def _number(at: int) -> Read:
    return lambda entry, tracee: entry.arguments[at]


def _descriptor(at: int) -> Read:
    return lambda entry, tracee: tracee.descriptor(signed(entry.arguments[at]))


def _string(at: int) -> Read:
    return lambda entry, tracee: tracee.raw_string(entry.arguments[at])


def _address(at: int) -> Read:
    return lambda entry, tracee: tracee.memory(entry.arguments[at], min(entry.arguments[at + 1], MOST_ADDRESS))


def _message(at: int) -> Read:
    return lambda entry, tracee: tracee.message_name(entry.arguments[at], is_long=is_long(entry))


def _memory(at: int) -> Read:
    return lambda entry, tracee: tracee.memory(entry.arguments[at], _READ)


#: What reads a step where the words of a call follow from what stands behind the number, and not from the number itself.
_READERS: Mapping[str, Callable[[int], Read]] = MappingProxyType(
    {**dict.fromkeys(("string", "attribute"), _string), **dict.fromkeys(("fd", "socket"), _descriptor),
     **dict.fromkeys(("how", "clone3", "limit", "groups", "capabilities"), _memory),
     "address": _address, "message": _message}
)  # fmt: skip


def is_long(entry: PendingCall) -> bool:
    """Whether pointers of who has made a call are of 64 bits."""
    return entry.architecture in (abi.AUDIT_ARCH_X86_64, abi.AUDIT_ARCH_AARCH64)


def base_of(value: int) -> str | None:
    """Where a path begins by the descriptor of a directory, as a link of /proc/PID; None for the working directory."""
    number = signed(value)
    return None if number == abi.AT_FDCWD else f"fd/{number}"


def signed(value: int) -> int:
    """An argument of the C type int."""
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value
