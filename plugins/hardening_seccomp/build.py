"""From an OCI object to a BPF program, as crun and runc do it with libseccomp."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from hardening.base.linux.libseccomp import Libseccomp
from hardening.base.values import frozen
from hardening.errors import HardeningError, HostError, SpecError
from hardening_seccomp.actions import KILL_PROCESS, Action
from hardening_seccomp.conditions import Comparison, Op
from hardening_seccomp.oci import read_action, read_cases, read_names

BINARY_TREE = 2


@frozen
class Condition:
    """One comparison as libseccomp takes it: for MASKED_EQ ``first`` is the mask and ``second`` the value."""

    argument: int
    operator: str
    first: int
    second: int = 0


@contextmanager
def building(
    library: Libseccomp, default: int, bad_architecture: int, tokens: Sequence[int], *, tree: bool
) -> Iterator[FilterBuilder]:
    """A filter under construction, freed at the end; ``default`` and ``bad_architecture`` are SCMP_ACT_* values.

    A syscall of an architecture outside ``tokens`` gets ``bad_architecture``.
    """
    context = library.lib.seccomp_init(default)
    if context == library.ffi.NULL:
        raise HardeningError(f"libseccomp refuses the default action {default:#x}")
    try:
        builder = FilterBuilder(library, context)
        builder.attribute("SCMP_FLTATR_ACT_BADARCH", bad_architecture)
        builder.attribute("SCMP_FLTATR_CTL_NNP", 0)
        if tree:
            builder.attribute("SCMP_FLTATR_CTL_OPTIMIZE", BINARY_TREE)
        builder.architectures(library.native(), tokens)
        yield builder
    finally:
        library.lib.seccomp_release(context)


@frozen(eq=False)
class FilterBuilder:
    """A filter under construction (seccomp_init(3))."""

    _library: Libseccomp
    _context: Any

    def attribute(self, name: str, value: int) -> None:
        """Set an attribute (seccomp_attr_set(3))."""
        self._done(self._library.lib.seccomp_attr_set(self._context, getattr(self._library.lib, name), value), name)

    def architectures(self, native: int, tokens: Sequence[int]) -> None:
        """Make the filter hold exactly ``tokens``; the library starts with the native one."""
        for token in tokens:
            if token != native:
                self._done(self._library.lib.seccomp_arch_add(self._context, token), f"architecture {token:#x}")
        if native not in tokens:
            self._done(self._library.lib.seccomp_arch_remove(self._context, native), f"architecture {native:#x}")

    def rule(self, action: int, number: int, conditions: Sequence[Condition], *, what: str) -> None:
        """Add a rule. One that the library already holds is no error; a number that no architecture has is left out."""
        array = (
            self._library.ffi.new("struct scmp_arg_cmp[]", len(conditions)) if conditions else self._library.ffi.NULL
        )
        for place, condition in enumerate(conditions):
            item = array[place]
            item.arg = condition.argument
            item.op = getattr(self._library.lib, f"SCMP_CMP_{condition.operator}")
            item.datum_a, item.datum_b = condition.first, condition.second
        result = self._library.lib.seccomp_rule_add_array(self._context, action, number, len(conditions), array)
        if result != -errno.EEXIST:
            self._done(result, what)

    def export(self) -> bytes:
        """The BPF program, 8 bytes an instruction in the byte order of this machine (linux/filter.h)."""
        descriptor = os.memfd_create("seccomp-bpf", os.MFD_CLOEXEC)
        try:
            self._done(self._library.lib.seccomp_export_bpf(self._context, descriptor), "the compiled filter")
            os.lseek(descriptor, 0, os.SEEK_SET)
            parts = []
            while part := os.read(descriptor, 1 << 16):
                parts.append(part)
        finally:
            os.close(descriptor)
        return b"".join(parts)

    def _done(self, result: int, what: str) -> None:
        if result < 0:
            reason = os.strerror(-result)
            raise SpecError(
                f"libseccomp refuses {what}: {reason}", hint="simplify the seccomp rules of this system call"
            )


@frozen(eq=False)
class Rules:
    """What an OCI object asks of libseccomp: its default action, architecture tokens, and rules as action, number,
    conditions and name."""

    default: int
    tokens: tuple[int, ...]
    rules: tuple[tuple[int, int, Sequence[Condition], str], ...]

    @classmethod
    def of(cls, document: Mapping[str, Any], library: Libseccomp) -> Rules:
        """Read an object; names that the library does not know have no rule."""
        default = read_action(
            document["defaultAction"], document.get("defaultErrnoRet"), None, "/linux/seccomp/defaultAction"
        )
        tokens = (token_of(library, name.removeprefix("SCMP_ARCH_").lower()) for name in document["architectures"])
        return cls(default.returned, tuple(tokens), tuple(_rules(document, default, library)))

    def program(self, library: Libseccomp, *, tree: bool) -> bytes:
        """The BPF program."""
        with building(library, self.default, KILL_PROCESS.returned, self.tokens, tree=tree) as builder:
            for action, number, conditions, name in self.rules:
                builder.rule(action, number, conditions, what=name)
            return builder.export()


def build(document: Mapping[str, Any], library: Libseccomp, *, tree: bool) -> bytes:
    """The BPF program of an OCI object; names that the library does not know for an architecture have no rule there."""
    return Rules.of(document, library).program(library, tree=tree)


def _rules(
    document: Mapping[str, Any], default: Action, library: Libseccomp
) -> Iterator[tuple[int, int, Sequence[Condition], str]]:
    native = library.native()
    for index, item in enumerate(document["syscalls"]):
        place = f"/linux/seccomp/syscalls/{index}"
        action = read_action(item["action"], item.get("errnoRet"), None, place)
        if action == default:
            continue
        cases = [[*map(_condition, case)] for case in read_cases(item.get("args"), None, place)]
        for name in read_names(item["names"], None, place):
            number = library.resolved(native, name)
            if number is not None:
                yield from ((action.returned, number, conditions, name) for conditions in cases)


def _condition(item: Comparison) -> Condition:
    if item.op is Op.MASKED_EQ:
        return Condition(item.index, item.op.name, item.mask, item.value)
    return Condition(item.index, item.op.name, item.value)


def token_of(library: Libseccomp, name: str) -> int:
    token = library.architecture(name)
    if token is None:
        raise HostError(f"libseccomp does not know the architecture {name}", hint="update libseccomp")
    return token
