"""Profiles in the docker/containers format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hardening.errors import HardeningError
from hardening_seccomp.actions import ALLOW, ENOSYS, EPERM, Action, ActionKind
from hardening_seccomp.conditions import Comparison, ConditionEntry, Op, Rule, describe, rule_of
from hardening_seccomp.docker import DockerProfile, DockerTarget, parse, read_file

PODMAN = Path("/usr/share/containers/seccomp.json")
NO_CAPS = DockerTarget("x86_64", frozenset(), (6, 1))


def profile(target: DockerTarget = NO_CAPS, **more: Any) -> DockerProfile:
    return parse(json.dumps({"defaultAction": "SCMP_ACT_ERRNO", **more}).encode(), target)


def names(target: DockerTarget = NO_CAPS, **rule: Any) -> list[str]:
    found = profile(target, syscalls=[{"names": ["read"], "action": "SCMP_ACT_ALLOW", **rule}])
    return [name for name, _ in found.entries]


def rule(found: DockerProfile, name: str) -> Rule:
    return rule_of([entry for other, entry in found.entries if other == name], found.default)


def test_podmans_profile_without_capabilities() -> None:
    found = read_file(PODMAN, NO_CAPS)
    assert found.default == ENOSYS
    assert found.architectures == {"x86", "x32"}
    assert describe(rule(found, "read")) == "allow"
    assert describe(rule(found, "bpf")) == "errno:EPERM"
    assert describe(rule(found, "kexec_load")) == "errno:EPERM"
    assert describe(rule(found, "socket")) == "errno:EINVAL if arg0 == 0x10 and arg2 == 0x9, else allow"
    assert rule(found, "personality").value((8, 0, 0, 0, 0, 0)) == ALLOW
    assert rule(found, "personality").value((4, 0, 0, 0, 0, 0)) == ENOSYS


def test_podmans_profile_with_capabilities() -> None:
    found = read_file(PODMAN, DockerTarget("x86_64", frozenset({"CAP_SYS_ADMIN", "CAP_AUDIT_WRITE"}), (6, 1)))
    assert describe(rule(found, "bpf")) == "allow"
    assert describe(rule(found, "socket")) == "allow"
    assert describe(rule(found, "chroot")) == "errno:EPERM"


def test_podmans_profile_on_another_machine() -> None:
    found = read_file(PODMAN, DockerTarget("aarch64", frozenset(), (6, 1)))
    assert found.architectures == {"arm"}
    assert describe(rule(found, "arch_prctl")) == "errno:ENOSYS"
    assert describe(rule(found, "cacheflush")) == "allow"


def test_conditions_on_the_machine() -> None:
    one, two = (
        DockerTarget("x86_64", frozenset({"CAP_A"}), (4, 8)),
        DockerTarget("x86_64", frozenset({"CAP_A", "CAP_B"}), (4, 7)),
    )
    both = {"caps": ["CAP_A", "CAP_B"]}
    assert (names(one, includes=both), names(two, includes=both)) == ([], ["read"])
    assert (names(one, excludes=both), names(excludes=both)) == ([], ["read"])
    assert names(includes={"arches": ["amd64"]}) == ["read"]
    assert names(includes={"arches": ["arm64"]}) == names(excludes={"arches": ["amd64"]}) == []
    assert (names(one, includes={"minKernel": "4.8"}), names(two, includes={"minKernel": "4.8"})) == (["read"], [])


def test_comments_mean_nothing_and_other_keys_are_errors() -> None:
    test = {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}
    rule = {"names": ["read"], "action": "SCMP_ACT_ALLOW"}
    commented = {**rule, "description": "for us", "args": [{**test, "comment": "one"}], "includes": {"_": "all"}}
    plain = {**rule, "args": [test]}
    assert profile(comment="for us", Description="us", _why="so", syscalls=[commented]) == profile(syscalls=[plain])
    with pytest.raises(HardeningError, match=r"^/downloadedFrom: unknown key") as caught:
        profile(downloadedFrom="there")
    assert caught.value.hint is not None
    assert "begin it with _" in caught.value.hint
    with pytest.raises(HardeningError, match=r"^/syscalls/0/args/0/vallue: unknown key") as caught:
        profile(syscalls=[{**rule, "args": [{**test, "vallue": 2}]}])
    assert caught.value.hint is not None
    assert 'did you mean "value"? Docker' in caught.value.hint


def test_keys_are_read_in_any_case_and_once() -> None:
    mapped = [{"Architecture": "SCMP_ARCH_X86_64", "subarchitectures": ["SCMP_ARCH_X86"]}]
    test = {"INDEX": 0, "Value": 1, "valuetwo": 3, "op": "SCMP_CMP_MASKED_EQ"}
    rule = {"Names": ["read"], "ACTION": "SCMP_ACT_ALLOW", "includes": {"Caps": ["CAP_A"]}, "Args": [test]}
    found = profile(
        DockerTarget("x86_64", frozenset({"CAP_A"}), (6, 1)), ARCHMAP=mapped, sysCalls=[rule], defaulterrnoret=38
    )
    assert found.default == ENOSYS
    assert found.architectures == {"x86"}
    assert found.entries == (("read", ConditionEntry(ALLOW, (Comparison(0, Op.MASKED_EQ, 1, 1),))),)
    assert profile(sysCalls=[rule]).entries == ()
    with pytest.raises(HardeningError, match=r"^/Defaultaction: repeats defaultAction"):
        profile(Defaultaction="SCMP_ACT_ALLOW")


def test_an_empty_name_is_none() -> None:
    assert names(name="") == ["read"]


def test_names_of_errnos_go_before_numbers() -> None:
    found = profile(
        defaultErrnoRet=1,
        defaultErrno="ENOSYS",
        syscalls=[{"name": "read", "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "errno": "EACCES"}],
    )
    assert found.default == ENOSYS
    assert found.entries == (("read", ConditionEntry(Action(ActionKind.ERRNO, 13))),)
    assert profile().default == EPERM


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{", "not a seccomp profile"),
        (b"\xff", "not a seccomp profile"),
        (b"[" * 100000, "not a seccomp profile"),
        (b'{"defaultAction": "SCMP_ACT_ALLOW", "defaultAction": "SCMP_ACT_KILL"}', "'defaultAction' is given twice"),
        (b'{"defaultAction": "SCMP_ACT_ALLOW", "comment": NaN}', "NaN is not JSON"),
        (b'{"defaultAction": "SCMP_ACT_ALLOW", "comment": 1e999}', "1e999 is out of range"),
        (b'{"defaultAction": "SCMP_ACT_ALLOW", "syscall": []}', "/syscall: unknown key"),
        (b'{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 0}', "/defaultErrnoRet: errno 0"),
        (b'{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "0"}', "/defaultErrno: errno 0"),
        (
            b'{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "setuid", "action": "SCMP_ACT_ERRNO", '
            b'"errnoRet": 0}]}',
            "/syscalls/0/errnoRet: errno 0",
        ),
        (b'{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"action": "SCMP_ACT_ALLOW"}]}', "name or names"),
        *(
            (
                b'{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["%s"], "action": "SCMP_ACT_LOG"}]}'
                % name,
                words,
            )
            for name, words in ((b"\\udcff", "not a list of system call names"), (b"read\\u0000x", "not a list"))
        ),
        (
            b'{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x"}',
            "/listenerPath: nothing here serves a seccomp listener",
        ),
        (b'{"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x"}', "/listenerMetadata: nothing here serves"),
        (b'{"defaultAction": "SCMP_ACT_NOTIFY"}', "/defaultAction: SCMP_ACT_NOTIFY needs a supervisor"),
        (
            b'{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "read", "action": "SCMP_ACT_NOTIFY"}]}',
            "/syscalls/0/action: SCMP_ACT_NOTIFY needs a supervisor",
        ),
        (b'{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_NEW"]}', "/flags/0: unknown flag"),
        (b'{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["X"]}', "unknown architecture"),
        (
            b'{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], "archMap": '
            b'[{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []}]}',
            "exclude each other",
        ),
        (
            b'{"defaultAction": "SCMP_ACT_ALLOW", "archMap": [{"architecture": "SCMP_ARCH_X86_64"}, '
            b'{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}]}',
            "/archMap/1 repeats an architecture",
        ),
        (
            b'{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "read", "action": "SCMP_ACT_ALLOW", '
            b'"includes": {"minKernel": "new"}}]}',
            "kernel version",
        ),
        (
            b'{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "read", "action": "SCMP_ACT_ALLOW", '
            b'"includes": {"cap": []}}]}',
            "/syscalls/0/includes/cap: unknown key",
        ),
    ],
)
def test_what_is_malformed_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(HardeningError, match=message):
        parse(text, NO_CAPS, origin="docker.json")


def test_files_that_others_can_write_or_replace_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    path = folder / "docker.json"
    path.write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    path.chmod(0o666)
    with pytest.raises(HardeningError, match="written by others"):
        read_file(path, NO_CAPS)
    path.chmod(0o644)
    assert read_file(path, NO_CAPS).default == ALLOW
    folder.chmod(0o777)
    with pytest.raises(HardeningError, match="can be written by others than its owner") as caught:
        read_file(path, NO_CAPS, origin="layer.toml:3")
    assert caught.value.origin == "layer.toml:3"
    with pytest.raises(HardeningError, match="not a regular file"):
        read_file(Path("/dev/null"), NO_CAPS)
