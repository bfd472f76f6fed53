"""The command line of containers: what is refused, shown and completed. tests/system/test_lifecycle.py runs some."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
import pytest
from click.shell_completion import ShellComplete

from hardening.cli.output import harmless
from hardening.cli.root import root
from hardening.launch.container.container_state import ContainerEntry, describe
from hardening.launch.container.directory import LaunchDirectory
from hardening.launch.request import LaunchRequest
from tests.hardening.cli.samples import call, profile, session


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "state"
    place.mkdir()
    monkeypatch.setenv("HARDENING_STATE", str(place))
    return place


def entry(state: Path, identity: str, **options: Any) -> ContainerEntry:
    request = LaunchRequest(id=identity, state=str(state), **options)
    made = ContainerEntry(
        LaunchDirectory(request.directory), describe(request, {"process": {"args": ["job", "\x1b[31m"]}})
    )
    made.create(request.name)
    return made


def ended(state: Path, identity: str, code: int, **options: Any) -> None:
    if os.fork() == 0:
        entry(state, identity, detach=True, **options).finish(code)
        os._exit(0)
    os.wait()


def test_a_list(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = session(tmp_path)
    assert call(here, "ps") == 0
    assert capsys.readouterr().out == "ID  NAME  COMMAND  PROFILES  RUNTIME  STARTED  STATUS\n"
    kept = entry(state, "aaa", detach=True, name="web")
    ended(state, "bbb", 3)
    assert call(here, "ps", "-q") == 0
    assert capsys.readouterr().out == "aaa\n"
    assert call(here, "ps", "-aq") == 0
    assert capsys.readouterr().out == "aaa\nbbb\n"
    assert call(here, "ps", "-a") == 0
    shown = capsys.readouterr().out
    assert "exited (3)" in shown
    assert "\x1b" not in shown
    assert kept.exists


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("ps", "-q", "--json"), "--quiet does not go with --json"),
        (("stop",), "missing argument"),
        (("stop", "-a", "web"), "--all does not go with names"),
        (("rm", "-a"), "still running: web, front"),
        (("ps", "--format", "json"), "no such option: --format\nhint: write --json"),
        (("ps", "-n", "1"), "tail -n N"),
        (("exec", "web", "sh"), 'unknown command "exec"\nhint: nothing enters a container'),
        (("stats",), "has the pid of the command"),
        (("cache",), "no command of `hardening cache`\nhint: there are "),
        (("completion",), "missing argument '{bash|zsh|fish}'\nhint: "),
        (("logs", "nothing"), "no such container: 'nothing'"),
        (("kill", "-s", "TREM", "web"), "--signal: unknown signal 'TREM'\nhint: did you mean \"TERM\"?"),
        (("kill", "-s", "0", "web"), "unknown signal '0'"),
        (("kill", "-s", "65", "web"), "unknown signal '65'"),
        (("stop", "-t", "x", "web"), "'x' is not a valid number of seconds"),
        (("rm", "web"), "still running: web\nhint: stop it first, or add -f"),
        (("logs", "--since", "soon", "web"), "--since: invalid time 'soon'"),
        (("logs", "front"), "front runs in the foreground"),
    ],
)
def test_what_is_refused(
    words: tuple[str, ...], says: str, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = entry(state, "aaa", detach=True, name="web"), entry(state, "bbb", name="front")
    assert call(session(tmp_path), *words) == 2
    assert says in capsys.readouterr().err
    assert all(item.exists for item in kept)


def test_ends(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = session(tmp_path)
    ended(state, "aaa", 3, name="web")
    ended(state, "bbb", 0)
    assert call(here, "wait", "web", "b") == 0
    assert capsys.readouterr().out == "3\n0\n"
    assert call(here, "stop", "web") == 0
    assert capsys.readouterr().out == "web\n"
    assert call(here, "kill", "web") == 1
    assert capsys.readouterr().err == "error: web does not run\nhint: `hardening ps -a` shows how it ended\n"
    assert call(here, "rm", "web", "bbb") == 0
    assert capsys.readouterr().out == "web\nbbb\n"
    ended(state, "ccc", 0)
    assert call(here, "stop", "-a") == 0
    assert call(here, "kill", "--all") == 0
    assert capsys.readouterr() == ("", "")
    assert call(here, "rm", "--all") == 0
    assert capsys.readouterr().out == "ccc\n"
    assert call(here, "rm", "-f", "web") == 0
    assert capsys.readouterr().out == ""
    assert list((state / "launches").iterdir()) == []


@pytest.mark.parametrize(
    ("words", "out"),
    [(("stop",), "web\nbbb\n"), (("wait",), "3\n0\n"), (("rm",), "web\nbbb\n"), (("kill",), "")],
)
def test_what_can_be_done_is_done_and_the_rest_named(
    words: tuple[str, ...], out: str, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended(state, "aaa", 3, name="web")
    ended(state, "bbb", 0)
    assert call(session(tmp_path), *words, "web", "nope", "b") == 2
    told = capsys.readouterr()
    assert told.out == out
    assert "no such container: 'nope'" in told.err
    assert ("web does not run" in told.err) == (words == ("kill",))


def test_those_that_have_ended_are_removed_beside_one_that_runs(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended(state, "aaa", 3, name="web")
    kept = entry(state, "bbb", detach=True, name="front")
    assert call(session(tmp_path), "rm", "-a") == 2
    told = capsys.readouterr()
    assert (told.out, "still running: front" in told.err) == ("web\n", True)
    assert kept.exists
    assert len(list((state / "launches").iterdir())) == 1


def test_one_whose_end_nobody_wrote_down(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.close(entry(state, "aaa", detach=True)._fd)
    assert call(session(tmp_path), "wait", "aaa") == 0
    told = capsys.readouterr()
    assert told.out == "137\n"
    assert told.err == "aaa: its launcher was killed, and the command with it\n"


@pytest.mark.parametrize("command", ["logs", "stop", "kill", "wait", "rm"])
def test_names_and_ids_are_completed(command: str, state: Path, tmp_path: Path) -> None:
    kept = [entry(state, "aaa", detach=True, name="web"), entry(state, "bbb", detach=True)]
    complete = ShellComplete(root, {"obj": session(tmp_path)}, "hardening", "_HARDENING_COMPLETE")
    assert [item.value for item in complete.get_completions([command], "")] == ["web", "aaa", "bbb"]
    assert [item.value for item in complete.get_completions([command], "w")] == ["web"]
    assert len(kept) == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("-d",), "--detach: the runtime native cannot do that"),
        (("--name", "x"), "--name: the runtime native cannot do that"),
        (("--name", "-x"), "--name: '-x' is not the name of a container"),
        (("--name", "a/b"), "--name: 'a/b' is not the name of a container"),
        (("--name", ""), "--name: '' is not the name of a container"),
        (("--name", "0123456789ab"), "--name: '0123456789ab' looks like an id"),
        (("--log-size", "1M"), "--log-size: only a detached container has a log"),
    ],
)
def test_options_that_are_refused_before_anything_is_started(
    words: tuple[str, ...], says: str, tmp_path: Path, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The runtime of these tests, like one of a third party, knows nothing of the background."""
    profile(tmp_path, "default", "")
    assert call(session(tmp_path), "run", *words, "--", "id") == 2
    assert says in capsys.readouterr().err
    assert not [*state.glob("launches/*")]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (b"plain \xc3\xbc\tx\r", b"plain \xc3\xbc\tx\r"),
        (b"\x1b[1;31mred\x1b[0m", b"\x1b[1;31mred\x1b[0m"),
        (b"\x1b]0;title\x07", b"\\x1b]0;title\\x07"),
        (b"\x1b[2J\x1b[6n", b"\\x1b[2J\\x1b[6n"),
        (b"\xff\xc2\x9b6n", b"\\udcff\\x9b6n"),
    ],
)
def test_output_drives_nobodys_terminal(written: bytes, shown: bytes) -> None:
    assert harmless(written) == shown


def test_a_size(tmp_path: Path) -> None:
    from hardening.cli.options.keeping import _bytes
    from hardening.errors import UsageError

    assert [_bytes(text) for text in ("4096", "16k", "2MB", "1G")] == [4096, 16384, 2 << 20, 1 << 30]
    for text in ("", "1", "4095", "-1", "1.5M", "99999999999999999999"):
        with pytest.raises(UsageError, match="invalid size"):
            _bytes(text)
    assert isinstance(root, click.Group)
