"""A container's own terminal: relayed, sized, and the user's given back as it was."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import bundles, runs
from tests.support.bundles import Stance

pytestmark = pytest.mark.system

RUNTIMES = ("native", "crun", "runc")


@pytest.fixture(params=bundles.STANCES)
def stance(request: pytest.FixtureRequest) -> Stance:
    return bundles.stance(request.param)


class Screen:
    """The user's side of a terminal."""

    def __init__(self, master: int, slave: int) -> None:
        self.master, self.slave = master, slave
        self.seen = ""

    def expect(self, words: str, seconds: float = 15) -> None:
        end = time.monotonic() + seconds
        while words not in self.seen:
            assert time.monotonic() < end, self.seen
            if select.select([self.master], [], [], 0.1)[0]:
                self.seen += os.read(self.master, 4096).decode(errors="replace")

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def resize(self, rows: int, columns: int) -> None:
        size = rows.to_bytes(2, "little") + columns.to_bytes(2, "little") + bytes(4)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, size)


@contextmanager
def terminal(
    stance: Stance, document: dict[str, Any], runtime: str = "native"
) -> Iterator[tuple[Screen, subprocess.Popen[bytes], list[Any]]]:
    document["process"]["terminal"] = True
    master, slave = pty.openpty()
    screen = Screen(master, slave)
    screen.resize(33, 101)
    before = termios.tcgetattr(slave)
    with runs.workplace(stance.user) as folder:
        bundle = bundles.write(folder / "bundle", document, user=stance.user)
        argv = bundles.stage(bundle, runtime, stance.user, stdin=True)
        process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, cwd="/", start_new_session=True)
        try:
            yield screen, process, before
        finally:
            process.kill()
            process.wait()
            os.close(master)
            os.close(slave)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_session_in_a_terminal(stance: Stance, runtime: str) -> None:
    with terminal(stance, stance.config("sh"), runtime) as (screen, process, before):
        screen.type("tty; stty size; test -c /dev/console && echo con''sole\n")
        screen.expect("/dev/pts/0")
        screen.expect("33 101")
        screen.expect("console")
        assert termios.tcgetattr(screen.slave)[3] & (termios.ICANON | termios.ECHO) == 0
        screen.resize(20, 60)
        process.send_signal(signal.SIGWINCH)
        screen.type("stty size\n")
        screen.expect("20 60")
        screen.type("exit 7\n")
        assert process.wait(10) == 7
        assert termios.tcgetattr(screen.slave) == before


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_users_terminal_is_out_of_reach_without_one_of_its_own(stance: Stance, runtime: str) -> None:
    master, slave = pty.openpty()
    script = "test -t 1 || test -t 2 || echo no''terminal; echo again >/dev/stderr; cat <&2; echo do''ne"
    with runs.workplace(stance.user) as folder:
        bundle = bundles.write(folder / "bundle", stance.config("sh", "-c", script), user=stance.user)
        argv = bundles.stage(bundle, runtime, stance.user)
        os.write(master, b"secret\n")
        process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, cwd="/", start_new_session=True)
        try:
            screen = Screen(master, slave)
            screen.expect("noterminal")
            screen.expect("again")
            screen.expect("done")
            assert process.wait(10) == 0
            assert screen.seen.count("secret") == 1  # the echo of the terminal
        finally:
            process.kill()
            process.wait()
            os.close(master)
            os.close(slave)


def test_an_interrupt_reaches_the_foreground_of_the_container(stance: Stance) -> None:
    with terminal(stance, stance.config("sh")) as (screen, process, _):
        screen.type("sleep 30; echo after $?\n")
        time.sleep(0.7)
        screen.type("\x03")
        screen.expect("after 130" if "after 130" in screen.seen else "\n")
        screen.type("echo still''here; exit 0\n")
        screen.expect("stillhere")
        assert process.wait(10) == 0


def test_the_terminal_is_given_back_when_the_container_is_killed(stance: Stance) -> None:
    with terminal(stance, stance.config("sh")) as (screen, process, before):
        screen.type("echo up''up\n")
        screen.expect("upup")
        os.kill(bundles.child_of(process.pid), signal.SIGKILL)
        assert process.wait(10) == 128 + signal.SIGKILL
        assert termios.tcgetattr(screen.slave) == before


def test_the_terminal_is_the_containers_own(stance: Stance) -> None:
    with terminal(stance, stance.config("sh", "-c", "echo ready; cat")) as (screen, process, _):
        screen.expect("ready")
        pid = bundles.child_of(process.pid)
        assert {os.readlink(f"/proc/{pid}/fd/{number}") for number in (0, 1, 2)} == {"/dev/pts/0"}
        assert os.stat(f"/proc/{pid}/fd/0").st_rdev != os.fstat(screen.slave).st_rdev or (
            os.stat(f"/proc/{pid}/fd/0").st_dev != os.fstat(screen.slave).st_dev
        )
        assert Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[4] != "0"
