"""`hardening/cli` as a whole: exit codes, what is printed where, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hardening import cli
from hardening.cli import main, output
from hardening.cli.commands import COMMANDS
from hardening.errors import HardeningError, Problems
from tests.hardening.cli.samples import call, process, profile, session
from tests.support.cached import WHOLE


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARDENING_STATE", str(tmp_path / "state"))
    profile(tmp_path, "default", 'description = "the default"\n[box]\nclosed = true\nsize = 5\ncolours = ["red"]\n')
    return tmp_path


def test_help_names_every_command_and_imports_no_mechanism() -> None:
    script = (
        "import sys; from hardening.cli import main; main(['--help']);"
        "print('pluggy' in sys.modules, 'rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False False"
    for name, summary in COMMANDS.items():
        assert f"{name} " in done.stdout
        assert summary in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(session(folder), name, "--help") == 0
    shown = capsys.readouterr().out
    assert f"Usage: hardening {name}" in shown
    # A group of commands has its examples in its members.
    assert "Examples:" in shown or "Commands:" in shown


@pytest.mark.parametrize("arguments", [("profile", "list"), ("profile", "show"), ("plugin", "list")])
def test_members_of_groups_have_help_with_examples(
    arguments: tuple[str, ...], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(session(folder), *arguments, "--help") == 0
    assert "Examples:" in capsys.readouterr().out


def test_a_run_becomes_the_command_and_leaves_no_bundle(folder: Path) -> None:
    done = process(folder, "run", "-e", "A=b", "--", "sh", "-c", "echo $$; exit 7")
    assert done.code == 7
    assert done.stdout.strip().isdecimal()
    assert list((folder / "state/launches").iterdir()) == []


def test_the_folder_of_bundles_does_not_depend_on_the_umask(folder: Path) -> None:
    """A container's mapped ids pass through it to their own bundle, and nobody lists what others run."""
    before = os.umask(0o077)
    try:
        assert process(folder, "run", "--", "true").code == 0
    finally:
        os.umask(before)
    for name in ("state", "state/launches"):
        assert (folder / name).stat().st_mode & 0o7777 == 0o711


def test_a_run_keeps_its_pid(folder: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.hardening.cli.samples import main, session;"
        f"sys.exit(main(['run', '--', 'sh', '-c', 'echo $$'], session(Path({str(folder)!r}))))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "HARDENING_STATE": str(folder / "state")}
    started = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment)
    printed, _ = started.communicate(timeout=60)
    assert int(printed) == started.pid


def test_a_signal_that_ends_the_command_ends_the_program(folder: Path) -> None:
    assert process(folder, "run", "--", "sh", "-c", "kill -TERM $$").code == -signal.SIGTERM


def test_a_launch_stage_that_cannot_start_leaves_no_bundle(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.hardening.cli.samples import Shell

    monkeypatch.setattr(Shell, "command", lambda *_: ["/nonexistent/program"])
    assert call(session(folder), "run", "--", "true") == 127
    assert "error: cannot start /nonexistent/program" in capsys.readouterr().err
    assert list((folder / "state/launches").iterdir()) == []


def test_a_pipe_without_a_reader_ends_quietly(folder: Path) -> None:
    profile(folder, "long", "[box]\nenv = [" + ", ".join(f'"V{number}=x"' for number in range(9000)) + "]\n")
    script = (
        "import sys; from pathlib import Path; from tests.hardening.cli.samples import main, session;"
        f"sys.exit(main(['compose', '-p', 'long'], session(Path({str(folder)!r}))))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    started = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    assert started.stdout is not None
    assert started.stderr is not None
    started.stdout.close()
    errors = started.stderr.read()
    started.stderr.close()
    assert started.wait(60) == 128 + signal.SIGPIPE
    assert errors == b""


def test_a_full_disk_is_an_error_in_one_line(folder: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.hardening.cli.samples import main, session;"
        f"sys.exit(main(['compose'], session(Path({str(folder)!r}))))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", script], stdout=full, stderr=subprocess.PIPE, text=True, env=environment, check=False
        )
    assert done.returncode == 125
    assert done.stderr.startswith("error: No space left on device\nhint: ")


def test_an_interrupt_is_130(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = session(folder)

    def interrupt(_: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(type(here), "stack", lambda *_: interrupt(None))
    assert main(["explain"], here) == 130


def test_errors_are_red_on_a_terminal_only(folder: Path) -> None:
    plain = process(folder, "nonsense")
    assert "\x1b" not in plain.stderr
    assert on_terminal(folder, "nonsense").startswith("\x1b[31m\x1b[1merror:\x1b[0m")
    assert on_terminal(folder, "nonsense", NO_COLOR="1").startswith("error:")


def test_tables_are_drawn_on_a_terminal_and_aligned_in_pipes(folder: Path) -> None:
    assert "─" in on_terminal(folder, "profile", "list")
    piped = process(folder, "profile", "list")
    assert "─" not in piped.stdout
    assert piped.stdout.splitlines()[0].split() == ["PROFILE", "DESCRIPTION", "FROM"]


def test_no_colour_on_a_terminal_that_asks_for_none(folder: Path) -> None:
    assert "\x1b[32m" in on_terminal(folder, "doctor")
    assert "\x1b[3" not in on_terminal(folder, "doctor", NO_COLOR="1")


@pytest.mark.parametrize(
    ("terminal", "lines", "expected"),
    [
        (True, ("trying 1", "trying 2"), "\r\x1b[Ktrying 1\r\x1b[Ktrying 2\r\x1b[K"),
        (True, (), ""),
        (False, ("trying 1",), ""),
    ],
)
def test_what_is_going_on_is_shown_on_a_terminal_alone_and_erased(
    terminal: bool,
    lines: tuple[str, ...],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(output, "is_terminal", lambda _: terminal)
    with output.status() as tell:
        for line in lines:
            tell(line)
    assert capsys.readouterr().err == expected


def on_terminal(folder: Path, *arguments: str, **environment: str) -> str:
    """What a command prints on a pseudo-terminal."""
    import pty

    script = (
        "import sys; from pathlib import Path; from tests.hardening.cli.samples import main, session;"
        f"sys.exit(main(sys.argv[1:], session(Path({str(folder)!r}))))"
    )
    root_folder = Path(__file__).parents[3]
    kept = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "CI")}
    variables = {**kept, "TERM": "xterm", "COLUMNS": "200", "PYTHONPATH": str(root_folder), **environment}
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", script, *arguments], stdout=follower, stderr=follower, cwd=folder, env=variables
    ):
        os.close(follower)
        text = b""
        while True:
            try:
                part = os.read(leader, 65536)
            except OSError:
                break
            if not part:
                break
            text += part
    os.close(leader)
    return text.decode()


def test_control_characters_of_a_profile_do_not_reach_the_terminal(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile(folder, "evil", '[box]\nlabel = "\\u001b[2Jgone"\n"\\u001b]0;x" = 1\n')
    assert call(session(folder), "explain", "-p", "evil", "box.label") == 2
    captured = capsys.readouterr()
    assert "\x1b" not in captured.out + captured.err
    assert "\\x1b" in captured.err


def test_json_has_nothing_that_a_terminal_acts_on(capsys: pytest.CaptureFixture[str]) -> None:
    data = {"a\x9b31m": ["\u202e\x1b[2J", "ü ✓ 日本", "\U000e0001", "\\u0041"]}
    output.show_json(data)
    text = capsys.readouterr().out
    assert json.loads(text) == data
    assert all(char.isprintable() or char == "\n" for char in text)
    assert "ü ✓ 日本" in text


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_closed_standard_descriptors_do_no_harm(closed: tuple[int, ...]) -> None:
    """A shell's ``>&-``: no file takes the number of an output, and what cannot be written is an error."""
    code = "import os, sys\n" + "".join(f"os.close({number})\n" for number in closed)
    code += f"os.execv(sys.executable, {[*WHOLE, '--version']})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == (125 if 1 in closed else 0)
    assert done.stderr.startswith("error: Bad file descriptor\n" if closed == (1,) else "")
    assert done.stdout.startswith("hardening ") is (1 not in closed)


def test_problems_of_one_kind_at_one_place_are_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    same = [
        HardeningError(f"{leaf}: too bright", origin="a:1", hint=f"except {leaf}", setting=leaf)
        for leaf in (f"box.colours.{name}" for name in "abcd")
    ]
    other = HardeningError("box.size: too big", origin="a:2")
    cli._report(Problems([*same[:2], other, *same[2:]]))
    assert capsys.readouterr().err == (
        "error: a:1: 4 of box.colours: too bright: a, b, c, d\n"
        "hint: for a, and likewise for the others: except box.colours.a\n"
        "error: a:2: box.size: too big\n"
    )
    cli._report(Problems(same[:3]))
    assert capsys.readouterr().err.count("error: ") == 3
    cli._report(Problems([HardeningError(f"a.b{number}.toml: gone") for number in range(3)]))
    assert capsys.readouterr().err.count("gone") == 3, "what is about no setting has no members"
