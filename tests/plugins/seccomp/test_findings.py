"""Findings and the receipt."""

from __future__ import annotations

from pathlib import Path

from hardening.base.linux.libseccomp import Libseccomp
from hardening.mechanism.fragment import Fragment
from hardening_seccomp import Seccomp
from tests.plugins.seccomp.stacks import context, settings


def rules(tmp_path: Path, text: str) -> set[str]:
    found = Seccomp().findings(settings(tmp_path, text), context())
    return {finding.rule.removeprefix("seccomp/") for finding in found}


OLD = {"old-libseccomp"} if Libseccomp.load().version < (2, 6, 1) else set()


def test_the_strict_default_has_nothing_to_say(tmp_path: Path) -> None:
    assert rules(tmp_path, "") == OLD


def test_dangerous_permissions(tmp_path: Path) -> None:
    text = (
        '[seccomp]\ndefault = "errno:ENOSYS"\nallow = ["ptrace", "bpf", "ioctl", "unshare"]\narchitectures = ["x86"]\n'
    )
    assert rules(tmp_path, text) - OLD == {
        "allows-ptrace",
        "allows-bpf",
        "allows-unshare",
        "allows-tiocsti",
        "architecture",
    }


def test_defaults(tmp_path: Path) -> None:
    assert "open-default" in rules(tmp_path, '[seccomp]\ndefault = "allow"\n')
    assert "harsh-default" in rules(tmp_path, '[seccomp]\ndefault = "kill-thread"\n')


def test_the_stricter_side_is_told(tmp_path: Path) -> None:
    values = ", ".join(
        f'{{ names = ["read"], action = "allow", args = [{{ index = 1, op = "eq", value = {3 * value} }}] }}'
        for value in range(300)
    )
    fragment = Fragment("seccomp")
    text = f'[seccomp]\ndefault = "errno:ENOSYS"\nrules = [{values}]\n'
    Seccomp().contribute(settings(tmp_path, text), context(), fragment)
    assert {finding.rule for finding in fragment.told} == {"seccomp/stricter"}
