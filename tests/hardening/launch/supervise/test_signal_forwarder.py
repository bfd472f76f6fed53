"""Signals for the first process of a namespace: the kernel drops those that it says nothing of, the launcher does not."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Callable, Iterator

import pytest

from hardening.base.linux import abi, kernel
from hardening.launch.supervise.signal_forwarder import SignalForwarder
from hardening.launch.supervise.supervise import Supervisor, exit_code
from tests.support.features import require
from tests.support.patience import until

BLOCKED = {signal.SIGTERM}


class Command:
    """The first process of a PID namespace. It blocks `BLOCKED`, or not, when it is told, and says so when it has."""

    def __init__(self) -> None:
        orders, self._orders = os.pipe()
        self._done, done = os.pipe()
        self.pid = kernel.clone(abi.CLONE_NEWUSER | abi.CLONE_NEWPID)
        if self.pid == 0:
            os.close(self._orders)
            os.close(self._done)
            while order := os.read(orders, 1):
                if order == b"w":
                    os._exit(signal.sigwait(BLOCKED))
                if order == b"h":
                    signal.signal(signal.SIGTERM, lambda *_: self._handled_once(done))
                    os.write(done, order)
                    continue
                signal.pthread_sigmask(signal.SIG_BLOCK if order == b"b" else signal.SIG_UNBLOCK, BLOCKED)
                os.write(done, order)
            os._exit(3)
        os.close(orders)
        os.close(done)

    def block(self, *, blocked: bool) -> None:
        """Have it block the signals, or not."""
        os.write(self._orders, b"b" if blocked else b"u")
        self.says()

    @staticmethod
    def _handled_once(done: int) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.write(done, b"h")

    def handle_once(self) -> None:
        """Have it handle one SIGTERM, and say so when it has."""
        os.write(self._orders, b"h")
        self.says()

    def says(self) -> None:
        """Wait until it says that it has done something."""
        os.read(self._done, 1)

    def await_signal(self) -> None:
        """Have it wait for the signals that it blocks, until it does."""
        os.write(self._orders, b"w")
        until(lambda: self.call() == kernel.call_number("rt_sigtimedwait"))

    def call(self) -> int:
        """The system call that it is in, -1 for none."""
        with open(f"/proc/{self.pid}/syscall") as file:
            word = file.read().split()[0]
        return int(word) if word.isdecimal() else -1

    def end(self) -> None:
        """Have it end by itself."""
        if self._orders >= 0:
            os.close(self._orders)
            self._orders = -1


class Watched(SignalForwarder):
    """A target for which something is done, once, right after a signal was sent to it."""

    afterwards: Callable[[], None] | None = None

    def send(self, number: int) -> None:
        super().send(number)
        if self.afterwards is not None:
            then, self.afterwards = self.afterwards, None
            then()


@pytest.fixture
def command() -> Iterator[Command]:
    require("userns")
    found = Command()
    yield found
    found.end()


@pytest.fixture
def supervisor(command: Command) -> Iterator[Supervisor]:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    signals = kernel.signalfd({signal.SIGCHLD})
    fcntl.fcntl(signals, fcntl.F_SETFL, os.O_NONBLOCK)
    found = Supervisor(command.pid, signals, keep_stdin=False)
    found.target = Watched(command.pid, found.pidfd)
    yield found
    if found.status is None:
        os.kill(command.pid, signal.SIGKILL)
        os.waitpid(command.pid, 0)
    os.close(signals)
    os.close(found.pidfd)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})


@pytest.fixture
def target(supervisor: Supervisor) -> Watched:
    assert isinstance(supervisor.target, Watched)
    return supervisor.target


def test_a_signal_ends_a_command_that_blocks_it_as_soon_as_the_kernel_has_dropped_it(
    command: Command, supervisor: Supervisor, target: Watched
) -> None:
    """As a shell does that forks this moment."""
    command.block(blocked=False)
    target.afterwards = lambda: command.block(blocked=True)
    target.forward(signal.SIGTERM, typed=False)
    assert exit_code(supervisor.watch()) == 128 + signal.SIGTERM


def test_a_signal_ends_a_command_that_unblocks_it_before_one_looks(
    command: Command, supervisor: Supervisor, target: Watched
) -> None:
    command.block(blocked=True)
    target.afterwards = lambda: command.block(blocked=False)
    target.forward(signal.SIGTERM, typed=False)
    assert exit_code(supervisor.watch()) == 128 + signal.SIGTERM


def test_a_command_that_blocks_a_signal_all_along_takes_it_by_itself(
    command: Command, supervisor: Supervisor, target: Watched
) -> None:
    command.block(blocked=True)
    target.forward(signal.SIGTERM, typed=False)
    pending = 1 << signal.SIGTERM - 1

    def waits() -> bool:
        with open(f"/proc/{command.pid}/status") as file:
            status = dict(line.split(":\t", 1) for line in file if ":\t" in line)
        return bool(int(status["ShdPnd"], 16) & pending)

    until(waits)
    command.end()
    assert exit_code(supervisor.watch()) == 3


def test_a_command_that_waits_for_a_signal_gets_it(command: Command, supervisor: Supervisor, target: Watched) -> None:
    command.block(blocked=True)
    command.await_signal()
    target.forward(signal.SIGTERM, typed=False)
    assert exit_code(supervisor.watch()) == signal.SIGTERM


def test_a_command_that_waits_for_a_signal_is_ended_by_another(
    command: Command, supervisor: Supervisor, target: Watched
) -> None:
    command.block(blocked=True)
    command.await_signal()
    target.forward(signal.SIGHUP, typed=False)
    assert exit_code(supervisor.watch()) == 128 + signal.SIGHUP


def test_a_signal_that_stays_blocked_is_left_to_the_command(
    command: Command, supervisor: Supervisor, target: Watched
) -> None:
    command.block(blocked=True)
    target.forward(signal.SIGTERM, typed=False)
    assert target.waits

    def is_left() -> bool:
        target.look_again()
        return not target.waits

    until(is_left)
    command.block(blocked=False)  # the kernel drops it now
    command.end()
    assert exit_code(supervisor.watch()) == 3


def test_a_command_that_handles_a_signal_once_is_not_ended_by_it(
    command: Command, supervisor: Supervisor, target: Watched
) -> None:
    command.handle_once()
    target.afterwards = command.says
    target.forward(signal.SIGTERM, typed=False)
    command.end()
    assert exit_code(supervisor.watch()) == 3


def test_a_window_that_changes_its_size_does_not_end_anything() -> None:
    pid = os.fork()
    if not pid:
        while True:
            signal.pause()
    target = SignalForwarder(pid, os.pidfd_open(pid))
    target.forward(signal.SIGWINCH, typed=False)
    assert not target.has_forwarded
    target.forward(signal.SIGTERM, typed=False)
    assert target.has_forwarded
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
