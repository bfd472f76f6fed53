"""From a model to the two artefacts that a launch needs: the OCI object, and the BPF program compiled from it.

A runtime compiles the object with its own libseccomp, so both ways in which the library orders rules are held against
the model, exactly and for every number and architecture. libseccomp before 2.6.1 merges some 64-bit comparisons wrongly
(GHSA-4q85-33p6-j5g6); a rule that does not survive is written differently, and at last as its strictest action. What the
native launcher installs answers as these programs do, in fewer steps (`layout`), and is held against the model likewise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import attrs

from hardening.base.linux import abi
from hardening.base.linux.libseccomp import Libseccomp
from hardening.base.values import frozen
from hardening.errors import HostError, SpecError
from hardening_seccomp import bpf
from hardening_seccomp.answers import AnswerReader
from hardening_seccomp.conditions import Rule
from hardening_seccomp.diagrams import lower_halves
from hardening_seccomp.filters import Filter
from hardening_seccomp.guarded import programs, suspects
from hardening_seccomp.layout import laid_out
from hardening_seccomp.oci import MAX_ENTRIES, Emission, emit, forms
from hardening_seccomp.spans import KILLED, WIDE, Span, overlaps, wanted

_ATTEMPTS = 24  # in a larger room, and in each of the `oci.forms`
_ROOMY = 2 * bpf.MAX_INSTRUCTIONS
_MANY = 1024  # numbers of one span whose names are told


@frozen(eq=False)
class Compiled:
    """``program`` is what the native launcher installs; ``written`` holds the rules of the system calls that became plainer,
    and none looser (`oci.flatter`)."""

    document: dict[str, Any]
    program: bytes
    written: Mapping[str, Rule] = MappingProxyType({})


@lru_cache(maxsize=8)
def compile_filter(model: Filter, library: Libseccomp) -> Compiled:
    """Compile and prove a filter; `HostError` where libseccomp cannot build it faithfully even in the plainest form.

    The result is shared: copy the document before changing it.
    """
    tried: dict[str, int] = {}
    room = _ROOMY
    for _ in range(_ATTEMPTS):
        emission = _emit_within_budget(model, tried, room)
        crowded = _size(emission.document) > bpf.MAX_INSTRUCTIONS
        try:
            wrong, program = _proved(model, emission, library)
        except SpecError:
            if not crowded:
                raise
            wrong, program = frozenset(), None
        if not wrong and program is not None:
            return Compiled(emission.document, program, emission.written)
        if crowded and program is None:
            room = bpf.MAX_INSTRUCTIONS
            continue
        for name in wrong & emission.taken.keys():
            last = len(forms(model.rule(name), model.default)) - 1
            tried[name] = _next(emission.taken[name], last, hurry=program is None)
        if all(tried.get(name) == emission.taken.get(name) for name in wrong):
            break  # none of them has another form
    raise HostError(
        f"libseccomp compiles the rules of {', '.join(sorted(wrong))} wrongly",
        hint="compare fewer arguments in these rules, or name fewer architectures",
    )


def _proved(model: Filter, emission: Emission, library: Libseccomp) -> tuple[frozenset[str], bytes | None]:
    """The system calls that libseccomp builds wrongly, and the program to install: None where it builds none. Raises
    `SpecError` for what it refuses, and for a program that is longer than the kernel accepts."""
    built = programs(emission.document, library)
    if built is None:
        return _guilty(emission.document, library), None
    rules = {**model.normal().rules, **emission.written}
    known = {name: rule for name, rule in rules.items() if library.resolved(library.native(), name) is not None}
    spans = wanted(attrs.evolve(model, rules=known), library)
    wrong = differences(spans, built.tree, library) | differences(spans, built.chain, library)
    if wrong:
        return wrong, built.tree
    if len(known) == len(rules):
        return wrong, _shortest(spans, library) or built.tree
    program = _shortest(wanted(attrs.evolve(model, rules=rules), library), library)
    if program is None:
        young = ", ".join(sorted(rules.keys() - known.keys()))
        hint = "update libseccomp, or name fewer architectures"
        raise SpecError(f"no room for {young}, of which libseccomp does not know the numbers", hint=hint)
    return wrong, program


def _guilty(document: Mapping[str, Any], library: Libseccomp) -> frozenset[str]:
    """The system calls of whose rules alone libseccomp makes no programs, all that are suspect where there are none."""
    found = suspects(document)
    if len(found) == 1:
        return found
    rules = {
        name: [{**item, "names": [name]} for item in document["syscalls"] if name in item["names"]] for name in found
    }
    alone = (name for name in found if programs({**document, "syscalls": rules[name]}, library) is None)
    return frozenset(alone) or found


def _next(taken: int, last: int, *, hurry: bool) -> int:
    """The form to try after one that did not survive. An attempt that does not come back costs its time: in a ``hurry`` most
    of what is between the first two and the last is left out."""
    return min(taken + (1 if taken == 0 or not hurry else (last - taken + 2) // 2), last)


def _emit_within_budget(model: Filter, tried: Mapping[str, int], room: int) -> Emission:
    """An emission that cannot exceed the kernel's longest program: libseccomp 2.6.0 corrupts its heap on longer ones. The
    estimate is high, so one that is built in a child process may try a larger ``room``."""
    bound = MAX_ENTRIES
    while True:
        emission = emit(model, tried=tried, bound=bound)
        size = _size(emission.document)
        if size <= bpf.MAX_INSTRUCTIONS or (size <= room and suspects(emission.document)):
            return emission
        if bound == 1:
            raise SpecError("the seccomp filter is longer than the kernel accepts", hint="name fewer architectures")
        bound //= 2


def _size(document: Mapping[str, Any]) -> int:
    """An upper estimate of the instructions of a program."""
    return max(1, len(document["architectures"])) * sum(map(_length, document["syscalls"])) + 64


def _length(syscall: Mapping[str, Any]) -> int:
    """An upper estimate of the instructions of one entry."""
    return len(syscall["names"]) * (2 + sum(map(_width, syscall.get("args", ()))))


def _width(argument: Mapping[str, Any]) -> int:
    """Load, mask and compare: once where the upper half is masked out, else for each half, where an equal one needs no
    mask."""
    return 3 if argument["op"] == "SCMP_CMP_MASKED_EQ" and argument["value"] <= bpf.U32 else 5


def _shortest(spans: Mapping[int, Sequence[Span]], library: Libseccomp) -> bytes | None:
    """The program laid out anew, by numbers; None where that has no room, or is not faithful."""
    program = laid_out(spans)
    return None if program is None or differences(spans, program, library) else program


def differences(spans: Mapping[int, Sequence[Span]], program: bytes, library: Libseccomp) -> frozenset[str]:
    """The system calls that a program answers otherwise than `wanted`, for any argument vector; ``*`` for numbers that no
    call has, and for architectures that the filter has not."""
    reader = AnswerReader.of(bpf.decode(program))
    others = [token for token in reader.architectures if token not in spans]
    wrong = {"*"} if any(reader.answers(token) != (Span(0, bpf.U32, KILLED),) for token in others) else set()
    for token, right in spans.items():
        narrow = not token & WIDE
        for first, last, found, expected in overlaps(reader.answers(token), right):
            if found != expected and not ((narrow or first >= abi.X32_SYSCALL_BIT) and lower_halves(found) == expected):
                numbers = range(first, min(last, first + _MANY) + 1)
                names = {library.name(_own(token, number, library), number) or "*" for number in numbers}
                # A number that no call has may be killed as well, as by another version of libseccomp: that loosens nothing.
                wrong |= names - {"*"} if found == KILLED else names
    return frozenset(wrong)


def _own(token: int, number: int, library: Libseccomp) -> int:
    """The architecture that names a number: of x32 the kernel knows by the number alone."""
    x86_64, x32 = library.architecture("x86_64"), library.architecture("x32")
    return x32 if x32 is not None and token == x86_64 and number >= abi.X32_SYSCALL_BIT else token
