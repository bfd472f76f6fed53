"""The names of system calls, by architecture and number, as libseccomp has them: the kernel tells of a call by numbers."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from hardening.base.linux import abi
from hardening.base.linux.libseccomp import Libseccomp

KINDS = Path(__file__).with_name("kinds.txt")
#: The architectures of the programs that a machine runs, by what uname(2) calls it: its own, and that of 32 bits.
MACHINES: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "x86_64": (abi.AUDIT_ARCH_X86_64, abi.AUDIT_ARCH_I386),
        "aarch64": (abi.AUDIT_ARCH_AARCH64, abi.AUDIT_ARCH_ARM),
    }
)


class PendingCall(NamedTuple):
    """A system call as it was made: the ``AUDIT_ARCH_*`` token, its number, six unsigned arguments, and its place among all
    calls of the trace."""

    architecture: int
    number: int
    arguments: tuple[int, ...]
    order: int


@cache
def _library() -> Libseccomp:
    return Libseccomp.load()


@cache
def _names(architecture: int) -> Mapping[int, str]:
    return MappingProxyType({number: name for name, number in _library().names(architecture).items()})


def name(architecture: int, number: int) -> str:
    """The name of a call; its number as text where there is none."""
    plain = number & ~abi.X32_SYSCALL_BIT if architecture == abi.AUDIT_ARCH_X86_64 else number
    # Of those that 32-bit arm has far above all others the library is asked one by one.
    return _names(architecture).get(plain) or _library().name(architecture, plain) or str(number)


@cache
def kinds() -> Mapping[str, frozenset[tuple[int, int]]]:
    """What `KINDS` has: architectures and numbers of calls, by what the tracer makes of them."""
    found: dict[str, set[str]] = {}
    for line in KINDS.read_text().splitlines():
        kind, _, names = line.partition(":")
        if not line.startswith("#"):
            found.setdefault(kind, set()).update(names.split())
    return MappingProxyType({kind: numbers(*names) for kind, names in found.items()})


@cache
def numbers(*names: str) -> frozenset[tuple[int, int]]:
    """The architectures of this machine's programs, and the numbers of calls with these names. Raises `HostError`."""
    return frozenset(
        (token, number)
        for token in MACHINES[os.uname().machine]
        for number, found in _names(token).items()
        if found in names
    )


def own() -> int:
    """The token of this machine's own architecture."""
    return MACHINES[os.uname().machine][0]


def number(name: str) -> int | None:
    """The number of a call of this machine's own architecture; None where that has none of the name."""
    return next((number for token, number in numbers(name) if token == own()), None)


def by_number(architecture: int) -> Mapping[int, str]:
    """The names of the calls that an architecture has, by their numbers."""
    return _names(architecture)


def names(architecture: int) -> Collection[str]:
    """The names of the calls that an architecture has."""
    return _names(architecture).values()


def native(name: str, order: int) -> PendingCall:
    """A call of this machine's own architecture, of which nothing else is known. Raises `KeyError` where that has none."""
    found = number(name)
    if found is None:
        raise KeyError(name)
    return PendingCall(own(), found, (0,) * 6, order)
