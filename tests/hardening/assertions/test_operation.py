"""What assertions are about: the words of each operation, and who denies it by the composition."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardening.assemble import pipeline
from hardening.assertions import operation
from hardening.compose.composition import Composition
from hardening.errors import ProfileError
from hardening.mechanism.mechanism import Context
from hardening.profile.source import Origin
from tests.support import runs

HERE = Origin("test", "web.test.toml:3")


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> tuple[Composition, Context]:
    plugins = runs.installed()
    host = runs.host_of(None, plugins)
    folder: Path = tmp_path_factory.mktemp("operation")
    found = runs.composed(['extends = ["strict"]'], plugins, host, folder)
    return found, pipeline.examine(found, host)


@pytest.mark.parametrize(
    ("asked", "by"),
    [
        ("read /etc/hosts", None), ("see /etc", None), ("write /tmp", None), ("execute /usr/bin/env", None),
        ("getpid", None), ("openat(-100)", None), ("socketpair(AF_UNIX)", None), ("write /etc", "rootfs"),
        ("execute /tmp", "rootfs"),
        ("read /root/x", "rootfs"), ("mount", "seccomp"), ("socket(AF_PACKET)", "seccomp"),
        ("CAP_KILL", "capabilities"),
        ("bind :8080", "seccomp"), ("connect 192.0.2.1:80/udp", "seccomp"), ("connect [2001:db8::1]:80", "seccomp"),
    ],
)  # fmt: skip
def test_who_denies_it_is_told(asked: str, by: str | None, strict: tuple[Composition, Context]) -> None:
    found = operation.read(asked, *strict, HERE)
    denials = {denial.mechanism for denial in found.denials(*strict)}
    assert by in denials if by else not denials
    assert [*found.touched(*strict)] or not by
    compile(found.witness.program, asked, "exec")


def test_a_capability_is_had_or_not_whichever_calls_a_filter_lets_through(strict: tuple[Composition, Context]) -> None:
    # The filter of strict denies capset(2), with which a process takes one into effect.
    found = operation.read("CAP_KILL", *strict, HERE)
    assert [denial.leaf for denial in found.denials(*strict)] == ["capabilities.KILL"]
    assert "seccomp" in {denial.mechanism for denial in operation.read("capset", *strict, HERE).denials(*strict)}


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("read etc/hosts", 'write "read /etc/hosts"'), ("writes /etc", '"write"'), ("Read /etc", '"read"'),
        ("mont", '"mount"'), ("bind 80", '"bind :80"'), ("cap_kill", '"CAP_KILL"'), ("SYS_ADMIN", '"CAP_SYS_ADMIN"'),
        ("bind :0", "ports"), ("CAP_SYS_ADMN", "CAP_SYS_ADMIN"), ("socketpair", "socketpair(1, 2)"), ("mount(1,2", "mount"),
        ("connect :1:2", "connect"), ("", "read /PATH"),
    ],
)  # fmt: skip
def test_what_is_no_operation_is_told_with_what_was_meant(
    asked: str, hint: str, strict: tuple[Composition, Context]
) -> None:
    with pytest.raises(ProfileError) as caught:
        operation.read(asked, *strict, HERE)
    assert caught.value.origin == HERE
    assert caught.value.hint
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "asked", ["exit_group", "fork", "reboot", "msgget", "kill(-1, 9)", "kill(0, 9)", "tgkill(0xffffffff)"]
)
def test_what_ends_a_process_or_reaches_others_is_tried_by_no_program(
    asked: str, strict: tuple[Composition, Context]
) -> None:
    assert not operation.read(asked, *strict, HERE).attempt
