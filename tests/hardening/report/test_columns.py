"""What people look at most has room in 80 columns, with the real plugins (`hardening/report/table.py`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from hardening.cli import main
from hardening.cli.root import root
from hardening.cli.session import Session
from hardening.compare.configuration import Change
from hardening.report import process
from hardening.report.changes import table
from hardening.report.table import in_one, plain, records
from hardening.runs.inspection import OWN, RunningProcess


@pytest.fixture(scope="module")
def here() -> Session:
    return Session()


def lines(here: Session, capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> list[str]:
    """What a command prints to a pipe, none of it wider than 80 columns."""
    assert main(words, here) == code
    found = capsys.readouterr().out.splitlines()
    assert [line for line in found if len(line) > 80] == []
    return found


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


def test_a_leaf_has_its_group_by_name_and_its_profile_in_short(
    here: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    found = lines(here, capsys, "explain", "-p", "web", "seccomp.socket")
    assert found[0] == "seccomp.socket = what @socket allows, else errno:EAFNOSUPPORT"
    assert any(line.startswith("  decided by default.toml:") and line.endswith(" (shipped)") for line in found)
    at = found.index("web")
    assert found[at + 1 : at + 3] == [
        "  said        what @socket allows, else errno:EAFNOSUPPORT",
        "  outcome     intersected",
    ]


def test_what_is_beyond_stands_together(here: Session, capsys: pytest.CaptureFixture[str]) -> None:
    found = lines(here, capsys, "explain", "-p", "default", "--beyond", "strict")
    at = found.index("capabilities: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID")
    assert found[at + 1 : at + 3] == ["  value       root only", "  instead of  dropped"]
    assert found[at + 3].startswith("  decided by  default.toml:")
    assert sum(line.startswith("seccomp: ") for line in found) == 1
    assert len(found) < 120


def test_a_tightened_configuration_is_held_together(
    here: Session, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["compose", "-q", "-p", "debug", "-o", str(tmp_path / "b"), "--", "id"], here) == 0
    found = lines(here, capsys, "apply", "-q", "--check", "-p", "strict", str(tmp_path / "b"), code=1)
    assert len(found) < 250
    at = found.index("/process/rlimits/6")
    assert found[at + 1 : at + 3] == [
        '  before      {"type": "RLIMIT_NPROC", "soft": 4096, "hard": 4096}',
        '  after       {"type": "RLIMIT_NPROC", "soft": 512, "hard": 512}',
    ]


def test_doctor_is_one_screen_and_all_of_it_is_not(here: Session, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"], here) == 0
    screen = capsys.readouterr().out.splitlines()
    assert len(screen) <= 24
    assert not any(len(line) > 80 for line in screen)
    assert main(["doctor", "--all"], here) == 0
    whole = capsys.readouterr().out.splitlines()
    assert len(whole) > len(screen)
    assert not any(line.startswith("seccomp ") for line in screen)
    assert any(line.startswith("seccomp ") for line in whole)
    _, _, enforced = " ".join(screen).partition("mechanism  enforced")
    assert {"capabilities", "namespaces", "rootfs"} <= set(enforced.partition("mechanism")[0].replace(",", " ").split())


#: What prints tables and trees; the lines of a pull request, a compiler and a shell are not wrapped.
COMMANDS = (
    *(
        "explain -p web",
        "explain -p web seccomp",
        "explain -p web rootfs",
        "explain -p web process",
        "explain -p web /etc/shadow",
    ),
    *("explain -p web capabilities.KILL", "explain -p web --beyond strict", "compose -q -p web --format settings"),
    *("score -p web --all", "diff strict web", "prove web within strict", "trust show -p web", "inspect --all -p web"),
    *("trust explain -p web docker.io/library/busybox", "profile list", "plugin list", "exceptions profiles", "doctor"),
    *("doctor --all", "images", "ps -a", "secret ls", "secret drivers"),
)


def test_no_line_that_can_be_broken_is_wider_than_80_columns(here: Session, capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        main(command.split(), here)
        found = capsys.readouterr().out
        assert found, command
        # What is to be pasted is one line, and a cell of one word cannot be wrapped.
        wide = [line for line in found.splitlines() if len(line) > 80 and not re.search(r"(^|  )\S+$", line)]
        assert [line for line in wide if not line.startswith("    --") and "`hardening " not in line] == [], command


def test_what_help_says_is_wrapped_and_what_it_shows_is_not() -> None:
    def walk(command: click.Command, context: click.Context) -> Iterator[str]:
        yield from command.get_help(context).splitlines()
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                below = command.get_command(context, name)
                assert below is not None
                yield from walk(below, click.Context(below, parent=context, info_name=name, obj=context.obj))

    found = [*walk(root, root.make_context("hardening", [], obj=Session(), resilient_parsing=True))]
    assert sum(line.startswith("  Exit code") for line in found) > 10
    assert [line for line in found if len(line) > 80 and not line.startswith("    ")] == []


def test_a_container_is_a_line() -> None:
    names = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
    report = {
        "status": {"Uid": "4294000000\t4294000000", "Seccomp": "2"}, "uid_map": "0 4294000000 65536",
        "namespaces": dict.fromkeys(names, "its own"), "caller_namespaces": {"net": "its own", "time": "its own"},
    }  # fmt: skip
    item = RunningProcess("d6efb3ceb7e5", OWN, 4194304)
    _, line = plain(process.lines([(item, report, {})]), 80).splitlines()
    assert line.split() == ["d6efb3ceb7e5", "4194304", "0", "(4294000000)", "0", "no", "filter", "rw", "net", "time"]
    assert len(line) <= 80


def test_of_objects_and_arrays_what_differs_is_shown() -> None:
    before = {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["ro", "size=2"]}
    after = {**before, "options": ["ro", "size=1"]}
    gone = [Change(f"/mounts/{at}", {"destination": str(at)}, None, ("a.b",)) for at in range(4)]
    assert table([Change("/mounts/0", before, after), *gone]).rows == (
        ("/mounts/0", '{"destination": "/tmp", "type": "tmpfs", "options": ["size=2"]}',
         '{"destination": "/tmp", "type": "tmpfs", "options": ["size=1"]}', ""),
        ("/mounts", "4 elements", "-", "a.b"),
    )  # fmt: skip
    names = [Change(f"/names/{at}", None, name) for at, name in enumerate("abcd")]
    assert table(names).rows == (("/names", "-", "a, b, c, d", ""),)


def test_names_with_something_in_common() -> None:
    assert in_one(["a.b"]) == "a.b"
    assert in_one(["seccomp.setuid", "seccomp.setgid"]) == "seccomp: setuid, setgid"
    assert in_one(["rootfs.volumes./a.b/c", "rootfs.volumes./a.b/d"]) == "rootfs.volumes: /a.b/c, /a.b/d"
    assert in_one(["rootfs.sys", "selinux.enabled"]) == "rootfs.sys, selinux.enabled"


def test_a_record_has_no_empty_cells_and_breaks_no_word() -> None:
    shown = records(table([Change("/a", None, 40 * "x", ()), Change("/b", 1, 2, ("c.d",))]), 40)
    assert shown.splitlines() == [
        *("changes", "", "/a", "  before      -", f'  after       "{40 * "x"}"', ""),
        *("/b", "  before      1", "  after       2", "  because of  c.d"),
    ]
