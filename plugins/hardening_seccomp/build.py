"""From an OCI object to a BPF program, as crun and runc do it with libseccomp."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hardening.base.linux.libseccomp import Condition, Libseccomp
from hardening.base.values import frozen
from hardening.errors import HostError
from hardening_seccomp.actions import KILL_PROCESS, Action
from hardening_seccomp.conditions import Comparison, Op
from hardening_seccomp.oci import read_action, read_cases, read_names


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
        with library.build(self.default, KILL_PROCESS.returned, self.tokens, tree=tree) as builder:
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
