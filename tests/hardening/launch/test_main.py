"""The launcher from its request on."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardening.launch import main
from hardening.launch.request import LaunchRequest


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """The launcher gives signals back what Python has changed of them; the interpreter of the tests goes on with its own."""
    changed = (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ)
    before = [signal.getsignal(number) for number in changed]
    yield
    for number, handler in zip(changed, before, strict=True):
        signal.signal(number, handler)


def test_what_is_no_bundle_stays(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert main.main(LaunchRequest(bundle=str(tmp_path), remove=True).to_json()) == 125
    assert (tmp_path / "file").exists()


def test_an_error_is_one_message_without_control_characters(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main.main(LaunchRequest(bundle=str(tmp_path / "\x1b[31m")).to_json()) == 125
    error = capfd.readouterr().err
    assert "\x1b" not in error
    assert "\\x1b[31m/: cannot be opened" in error or "\\x1b[31m: cannot be opened" in error


def test_nothing_is_collected_before_the_watch_over_the_command(tmp_path: Path) -> None:
    """What is loaded and read before a launch stays: to look at it time and again would only take time."""
    (tmp_path / "config.json").write_text("{}")
    argv = LaunchRequest().argv(tmp_path)
    place = argv.index("-c") + 1
    code = argv[place].replace("posix._exit(main())", "import gc; print(main(), gc.isenabled())")
    done = subprocess.run([*argv[:place], code, *argv[place + 1 :]], capture_output=True, text=True, check=False)
    assert done.stdout == "125 False\n", done.stderr
