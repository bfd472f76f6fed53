"""From an OCI object to a BPF program, as crun and runc do it with libseccomp."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hardening.errors import HostError
from hardening_seccomp.actions import KILL_PROCESS
from hardening_seccomp.conditions import Comparison, Op
from hardening_seccomp.libseccomp import Condition, Libseccomp
from hardening_seccomp.oci import read_action, read_cases, read_names


def build(document: Mapping[str, Any], library: Libseccomp, *, tree: bool) -> bytes:
    """The BPF program of an OCI object; names that the library does not know for an architecture have no rule there."""
    default = read_action(
        document["defaultAction"], document.get("defaultErrnoRet"), None, "/linux/seccomp/defaultAction"
    )
    tokens = [token_of(library, name.removeprefix("SCMP_ARCH_").lower()) for name in document["architectures"]]
    native = library.native()
    with library.build(default.returned, KILL_PROCESS.returned, tokens, tree=tree) as builder:
        for index, item in enumerate(document["syscalls"]):
            place = f"/linux/seccomp/syscalls/{index}"
            action = read_action(item["action"], item.get("errnoRet"), None, place)
            if action == default:
                continue
            cases = list(_conditions(item, place))
            for name in read_names(item["names"], None, place):
                number = library.number(native, name)
                if number is not None:
                    for conditions in cases:
                        builder.rule(action.returned, number, conditions, what=name)
        return builder.export()


def _conditions(item: Mapping[str, Any], place: str) -> Iterator[list[Condition]]:
    for case in read_cases(item.get("args"), None, place):
        yield [_condition(comparison) for comparison in case]


def _condition(item: Comparison) -> Condition:
    if item.op is Op.MASKED_EQ:
        return Condition(item.index, item.op.name, item.mask, item.value)
    return Condition(item.index, item.op.name, item.value)


def token_of(library: Libseccomp, name: str) -> int:
    token = library.architecture(name)
    if token is None:
        raise HostError(f"libseccomp does not know the architecture {name}", hint="update libseccomp")
    return token
