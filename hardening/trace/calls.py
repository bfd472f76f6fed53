"""The names of system calls, by architecture and number.

What the kernel tells of a call is numbers. The mechanism that filters calls has its names from libseccomp, which is a
plugin's: here they are a table, which `tools/calls.py` writes from the same library, and a test holds against it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from hardening.base.linux import abi
from hardening.base.values import frozen

FILE, KINDS = (Path(__file__).with_name(name) for name in ("calls.txt", "kinds.txt"))
#: The columns behind the names.
ARCHITECTURES = (abi.AUDIT_ARCH_X86_64, abi.AUDIT_ARCH_I386, abi.AUDIT_ARCH_AARCH64, abi.AUDIT_ARCH_ARM)
HEADER = "# name x86_64 i386 aarch64 arm"
#: The tokens of the machines that uname(2) names.
MACHINES = MappingProxyType({"x86_64": abi.AUDIT_ARCH_X86_64, "aarch64": abi.AUDIT_ARCH_AARCH64})


@frozen
class PendingCall:
    """A system call as it was made: the ``AUDIT_ARCH_*`` token, its number, six unsigned arguments, and its place among all
    calls of the trace."""

    architecture: int
    number: int
    arguments: tuple[int, ...]
    order: int


@cache
def _tables() -> Mapping[int, Mapping[int, str]]:
    tables: dict[int, dict[int, str]] = {token: {} for token in ARCHITECTURES}
    for line in FILE.read_text().splitlines()[1:]:
        name, *numbers = line.split(" ")
        for token, number in zip(ARCHITECTURES, numbers, strict=True):
            if number != "-":
                tables[token][int(number)] = name
    return MappingProxyType({token: MappingProxyType(table) for token, table in tables.items()})


def name(architecture: int, number: int) -> str:
    """The name of a call; its number as text where the table has none."""
    table = _tables().get(architecture, {})
    found = table.get(number)
    if found is None and architecture == abi.AUDIT_ARCH_X86_64 and number & abi.X32_SYSCALL_BIT:
        found = table.get(number & ~abi.X32_SYSCALL_BIT)
    return found or str(number)


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
    """The architectures and numbers of calls with these names."""
    return frozenset(
        (token, number) for token, table in _tables().items() for number, found in table.items() if found in names
    )


def own() -> int:
    """The token of this machine's own architecture."""
    return MACHINES[os.uname().machine]


def names(architecture: int) -> Collection[str]:
    """The names of the calls that an architecture has."""
    return _tables()[architecture].values()


def native(name: str, order: int) -> PendingCall:
    """A call of this machine's own architecture, of which nothing else is known."""
    token = own()
    return next(PendingCall(token, number, (0,) * 6, order) for known, number in numbers(name) if known == token)
