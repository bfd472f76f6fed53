"""The command line of the launch stage."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardening.errors import LaunchError
from hardening.launch import main
from hardening.launch.command import ExternalRuntime, stage_command


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """The stage gives signals back what Python has changed of them; the interpreter of the tests goes on with its own."""
    changed = (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ)
    before = [signal.getsignal(number) for number in changed]
    yield
    for number, handler in zip(changed, before, strict=True):
        signal.signal(number, handler)


def arguments(argv: list[str]) -> list[str]:
    """What the stage sees of a `stage_command`."""
    return argv[argv.index("-c") + 3 :]


def test_the_command_is_what_the_stage_reads(tmp_path: Path) -> None:
    runtime = ExternalRuntime(program="/usr/bin/crun", state="/run/x")
    argv = stage_command(
        tmp_path, keep_stdin=True, remove=True, typed=True, receipt="r", sha256="00ff", identity="name", runtime=runtime
    )
    parsed = main.parse(arguments(argv))
    assert parsed.bundle == str(tmp_path)
    assert (parsed.keep_stdin, parsed.remove, parsed.typed) == (True, True, True)
    assert parsed.receipt == str(Path.cwd() / "r")
    assert parsed.sha256 == "00ff"
    assert (parsed.runtime_command, parsed.identity, parsed.state) == ("/usr/bin/crun", "name", "/run/x")


@pytest.mark.parametrize("argv", [[], ["a", "b"], ["--nonsense", "a"], ["--receipt"], ["--runtime-command", "x", "a"]])
def test_a_wrong_command_line(argv: list[str]) -> None:
    with pytest.raises(LaunchError):
        main.parse(argv)


def test_what_is_no_bundle_stays(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert main.main(["--remove", str(tmp_path)]) == 125
    assert (tmp_path / "file").exists()


def test_an_error_is_one_message_without_control_characters(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main.main([str(tmp_path / "\x1b[31m")]) == 125
    error = capfd.readouterr().err
    assert "\x1b" not in error
    assert "\\x1b[31m/: cannot be opened" in error or "\\x1b[31m: cannot be opened" in error


def test_nothing_is_collected_before_the_watch_over_the_command(tmp_path: Path) -> None:
    """What is loaded and read before a launch stays: to look at it time and again would only take time."""
    (tmp_path / "config.json").write_text("{}")
    argv = stage_command(tmp_path)
    place = argv.index("-c") + 1
    code = argv[place].replace("posix._exit(main())", "import gc; print(main(), gc.isenabled())")
    done = subprocess.run([*argv[:place], code, *argv[place + 1 :]], capture_output=True, text=True, check=False)
    assert done.stdout == "125 False\n", done.stderr
