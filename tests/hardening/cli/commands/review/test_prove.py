"""`hardening prove`: yes, or what is not within, with a program that the kernel answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hardening.cli import main
from tests.hardening.cli.samples import call, profile, session

LAYER = """extends = "strict"
[[exceptions]]
setting = "capabilities.SYS_CHROOT"
reason = "a test"
[[exceptions]]
setting = "rootfs.proc.subset"
reason = "a test"
[capabilities]
add = ["SYS_CHROOT"]
[rootfs]
proc.subset = ""
"""


def test_without_a_program_the_settings_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    profile(tmp_path, "org", "[box]\nsize = 5\n")
    profile(tmp_path, "wide", "[box]\nsize = 9\nlabel = 'x'\n")
    assert call(session(tmp_path), "prove", "org", "within", "wide") == 0
    assert capsys.readouterr().out == (
        "these differ, and no value of theirs counts as more than another: look at them:\n"
        "  box.label: x -> (none)\n    default (tests.hardening.cli.samples), before: wide.toml:3\n\norg is within wide\n"
    )
    assert call(session(tmp_path), "prove", "wide", "within", "org") == 1
    assert capsys.readouterr().out == (
        "wide permits more than org:\n"
        "  box.size: 5 -> 9\n    wide.toml:2, before: org.toml:2\n\n"
        "no program shows box.size: its mechanism knows none for this host\n\nwide is not within org\n"
    )


@pytest.mark.parametrize(
    "words", [("org", "wide"), ("org", "inside", "org"), ("org", "within"), ("org", "within", "b.json")]
)
def test_what_cannot_be_proved_is_said(
    tmp_path: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    profile(tmp_path, "org", "[box]\nsize = 5\n")
    (tmp_path / "b.json").write_text("{}")
    assert call(session(tmp_path), "prove", *words) == 2
    assert "hint: " in capsys.readouterr().err


@pytest.mark.system
def test_the_kernel_is_asked_until_a_program_shows_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layer = str(profile(tmp_path, "loose", LAYER))
    assert main(["prove", layer, "within", "strict"]) == 1
    printed = capsys.readouterr().out
    assert "  rootfs.proc.subset: pid -> (none)\n" in printed
    assert printed.count("\nnot run: ") == 1
    assert main(["prove", layer, "within", "strict", "--run", "--json"]) == 1
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert [item["leaf"] for item in found["beyond"]] == ["capabilities.SYS_CHROOT", "rootfs.proc.subset"]
    assert (found["within"], found["counterexamples"][-1]["shows"]) == (False, True)
    # chroot(2) is no call of the filter of either, and shows nothing.
    shown = [(item["leaf"], *(one["permitted"] for one in item["outcomes"])) for item in found["counterexamples"]]
    assert shown == [("capabilities.SYS_CHROOT", False, False), ("capabilities.SYS_CHROOT", True, False)]
    assert main(["prove", layer, "within", "strict", "--run", "--all", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [item["leaf"] for item in found["counterexamples"] if item["shows"]] == [
        "capabilities.SYS_CHROOT",
        "rootfs.proc.subset",
    ]


@pytest.mark.system
def test_a_mount_that_is_gone_shows_what_it_lay_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    profile(tmp_path, "plain", 'extends = "strict"\n')
    covering = (
        '[[exceptions]]\nsetting = "rootfs.tmpfs.{0}"\nreason = "a test"\n[rootfs]\ntmpfs.add = ["{0}:size=1M"]\n'
    )
    profile(tmp_path, "covered", 'extends = "strict"\n' + covering.format("/usr/share"))
    profile(tmp_path, "empty", 'extends = "strict"\n' + covering.format("/no/such/place"))
    assert main(["prove", "./plain.toml", "within", "./empty.toml"]) == 0
    assert main(["diff", "./covered.toml", "./plain.toml"]) == 3
    words = "size=1M,mode=1777 -> none where /usr/share of the host is seen instead"
    assert f"rootfs.tmpfs./usr/share: {words}" in " ".join(capsys.readouterr().out.split())
    assert main(["prove", "./plain.toml", "within", "./covered.toml", "--run", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [item["leaf"] for item in found["beyond"]] == ["rootfs.tmpfs./usr/share"]
    (shown,) = found["counterexamples"]
    assert (shown["what"], shown["shows"]) == ("looks into /usr/share of the host at /usr/share", True)
