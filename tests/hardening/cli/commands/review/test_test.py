"""`hardening test`: what of a profile holds, what nobody looks at, and what could be loosened unnoticed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
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
    suites = ElementTree.fromstring(texts["junit"])
    (suite,) = suites
    for item in (suites, suite):
        assert {key: item.get(key) for key in ("tests", "failures", "skipped", "errors")} == {
            "tests": "5", "failures": "2", "skipped": "1", "errors": "0",
        }  # fmt: skip
    points = [line for line in texts["tap"].splitlines() if "ok " in line]
    assert [line.startswith("not ok") for line in points] == [state == "failed" for state in states]
    assert "1..5" in texts["tap"]
    assert " # SKIP " in points[2]


#: Settings that are planted, compound ones too: each with the parts that nobody notices, and what notices all of them.
PLANTED = {
    "capabilities.KILL": (("root only",), ["denies CAP_KILL"]),
    "landlock.read": (("/srv",), ["denies read /srv/other"]),
    "landlock.bind": (("any",), ["denies bind :8081 by landlock"]),
    "namespaces.net": (("host",), ["denies connect 192.0.2.1:80 by namespaces"]),
    "process.umask": (("037", "067", "057", "073", "076", "075"), []),
    "rootfs.hidden_paths./usr/share/doc": (("false",), ["denies see /usr/share/doc/bash"]),
    "rootfs.tmpfs./run/web": (("exec",), ["denies execute /run/web"]),
    "rootfs.volumes./data": (("exec",), ["denies execute /data by rootfs"]),
    "seccomp.getrandom": (("log",), ["denies getrandom"]),
    "seccomp.personality": (
        ("allow if arg0 == 0x8", "allow if arg0 != 0x8"),
        ["denies personality(8)", "denies personality(9)"],
    ),
    "seccomp.socket": (("allow if arg0 != 0x2",), ["denies socket(17) by seccomp"]),
}
LOOSE = """extends = ["strict"]
[namespaces]
net = "private"
[capabilities]
drop = ["KILL"]
[rootfs]
tmpfs.add = ["/run/web:size=8M,noexec"]
volumes.add = ["/usr/share:/data:ro,noexec"]
hidden_paths.add = ["/usr/share/doc"]
[process]
umask = "077"
user = "0"
[landlock]
read = ["/usr", "/etc", "/srv/data", "/proc", "/dev", "/bin", "/lib", "/lib64"]
bind = [8080]
[seccomp]
allow = ["bind", "listen", "connect"]
deny = ["getrandom"]
[[seccomp.rules]]
names = ["socket"]
action = "allow"
args = [{ index = 0, op = "eq", value = 2 }]
[[seccomp.rules]]
names = ["personality"]
action = "errno:EPERM"
args = [{ index = 0, op = "eq", value = 8 }]
"""


LOOSE += "".join(
    f'[[exceptions]]\nsetting = "{setting}"\nreason = "it needs that"\n'
    for setting in (
        "process.user", "rootfs.tmpfs./run/web", "rootfs.volumes./data",
        *(f"seccomp.{name}" for name in ("bind", "listen", "connect", "socket")),
    )
)  # fmt: skip
LEFT_OUT = '[[untested]]\nsetting = "process"\nreason = "modes of new files, which no operation tells"\n'


def asserting(names: Iterable[str]) -> str:
    """A file with what notices these planted settings."""
    texts = (text for name in names for text in PLANTED[name][1])
    words = (text.removeprefix("denies ").partition(" by ") for text in texts)
    said = ", ".join(f'{{ what = "{what}"' + (f', by = "{by}" }}' if by else " }") for what, _, by in words)
    return f'[[test]]\nname = "x"\nallows = ["getpid"]\ndenies = [{said}]\n'


@pytest.mark.parametrize("share", [slice(0, 0), slice(None, None, 2), slice(None)])
def test_each_part_of_each_setting_that_nobody_would_notice_is_named_with_its_line(
    share: slice, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "web.toml").write_text(LOOSE)
    asserted = [*PLANTED][share]
    (folder / "web.test.toml").write_text(asserting(asserted) + (LEFT_OUT if asserted else ""))
    code = main(["test", "--mutate", "--format", "json", "web.toml"])
    tests = json.loads(capsys.readouterr().out)
    assert tests[0]["state"] == "passed", tests[0]
    failed = {item["assertion"].split()[1]: item for item in tests[1]["assertions"] if item["state"] == "failed"}
    assert {name: item["why"].partition(" (")[0] for name, item in failed.items()} == {
        name: f"nothing notices {'; '.join(parts)}"
        for name, (parts, _) in PLANTED.items()
        if name not in asserted and not (asserted and name == "process.umask")
    }
    for name, item in failed.items():
        file, _, line = item["origin"].rpartition(":")
        said = " ".join(LOOSE.splitlines()[int(line) - 1 :][:2])  # a rule stands below its header
        assert name.rpartition(".")[2].rpartition("/")[2] in said, (name, item["origin"])
        assert file == "web.toml"
    assert code == bool(failed)


def test_what_no_assertion_looks_at_is_shown_by_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "web.test.toml").write_text('[[test]]\nname = "x"\nallows = ["write /run/web"]\n')
    assert main(["test", "--coverage", "web.toml"]) == 0
    rows = capsys.readouterr().out.partition("coverage")[2].splitlines()
    assert [row.split()[:2] + row.split()[-3:-2] for row in rows[2:]] == [
        ["web.toml:5", "process.umask", "0"], ["web.toml:7", "seccomp.getrandom", "0"],
        ["web.toml:3", "rootfs.tmpfs./run/web", "1"],
    ]  # fmt: skip
    assert main(["test", "--coverage", "--format", "tap", "web.toml"]) == 2
    assert "--coverage" in capsys.readouterr().err


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
    (folder / "b.test.toml").write_text('[[test]]\nname = "x"\nallows = ["gitpid"]\n')
    (folder / "c.test.toml").write_text('profiles = ["strict"]\n[[test]]\nname = "x"\nallows = ["getpid"]\n')
    assert main(["test", "."]) == 2
    said = capsys.readouterr()
    assert not said.out
    assert said.err.splitlines() == [
        'error: a.test.toml:1: no such profile: "strct"', 'hint: did you mean "strict"?',
        "error: b.test.toml:1: there is no ./b.toml",
        'hint: write profiles = ["NAME", "./PATH.toml"], as they are seen from the folder of this file',
        "error: b.test.toml:3: no operation: gitpid", 'hint: did you mean "getpid"?',
        "error: web.test.toml:3: there is no mechanism secomp", 'hint: did you mean "seccomp"?',
        "error: web.test.toml:3: no operation: mont", 'hint: did you mean "mount"?',
        "error: web.test.toml:4: no operation: reed /etc", 'hint: did you mean "read"?',
    ]  # fmt: skip


def test_what_is_for_runs_alone_is_refused_without_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--in-place"], ["--timeout", "3"]):
        assert main(["test", *words, "web.toml"]) == 2
        assert f"{words[0]} is for runs" in capsys.readouterr().err


def test_perl_reads_the_tap_with_every_character_that_means_something_there(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = "odd # TODO \\\\ # SKIP"
    (folder / "web.test.toml").write_text(TEST.replace('"writes"', f'"{odd}"'))
    assert main(["test", "--format", "tap", "web.toml"]) == 1
    (folder / "out.tap").write_text(capsys.readouterr().out)
    found = subprocess.run(["prove", "-e", "cat", "out.tap"], capture_output=True, text=True, check=False)
    assert "Tests: 5 Failed: 2)" in found.stdout
    assert "skipped subtest: 2 okay" in found.stdout, found.stdout
    assert "Parse errors" not in found.stdout


@pytest.mark.system
def test_live_the_kernel_answers_and_commands_are_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "web.test.toml").write_text(
        '[[test]]\nname = "x"\nallows = ["write /run/web", "socketpair(AF_UNIX)"]\n'
        'denies = [{ what = "keyctl", by = "seccomp" }, { what = "read /root", by = "seccomp" }]\n'
        'runs = [{ command = ["sh", "-c", "echo no; exit 3"], exit = 3, prints = "no" }, { command = ["false"] },\n'
        '{ command = ["nothing"] }]\n'
    )
    assert main(["test", "--live", "--format", "json", "web.toml"]) == 1
    (case,) = json.loads(capsys.readouterr().out)
    states = [item["state"] for item in case["assertions"]]
    assert states == ["passed", "passed", "passed", "failed", "passed", "failed", "failed"]
    assert "and not with 0: " in case["assertions"][-1]["why"]
    assert "hint" not in case["assertions"][-1]["why"]
    assert "rootfs." in case["assertions"][3]["why"]


@pytest.mark.system
def test_live_a_command_has_its_time_and_writes_to_copies_unless_in_place(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    volume = folder / "data"
    volume.mkdir(mode=0o777)
    (folder / "web.toml").write_text(
        f'extends = ["default"]\n[rootfs]\nvolumes.add = ["{volume}:/data"]\n[namespaces]\nuser = "host"\n'
        '[[exceptions]]\nsetting = "rootfs.volumes./data"\nreason = "what it works on"\n'
        '[[exceptions]]\nsetting = "namespaces.user"\nreason = "the volume is root\'s"\n'
    )
    (folder / "web.test.toml").write_text(
        '[[test]]\nname = "x"\nruns = [{ command = ["touch", "/data/x"] }, { command = ["sleep", "60"] }]\n'
    )
    for words, written in (([], False), (["--in-place"], True)):
        assert main(["test", "--live", "--timeout", "1.5", *words, "web.toml"]) == 1
        assert "runs sleep 60: it was still at work after 1.5 seconds" in (said := capsys.readouterr().out), said
        assert "touch" not in said
        assert (volume / "x").exists() == written
