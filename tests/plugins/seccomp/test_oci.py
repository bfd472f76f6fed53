"""The OCI object: reading it, writing it, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from hardening.errors import SpecError
from hardening_seccomp.actions import ALLOW, ENOSYS, EPERM, LOG
from hardening_seccomp.conditions import Comparison, Op, Rule
from hardening_seccomp.diagrams import constant
from hardening_seccomp.filters import Filter
from hardening_seccomp.oci import emit, read, read_cases
from tests.plugins.seccomp import generate


def syscall(action: str = "SCMP_ACT_ALLOW", **more: Any) -> dict[str, Any]:
    return {"names": ["read"], "action": action, **more}


def document(*syscalls: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": list(syscalls), **more}


def argument(op: str, value: int, index: int = 0, **more: Any) -> dict[str, Any]:
    return {"index": index, "op": op, "value": value, **more}


@settings(deadline=None)
@given(generate.rules(), generate.rules())
def test_what_is_written_reads_back(a: Rule, b: Rule) -> None:
    model = Filter(ENOSYS, {"read": a, "write": b, "ioctl": a}, frozenset({"x86_64", "x86"}), frozenset({"log"}))
    emission = emit(model)
    if not emission.written:
        found = read(emission.document, native="x86_64")
        assert found.model == model.normal()
        assert found.ambiguous == ()


def test_names_with_equal_rules_are_grouped_and_defaults_left_out() -> None:
    rules = {
        "read": constant(ALLOW),
        "write": constant(ALLOW),
        "mount": constant(EPERM),
        "kexec_load": constant(ENOSYS),
    }
    assert emit(Filter(ENOSYS, rules, frozenset({"x86_64"}))).document == {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 38,
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [
            {"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
            {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"},
        ],
    }


def test_overlaps_of_different_actions_are_the_strictest_and_told() -> None:
    found = read(document(syscall(), syscall("SCMP_ACT_LOG")), native="x86_64")
    assert found.model.rule("read") == constant(LOG)
    assert found.ambiguous == ("read",)
    disjoint = [
        syscall(args=[argument("SCMP_CMP_LT", 5)]),
        syscall("SCMP_ACT_LOG", args=[argument("SCMP_CMP_GE", 5)]),
    ]
    assert read(document(*disjoint), native="x86_64").ambiguous == ()
    same = [syscall(args=[argument("SCMP_CMP_LT", 5)]), syscall(args=[argument("SCMP_CMP_LT", 9)])]
    assert read(document(*same), native="x86_64").ambiguous == ()


def test_a_repeated_index_makes_alternatives() -> None:
    cases = read_cases([argument("SCMP_CMP_EQ", 1), argument("SCMP_CMP_EQ", 2)], None, "/args")
    assert cases == [(Comparison(0, Op.EQ, 1),), (Comparison(0, Op.EQ, 2),)]
    assert read_cases([argument("SCMP_CMP_MASKED_EQ", 6, valueTwo=4)], None, "/args") == [
        (Comparison(0, Op.MASKED_EQ, 4, 6),)
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([], "not an object"),
        ({}, "unknown action None"),
        (document(syscall("SCMP_ACT_NOTIFY")), "needs a supervisor"),
        (document(syscall("ALLOW")), "unknown action"),
        (document(syscall(errno=1)), "unknown key"),
        (document({"names": [], "action": "SCMP_ACT_ALLOW"}), "names"),
        (document(syscall(args=[argument("EQ", 1)])), "unknown operator"),
        (document(syscall(args=[argument("SCMP_CMP_EQ", -1)])), "value"),
        (document(syscall(args=[argument("SCMP_CMP_EQ", 1, index=6)])), "index"),
        (document(syscall("SCMP_ACT_ERRNO", errnoRet=5000)), "errnoRet"),
        (document(architectures=["SCMP_ARCH_PDP11"]), "unknown architecture"),
        (document(flags=["SECCOMP_FILTER_FLAG_NEW"]), "/flags/0: unknown flag"),
        (document(flags=["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]), "/flags/0: .* is for a listener"),
        (document(listenerPath="/run/x"), "/linux/seccomp/listenerPath: nothing here serves"),
        (document(listenerMetadata="x"), "/linux/seccomp/listenerMetadata: nothing here serves"),
        (document(defaultAction="SCMP_ACT_NOTIFY"), "/linux/seccomp/defaultAction: SCMP_ACT_NOTIFY needs a supervisor"),
    ],
)
def test_what_is_malformed_is_refused_with_its_pointer(value: object, text: str) -> None:
    with pytest.raises(SpecError, match=text):
        read(value, native="x86_64")
