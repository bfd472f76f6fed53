"""`hardening test`: what of a profile holds, what nobody looks at, and what could be loosened unnoticed."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from hardening.cli import main

PROFILE = """extends = ["strict"]
[rootfs]
tmpfs.add = ["/run/web:size=8M,noexec"]
[process]
umask = "077"
[seccomp]
deny = ["getrandom"]
[[exceptions]]
setting = "rootfs.tmpfs./run/web"
reason = "its pid file"
"""
TEST = """[[test]]
name = "writes"
allows = ["write /run/web", "write /etc"]
runs = [{ command = ["true"] }]
[[test]]
name = "denied"
denies = ["execute /run/web", { what = "mount", by = "rootfs" }]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "web.toml").write_text(PROFILE)
    (tmp_path / "web.test.toml").write_text(TEST)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_what_does_not_hold_is_told_with_its_line_and_who_denies_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", "."]) == 1
    said = capsys.readouterr()
    assert "web.test.toml:3: allows write /etc: rootfs.read_only: mounted read-only" in said.out
    assert "web.test.toml:7: denies mount by rootfs: rootfs does not deny it: " in said.out
    assert "runs true: a command is run with --live" in said.out
    assert said.err.strip().endswith("2 tests, 5 assertions: 2 passed, 2 failed, 1 skipped")


@pytest.mark.usefixtures("folder")
def test_json_junit_and_tap_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    texts = {}
    for form in ("json", "junit", "tap"):
        assert main(["test", "--format", form, "web.toml"]) == 1
        texts[form] = capsys.readouterr().out
    states = [item["state"] for case in json.loads(texts["json"]) for item in case["assertions"]]
    assert states == ["passed", "failed", "skipped", "passed", "failed"]
    (suite,) = ElementTree.fromstring(texts["junit"])
    assert {key: suite.get(key) for key in ("tests", "failures", "skipped")} == {
        "tests": "5", "failures": "2", "skipped": "1",
    }  # fmt: skip
    points = [line for line in texts["tap"].splitlines() if "ok " in line]
    assert [line.startswith("not ok") for line in points] == [state == "failed" for state in states]
    assert "1..5" in texts["tap"]
    assert " # SKIP " in points[2]


def test_what_nobody_looks_at_and_what_nobody_would_notice_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Each is planted: the umask is asserted by nothing, and the system call by the second file alone.
    (folder / "web.test.toml").write_text('[[test]]\nname = "x"\nallows = ["write /run/web"]\n')
    assert main(["test", "--coverage", "--mutate", "web.toml"]) == 1
    without = capsys.readouterr().out
    assert "process.umask" in without.partition("coverage")[2].partition("loosened in")[0]
    assert {"process.umask", "seccomp.getrandom"} <= set(without.partition("loosened in")[2].split())
    (folder / "web.test.toml").write_text('[[test]]\nname = "x"\ndenies = ["getrandom"]\n')
    assert main(["test", "--mutate", "web.toml"]) == 1
    noticed = capsys.readouterr().out
    assert "process.umask" in noticed
    assert "seccomp.getrandom" not in noticed


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "no assertions to try"),
        (("web.tml",), "web.tml"),
        (("empty",), "there are no assertions"),
        (("none.toml",), "none.test.toml"),
    ],
)
def test_what_cannot_be_read_is_said(
    words: tuple[str, ...], text: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "empty").mkdir()
    assert main(["test", *words]) == 2
    said = capsys.readouterr().err
    assert text in said
    assert "hint: " in said


def test_all_that_is_wrong_with_files_is_told_at_once_and_nothing_is_tried(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "web.test.toml").write_text(
        '[[test]]\nname = "x"\ndenies = [{ what = "mount", by = "secomp" }, "mont"]\nallows = ["reed /etc"]\n'
    )
    (folder / "a.test.toml").write_text('profiles = ["strct"]\n[[test]]\nname = "x"\nallows = ["getpid"]\n')
    (folder / "b.test.toml").write_text('[[test]]\nname = "x"\nallows = ["getpid"]\n')
    (folder / "c.test.toml").write_text('profiles = ["strict"]\n[[test]]\nname = "x"\nallows = ["getpid"]\n')
    assert main(["test", "."]) == 2
    said = capsys.readouterr()
    assert not said.out
    assert said.err.splitlines() == [
        'error: a.test.toml:1: no such profile: "strct"', 'hint: did you mean "strict"?',
        "error: b.test.toml:1: there is no ./b.toml",
        'hint: write profiles = ["NAME", "./PATH.toml"], as they are seen from the folder of this file',
        "error: web.test.toml:3: there is no mechanism secomp", 'hint: did you mean "seccomp"?',
        "error: web.test.toml:3: no operation: mont", 'hint: did you mean "mount"?',
        "error: web.test.toml:4: no operation: reed /etc", 'hint: did you mean "read"?',
    ]  # fmt: skip


@pytest.mark.system
def test_live_the_kernel_answers_and_commands_are_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "web.test.toml").write_text(
        '[[test]]\nname = "x"\nallows = ["write /run/web", "socketpair(AF_UNIX)"]\n'
        'denies = [{ what = "keyctl", by = "seccomp" }, { what = "keyctl", by = "rootfs" }, "read /root"]\n'
        'runs = [{ command = ["sh", "-c", "echo no; exit 3"], exit = 3, prints = "no" }, { command = ["false"] }]\n'
    )
    assert main(["test", "--live", "--format", "json", "web.toml"]) == 1
    (case,) = json.loads(capsys.readouterr().out)
    states = [item["state"] for item in case["assertions"]]
    assert states == ["passed", "passed", "passed", "failed", "passed", "passed", "failed"]
    assert "seccomp.keyctl" in case["assertions"][3]["why"]
