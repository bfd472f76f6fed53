"""A filter as the kernel asks it: for each architecture token, the answer to every number from 0 to 2**32 - 1."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from hardening.base.linux import abi
from hardening.base.linux.libseccomp import Libseccomp
from hardening.base.values import frozen
from hardening_seccomp.actions import KILL_PROCESS
from hardening_seccomp.bpf import U32
from hardening_seccomp.build import token_of
from hardening_seccomp.conditions import Rule
from hardening_seccomp.diagrams import constant, lower_halves
from hardening_seccomp.filters import Filter

WIDE = 0x80000000  # __AUDIT_ARCH_64BIT
#: Their tokens have the bit of 64, and their arguments 32: libseccomp compares the lower halves.
NARROW = ("x32", "mips64n32", "mipsel64n32")
KILLED: Rule = constant(KILL_PROCESS)


@frozen
class Span:
    """What happens to all numbers from ``first`` to ``last``."""

    first: int
    last: int
    rule: Rule


def joined(parts: Iterable[tuple[int, Rule]]) -> tuple[Span, ...]:
    """Spans from their first numbers, in order from 0; neighbours with equal rules become one."""
    kept: list[tuple[int, Rule]] = []
    for first, rule in parts:
        if not kept or kept[-1][1] != rule:
            kept.append((first, rule))
    ends = [first - 1 for first, _ in kept[1:]] + [U32]
    return tuple(Span(first, last, rule) for (first, rule), last in zip(kept, ends, strict=True))


def overlaps(one: Iterable[Span], other: Iterable[Span]) -> Iterator[tuple[int, int, Rule, Rule]]:
    """The parts (first, last) in which both stay the same, with the rules of both; each covers all numbers."""
    right = iter(other)
    beside = next(right)
    for span in one:
        while beside.last < span.first:
            beside = next(right)
        while True:
            yield max(span.first, beside.first), min(span.last, beside.last), span.rule, beside.rule
            if beside.last >= span.last:
                break
            beside = next(right)


def kernel_token(library: Libseccomp, name: str) -> int:
    """The AUDIT_ARCH_* value that the kernel reports for an architecture: x32 calls come as x86_64 ones."""
    return token_of(library, "x86_64" if name == "x32" else name)


def wanted(model: Filter, library: Libseccomp) -> Mapping[int, tuple[Span, ...]]:
    """By token, what a program of this filter has to answer: a call of another token is killed.

    Where arguments have 32 bits, rules look at the lower halves only.
    """
    default = constant(model.default)
    found: dict[int, dict[int, Rule]] = {}
    for architecture in sorted(model.architectures):
        token = kernel_token(library, architecture)
        wide = bool(token & WIDE) and architecture not in NARROW
        numbers = found.setdefault(token, {})
        own = token_of(library, architecture)
        # Some calls of x86 and others have a number of their own beside the one by which socketcall(2) carries them, and
        # the library gives that one; a few of arm are numbered beyond the others, and only asked by name.
        known = library.names(own)
        for name, rule in model.rules.items():
            number = known[name] if name in known else library.number(own, name)
            if number is not None and number >= 0:
                numbers[number] = rule if wide else lower_halves(rule)
    return MappingProxyType(
        {token: joined(_parts(numbers, _regions(token, model, library), default)) for token, numbers in found.items()}
    )


def _regions(token: int, model: Filter, library: Libseccomp) -> list[tuple[int, Rule]]:
    """What happens to numbers without a rule, from each first number on."""
    default = constant(model.default)
    if token != library.architecture("x86_64"):
        return [(0, default)]
    plain = default if "x86_64" in model.architectures else KILLED
    # A tracer that wants no call at all makes the number -1 (seccomp(2)), whatever the architecture is.
    is_permitted = "x32" in model.architectures
    x32 = [(abi.X32_SYSCALL_BIT, default if is_permitted else KILLED)]
    x32 += [] if is_permitted else [(U32, default)]
    return [(0, plain), *x32]


def _parts(numbers: Mapping[int, Rule], regions: list[tuple[int, Rule]], default: Rule) -> Iterator[tuple[int, Rule]]:
    edges = {first for first, _ in regions} | {edge for number in numbers for edge in (number, number + 1)}
    waiting = list(regions)
    otherwise = default
    for first in sorted(edges):
        while waiting and waiting[0][0] <= first:
            otherwise = waiting.pop(0)[1]
        yield first, numbers.get(first, otherwise)
