"""The contribution to the OCI configuration, and how a foreign one is tightened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hardening.base.digest import of_filter
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Violation
from hardening_seccomp import Seccomp, bpf, groups
from hardening_seccomp.actions import ALLOW, DENY, ENOSYS, EPERM, parse_action
from hardening_seccomp.diagrams import constant
from hardening_seccomp.filters import is_no_looser_than
from hardening_seccomp.host import SeccompFacts
from hardening_seccomp.oci import read
from hardening_seccomp.settings import calls
from hardening_seccomp.spec import DIGEST, FILE, filter_of
from tests.plugins.seccomp.stacks import context, settings, this_host

NATIVE = this_host().of(SeccompFacts).native
ALLOW_SOME = '[seccomp]\ndefault = "errno:ENOSYS"\nallow = ["@basic-io", "ptrace", "stat64"]\n'


def tightened(tmp_path: Path, document: dict[str, Any]) -> tuple[Fragment, list[Violation]]:
    fragment = Fragment("seccomp")
    violation = list(Seccomp().tighten(settings(tmp_path, ALLOW_SOME), document, context(), fragment))
    return fragment, violation


def test_the_bundle_gets_the_object_the_program_and_its_digest(tmp_path: Path) -> None:
    fragment = Fragment("seccomp")
    Seccomp().contribute(settings(tmp_path, ALLOW_SOME), context(), fragment)
    program = fragment.files[FILE].value
    assert isinstance(program, bytes)
    bpf.decode(program)
    assert fragment.values[f"/annotations/{DIGEST}"].value == of_filter(
        fragment.values["/linux/seccomp"].value, program
    )
    found = read(fragment.values["/linux/seccomp"].value, native=NATIVE).model
    assert found == filter_of(settings(tmp_path, ALLOW_SOME), context())
    assert "stat64" not in found.rules


@pytest.mark.parametrize(
    "texts",
    [
        [""],
        ['[seccomp]\nallow = ["@network"]\n'],
        ['[seccomp]\ndefault = "allow"\ndeny = ["@mount", "clone3"]\n'],
        ['[seccomp]\ndefault = "deny"\nallow = ["@strict"]\narchitectures = ["x86", "x32"]\n'],
        ["[limits.seccomp]\ndeny = ['ptrace']\n", '[seccomp]\ndefault = "errno:EACCES"\nallow = ["@default"]\n'],
    ],
)
def test_every_denial_of_a_filter_has_its_errno(texts: list[str], tmp_path: Path) -> None:
    found = filter_of(settings(tmp_path, *texts), context())
    assert DENY not in {found.default, *(action for rule in found.rules.values() for action in rule.leaves)}


def test_what_is_known_is_told_from_what_is_not(tmp_path: Path) -> None:
    found = filter_of(settings(tmp_path, '[seccomp]\ndefault = "deny"\nallow = ["read"]\n'), context())
    assert found.default == ENOSYS
    assert set(found.rules) < calls() - groups.load().members["@fallback"]
    assert {name: rule for name, rule in found.rules.items() if rule != constant(EPERM)} == {"read": constant(ALLOW)}


def test_the_errno_of_the_later_layer_is_answered(tmp_path: Path) -> None:
    deny, said = (
        '[seccomp]\ndefault = "deny"\nallow = ["read"]\n',
        '[seccomp]\ndefault = "errno:EACCES"\nallow = ["read"]\n',
    )
    assert filter_of(settings(tmp_path, deny, said), context()).rule("ptrace") == constant(parse_action("errno:EACCES"))
    assert filter_of(settings(tmp_path, said, deny), context()).rule("ptrace") == constant(EPERM)


def test_what_a_foreign_filter_denies_too_has_our_word(tmp_path: Path) -> None:
    """The default of docker's files is EPERM, for calls of a newer kernel too."""
    foreign = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}
    fragment = Fragment("seccomp")
    list(Seccomp().tighten(settings(tmp_path, ""), {"linux": {"seccomp": foreign}}, context(), fragment))
    found = read(fragment.values["/linux/seccomp"].value, native=NATIVE).model
    assert found.default == ENOSYS
    asked = ("read", "write", "ptrace", "clone3")
    assert [str(found.rule(name).leaves[0]) for name in asked] == [
        "allow",
        "errno:EPERM",
        "errno:EPERM",
        "errno:ENOSYS",
    ]


def test_a_foreign_filter_is_intersected(tmp_path: Path) -> None:
    foreign = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [
            {"names": ["read", "mount"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["write"], "action": "SCMP_ACT_LOG"},
        ],
    }
    fragment, violation = tightened(tmp_path, {"linux": {"seccomp": foreign}})
    found = read(fragment.values["/linux/seccomp"].value, native=NATIVE).model
    assert is_no_looser_than(found, filter_of(settings(tmp_path, ALLOW_SOME), context()))
    assert is_no_looser_than(found, read(foreign, native=NATIVE).model)
    assert str(found.rule("read").leaves[0]) == "allow"
    assert str(found.rule("write").leaves[0]) == "log"
    assert [item.leaf for item in violation] == ["seccomp.mount"]


def test_an_architecture_that_goes_is_told_as_one_and_not_by_its_system_calls(tmp_path: Path) -> None:
    foreign = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        "syscalls": [{"names": ["read", "mount", "waitpid", "no_such_call"], "action": "SCMP_ACT_ALLOW"}],
    }
    _, violation = tightened(tmp_path, {"linux": {"seccomp": foreign}})
    assert [item.leaf for item in violation] == ["seccomp.mount", "seccomp.architectures.x86", "seccomp.no_such_call"]


def test_a_configuration_without_a_filter_gets_ours(tmp_path: Path) -> None:
    fragment, violation = tightened(tmp_path, {})
    assert fragment.values["/linux/seccomp"].value["defaultErrnoRet"] == 38
    assert [item.asked for item in violation] == ["no filter"]


def test_what_a_foreign_filter_leaves_unclear_is_told(tmp_path: Path) -> None:
    foreign = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "flags": ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"],
        "architectures": ["SCMP_ARCH_X86"],
        "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["read"], "action": "SCMP_ACT_LOG"},
            {"names": ["no_such_call"], "action": "SCMP_ACT_KILL"},
        ],
    }
    _, violation = tightened(tmp_path, {"linux": {"seccomp": foreign}})
    leaves = {item.leaf for item in violation}
    assert {"seccomp.*", "seccomp.flags.spec-allow", "seccomp.read", "seccomp.no_such_call"} <= leaves
    assert "seccomp.architectures.x86" in leaves


def test_a_denial_that_looks_like_success_is_replaced_and_told(tmp_path: Path) -> None:
    foreign = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 0,
        "syscalls": [{"names": ["ptrace"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0}],
    }
    fragment, violation = tightened(tmp_path, {"linux": {"seccomp": foreign}})
    written = fragment.values["/linux/seccomp"].value
    assert 0 not in [written["defaultErrnoRet"], *(item.get("errnoRet") for item in written["syscalls"])]
    assert [(item.pointer, item.allowed, item.leaf) for item in violation] == [
        ("/linux/seccomp/defaultErrnoRet", "errno:EPERM", "seccomp.*"),
        ("/linux/seccomp/syscalls/0/errnoRet", "errno:EPERM", "seccomp.ptrace"),
    ]


def test_tightening_what_was_tightened_changes_nothing(tmp_path: Path) -> None:
    foreign = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 38,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
        "syscalls": [
            {"names": ["read", "mount"], "action": "SCMP_ACT_ALLOW"},
            # Some architectures only have these, and the second pass sees one architecture.
            {"names": ["bdflush", "nice", "stime"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
        ],
    }
    first, _ = tightened(tmp_path, {"linux": {"seccomp": foreign}})
    document = first.values["/linux/seccomp"].value
    again, violation = tightened(tmp_path, {"linux": {"seccomp": document}})
    assert again.values["/linux/seccomp"].value == document
    assert violation == []
