"""From a model to the two artefacts that a launch needs: the OCI object, and the BPF program compiled from it.

A runtime compiles the object with its own libseccomp, so both ways in which the library orders rules are held against
the model, exactly and for every system call. libseccomp before 2.6.1 merges some 64-bit comparisons wrongly
(GHSA-4q85-33p6-j5g6); a rule that does not survive is written differently, and at last as its strictest action.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import attrs

from hardening.errors import HostError, SpecError
from hardening_seccomp import bpf
from hardening_seccomp.build import token_of
from hardening_seccomp.conditions import Rule
from hardening_seccomp.diagrams import constant, lower_halves
from hardening_seccomp.filters import Filter
from hardening_seccomp.guarded import programs, suspects
from hardening_seccomp.libseccomp import Libseccomp
from hardening_seccomp.oci import MAX_ENTRIES, Emission, emit, strictest
from hardening_seccomp.symbolic import meaning

TREE_FROM = 16  # with fewer system calls the plain list is as short
WIDE = 0x80000000  # __AUDIT_ARCH_64BIT
X32_BIT = 0x40000000
UNKNOWN_NUMBER = 1023


@attrs.frozen
class Compiled:
    """``program`` is what the native launcher installs; ``flattened`` names system calls that became stricter."""

    document: dict[str, Any]
    program: bytes
    flattened: tuple[str, ...] = ()


@lru_cache(maxsize=8)
def compile_filter(model: Filter, library: Libseccomp) -> Compiled:
    """Compile and prove a filter; `HostError` where libseccomp cannot build it faithfully even in the plainest form.

    The result is shared: copy the document before changing it.
    """
    masks: frozenset[str] = frozenset()
    flat: frozenset[str] = frozenset()
    for _ in range(4):
        emission = _emit_within_budget(model, masks, flat)
        flattened = frozenset(emission.flattened)
        expected = _with_flattened(model, flattened)
        built = programs(emission.document, library)
        if built is None:
            wrong = suspects(emission.document)
        else:
            wrong = differences(expected, built.tree, library) | differences(expected, built.chain, library)
            if not wrong:
                chosen = built.tree if len(expected.rules) >= TREE_FROM else built.chain
                return Compiled(emission.document, chosen, emission.flattened)
        flat |= flattened | (wrong & masks)
        masks |= wrong
    raise HostError(
        f"libseccomp compiles the rules of {', '.join(sorted(wrong))} wrongly",
        hint="update libseccomp to 2.6.1 or newer, or simplify the rules",
    )


def _emit_within_budget(model: Filter, masks: frozenset[str], flat: frozenset[str]) -> Emission:
    """An emission that cannot exceed the kernel's longest program: libseccomp 2.6.0 corrupts its heap on longer ones."""
    bound = MAX_ENTRIES
    while True:
        emission = emit(model, masks=masks, flat=flat, bound=bound)
        size = max(1, len(model.architectures)) * sum(map(_length, emission.document["syscalls"]))
        if size + 64 <= bpf.MAX_INSTRUCTIONS:
            return emission
        if bound == 1:
            raise SpecError("the seccomp filter is longer than the kernel accepts", hint="name fewer architectures")
        bound //= 2


def _length(syscall: Mapping[str, Any]) -> int:
    """An upper estimate of the instructions of one entry."""
    return len(syscall["names"]) * (2 + sum(map(_width, syscall.get("args", ()))))


def _width(argument: Mapping[str, Any]) -> int:
    """Load, mask and compare: once where the upper half is masked out, else for each half, where an equal one needs no
    mask."""
    return 3 if argument["op"] == "SCMP_CMP_MASKED_EQ" and argument["value"] <= bpf.U32 else 5


def _with_flattened(model: Filter, flattened: frozenset[str]) -> Filter:
    return attrs.evolve(
        model,
        rules={
            name: constant(strictest(rule)) if name in flattened else rule
            for name, rule in model.normal().rules.items()
        },
    )


def kernel_token(library: Libseccomp, name: str) -> int:
    """The AUDIT_ARCH_* value that the kernel reports for an architecture: x32 calls come as x86_64 ones."""
    return token_of(library, "x86_64" if name == "x32" else name)


def differences(model: Filter, program: bytes, library: Libseccomp) -> frozenset[str]:
    """The system calls that a program answers otherwise than the model, for any argument vector; ``*`` for unknown ones."""
    decoded = bpf.decode(program)
    wrong = set()
    for architecture in model.architectures:
        token = kernel_token(library, architecture)
        wide = bool(token & WIDE) and architecture != "x32"
        names = library.names(token_of(library, architecture))
        base = X32_BIT if architecture == "x32" else 0
        if meaning(decoded, token, base | UNKNOWN_NUMBER) != constant(model.default):
            wrong.add("*")
        for name, number in names.items():
            if not _same(meaning(decoded, token, number), model.rule(name), wide=wide):
                wrong.add(name)
    return frozenset(wrong)


def _same(found: Rule, expected: Rule, *, wide: bool) -> bool:
    if found == expected:
        return True
    return not wide and lower_halves(found) == lower_halves(expected)
