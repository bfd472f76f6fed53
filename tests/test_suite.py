"""The suite itself: what it looks at, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.features import require
from tests.support.forking import ForkServer
from tests.support.users import REPOSITORY


def test_mounts_of_others_do_not_appear_and_ours_appear_to_nobody() -> None:
    require("root")
    assert os.readlink("/proc/self/ns/mnt") != os.readlink(f"/proc/{os.getppid()}/ns/mnt")
    mounts = [line.partition(" - ")[0].split(" ") for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    assert [words for words in mounts if words[6:]] == []  # neither shared nor anybody's slave


def test_a_test_that_hangs_is_ended_and_shows_where(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    assert 0 < float(pytestconfig.getini("timeout")) <= 300
    test = tmp_path / "test_hangs.py"
    test.write_text(
        "import threading, time\n"
        "def somewhere_else():\n    time.sleep(30)\n"
        "def test_hangs():\n    threading.Thread(target=somewhere_else, daemon=True).start()\n    time.sleep(60)\n"
        "def test_after_it():\n    pass\n"
    )
    argv = [sys.executable, "-m", "pytest", "-q", "-c", str(REPOSITORY / "pyproject.toml"), "--rootdir", str(tmp_path)]
    argv += ["-p", "no:cacheprovider", "--timeout", "1", str(test)]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "Timeout" in done.stdout
    assert "in somewhere_else" in done.stdout + done.stderr
    assert "1 failed, 1 passed" in done.stdout


class Interrupted(BaseException):
    """What pytest-timeout raises, and Ctrl-C, are no `Exception`, either."""


@pytest.fixture
def server() -> Iterator[ForkServer]:
    with closing(ForkServer([sys.executable], os.environ)) as found:
        yield found


def test_a_command_line_that_was_interrupted_answers_to_nobody_else(server: ForkServer) -> None:
    def interrupt(number: int, frame: object) -> None:
        raise Interrupted

    def run(code: str) -> str:
        return server.run([], code=f"import os, signal\ndef main():\n {code}\n return 0", cwd="/", env={}).stdout

    assert run("print('first', flush=True)") == "first\n"
    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(Interrupted):
            run(f"print('second', flush=True); os.kill({os.getpid()}, signal.SIGUSR1); signal.pause()")
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert run("print('third', flush=True)") == "third\n"


def test_a_command_line_may_print_what_is_no_utf8(server: ForkServer) -> None:
    done = server.run([], code="import os\ndef main(): return os.write(1, b'\\xff\\n')", cwd="/", env={})
    assert (done.returncode, done.stdout) == (2, "\\xff\n")
    assert server.run([], code="def main(): return 3", cwd="/", env={}).returncode == 3
