"""A container's own terminal: relayed, sized, and the user's given back as it was."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import bundles, runs
from tests.support.bundles import Stance
from tests.support.terminals import Screen

pytestmark = pytest.mark.system

RUNTIMES = ("native", "crun", "runc")


@pytest.fixture(params=bundles.STANCES)
def stance(request: pytest.FixtureRequest) -> Stance:
    return bundles.stance(request.param)


@contextmanager
def terminal(
    stance: Stance, document: dict[str, Any], runtime: str = "native"
) -> Iterator[tuple[Screen, int, subprocess.Popen[bytes], list[Any]]]:
    document["process"]["terminal"] = True
    master, slave = pty.openpty()
    screen = Screen(master)
    screen.resize(33, 101)
    before = termios.tcgetattr(slave)
    with runs.workplace(stance.user) as folder:
        bundle = bundles.write(folder / "bundle", document, user=stance.user)
        argv = bundles.launcher(bundle, runtime, stance.user, stdin=True)
        process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, cwd="/", start_new_session=True)
        try:
            yield screen, slave, process, before
        finally:
            process.kill()
            process.wait()
            os.close(master)
            os.close(slave)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_session_in_a_terminal(stance: Stance, runtime: str) -> None:
    with terminal(stance, stance.config("sh"), runtime) as (screen, slave, process, before):
        screen.type("tty; stty size; test -c /dev/console && echo con''sole\n")
        screen.expect("/dev/pts/0")
        screen.expect("33 101")
        screen.expect("console")
        assert termios.tcgetattr(slave)[3] & (termios.ICANON | termios.ECHO) == 0
        screen.resize(20, 60)
        process.send_signal(signal.SIGWINCH)
        # The launcher may pass on what is typed before it has passed on the size.
        screen.type("until stty size | grep '20 60'; do sleep 0.1; done\n")
        screen.expect("\n20 60")
        screen.type("exit 7\n")
        assert process.wait(60) == 7
        assert termios.tcgetattr(slave) == before


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_users_terminal_is_out_of_reach_without_one_of_its_own(stance: Stance, runtime: str) -> None:
    master, slave = pty.openpty()
    script = "test -t 1 || test -t 2 || echo no''terminal; echo again >/dev/stderr; cat <&2; echo do''ne"
    with runs.workplace(stance.user) as folder:
        bundle = bundles.write(folder / "bundle", stance.config("sh", "-c", script), user=stance.user)
        argv = bundles.launcher(bundle, runtime, stance.user)
        os.write(master, b"secret\n")
        process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, cwd="/", start_new_session=True)
        try:
            screen = Screen(master)
            for words in ("noterminal", "again", "done"):
                screen.read = 0  # either stream has a pipe of its own, and neither waits for the other
                screen.expect(words)
            assert process.wait(60) == 0
            assert screen.seen.count("secret") == 1  # the echo of the terminal
        finally:
            process.kill()
            process.wait()
            os.close(master)
            os.close(slave)


def test_an_interrupt_reaches_the_foreground_of_the_container(stance: Stance) -> None:
    with terminal(stance, stance.config("sh")) as (screen, _, process, _):
        screen.type("sleep 4711\n")
        runs.find(process.pid, ["sleep", "4711"])
        screen.type("\x03")
        screen.expect("^C")
        screen.type("echo after $?; exit 0\n")
        screen.expect("after 130")
        assert process.wait(60) == 0


def test_the_terminal_is_given_back_when_the_container_is_killed(stance: Stance) -> None:
    with terminal(stance, stance.config("sh")) as (screen, slave, process, before):
        screen.type("echo up''up\n")
        screen.expect("upup")
        os.kill(bundles.child_of(process.pid), signal.SIGKILL)
        assert process.wait(60) == 128 + signal.SIGKILL
        assert termios.tcgetattr(slave) == before


def test_the_terminal_is_the_containers_own(stance: Stance) -> None:
    with terminal(stance, stance.config("sh", "-c", "echo ready; cat")) as (screen, slave, process, _):
        screen.expect("ready")
        pid = bundles.child_of(process.pid)
        assert {os.readlink(f"/proc/{pid}/fd/{number}") for number in (0, 1, 2)} == {"/dev/pts/0"}
        assert os.stat(f"/proc/{pid}/fd/0").st_rdev != os.fstat(slave).st_rdev or (
            os.stat(f"/proc/{pid}/fd/0").st_dev != os.fstat(slave).st_dev
        )
        assert Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[4] != "0"
