"""What the arguments of system calls are, and what tells one call from another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from hardening.base.linux import abi
from hardening.base.values import frozen
from hardening.mechanism.evidence import SIGNIFICANT
from hardening.trace import calls
from hardening.trace.calls import PendingCall
from hardening.trace.tracee import MOST_ADDRESS, Tracee

#: What the arguments of calls are; what is missing there is told by its name alone.
SHAPES = Path(__file__).with_name("shapes.txt")
#: How a step is read where the words of a call follow from what stands behind the number, and not from the number itself.
_READ_AS = MappingProxyType(
    {"at": "at", "string": "string", "address": "address", "message": "message",
     **dict.fromkeys(("path", "target", "source", "source2"), "path"), **dict.fromkeys(("fd", "socket"), "fd"),
     **dict.fromkeys(("how", "clone3", "limit", "groups", "capabilities"), "memory")}
)  # fmt: skip
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


class Keys:
    """Has of each call what its words follow from."""

    def __init__(self) -> None:
        self._shapes = shapes()
        self._reads: dict[tuple[int, int], tuple[tuple[int, str], ...]] = {}

    def key(self, entry: PendingCall, tracee: Tracee) -> tuple[object, ...]:
        """What a call is made of: of those that have the same the words are the same. It is had sooner than they are."""
        number = entry.architecture, entry.number
        reads = self._reads.get(number)
        if reads is None:
            reads = self._reads[number] = tuple(self._needed(calls.name(*number)))
        found: list[object] = [*number]
        base = "cwd"
        for at, read in reads:
            value = entry.arguments[at]
            if read == "number":
                found.append(value)
            elif read == "at":
                base = base_of(value) or base
            elif read == "path":
                text = tracee.string(value)
                found += (text, tracee.link("root" if text.startswith("/") else base))
                base = "cwd"
            elif read == "fd":
                found.append(tracee.descriptor(signed(value)))
            elif read == "string":
                found.append(tracee.string(value))
            elif read == "address":
                found.append(tracee.memory(value, min(entry.arguments[at + 1], MOST_ADDRESS)))
            elif read == "message":
                found.append(tracee.message_name(value, is_long=is_long(entry)))
            else:
                found.append(tracee.memory(value, _READ))
        return tuple(found)

    def _needed(self, name: str) -> Iterator[tuple[int, str]]:
        """The arguments that are read, by their places, and how."""
        shape = self._shapes.get(name)
        steps = shape.steps if shape is not None else ()
        yield from ((at, _READ_AS.get(step, "number")) for at, step in enumerate(steps) if step != "-")
        yield from ((at, "number") for at in SIGNIFICANT.get(name, ()) if "-" in steps[at : at + 1] or at >= len(steps))


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
