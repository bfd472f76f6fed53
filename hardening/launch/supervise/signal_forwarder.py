"""The command as a target of signals: what they do to it is what they do to any other process, although it is the first one
of a PID namespace."""

from __future__ import annotations

import sys
import time

from hardening.base import files
from hardening.base.files import Opened
from hardening.base.linux import kernel
from hardening.base.linux.system import os, signal

#: What all processes of a job get.
JOB_CONTROL = {signal.SIGTSTP, signal.SIGCONT}
#: What ends a process that does not handle it (signal(7)).
ENDING = {
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGALRM,
}
#: Seconds until a blocked signal is looked at again, doubled each time, and after which it is the command's own affair: a
#: shell that forks unblocks it long before, and a program that takes it by itself must not be killed over its work.
LOOK_AGAIN = 0.001
LONGEST = 0.1


class SignalForwarder:
    """A process that signals are sent to. Where it has to be killed in place of what a signal would have done to it,
    ``ended_by`` is that signal; ``stops``: the job is to stop with it; ``reaped``: its number may be another process's."""

    def __init__(self, pid: int, pidfd: int) -> None:
        self.ended_by = 0
        self.stops = False
        self.reaped = False
        self.has_forwarded = False  # one that may end it
        self._pid = pid
        self._pidfd = pidfd
        self._blocked: dict[int, bool] = {}  # signals that wait to be unblocked; whether they are the job's
        self._look_at = self._pause = 0.0  # when they are looked at again, and how long after the look before
        self._until = 0.0  # when they are no longer looked at

    @property
    def waits(self) -> bool:
        """Whether a signal waits for the process to unblock it."""
        return bool(self._blocked)

    def patience(self) -> float:
        """Seconds until `look_again` is due, where a signal waits."""
        return max(0.0, self._look_at - time.monotonic())

    def send(self, number: int) -> None:
        """Send a signal to the process, if it still exists."""
        try:
            signal.pidfd_send_signal(self._pidfd, number)
        except ProcessLookupError:
            return

    def forward(self, number: int, *, typed: bool) -> None:
        """Send a signal to the process, and let it do what it does to any other; ``typed`` says that the user's terminal has
        made it.

        The kernel drops signals without a handler that are meant for the first process of a PID namespace
        (pid_namespaces(7)): Ctrl-C and kill(1) would not end a command that says nothing of them, nor Ctrl-Z stop it. What
        a terminal sends, it sends to all processes of a job (termios(3)).
        """
        self.has_forwarded = self.has_forwarded or number in ENDING
        job = typed or number in JOB_CONTROL
        # Looked at first: what the kernel drops because nothing blocks it may be blocked the moment after, by a shell that
        # forks, and would look as if the command had taken it.
        before, awaited = read_status(self._pid), _is_awaited(self._pid, number)
        self._send(number, job=job)
        if number == signal.SIGCONT:
            self._blocked.pop(signal.SIGTSTP, None)  # the kernel has dropped it (signal(7))
        # What the caller ignores, by nohup(1) say, is to end nothing.
        if number not in ENDING | {signal.SIGTSTP} or signal.getsignal(number) == signal.SIG_IGN:
            return
        self.stops = self.stops or number == signal.SIGTSTP
        # Who handles it has it now, and may be back at the default already (SA_RESETHAND of sigaction(2), node's `once`).
        if awaited or _has(before, number, "SigCgt", "SigIgn"):
            return
        if _acts_by_default(before, number):
            self._default(before, number, job=job)
        else:
            self._act(number, job=job)
        if self._blocked:
            self._until = time.monotonic() + LONGEST
            self._look_in(LOOK_AGAIN)

    def look_again(self) -> None:
        """Act on what the process has unblocked meanwhile, where a look is due. What it takes by itself (sigwaitinfo(2))
        stays blocked, and is not pending then."""
        if self.patience():
            return
        for number, job in list(self._blocked.items()):
            self._act(number, job=job)
        if time.monotonic() > self._until:
            self._blocked.clear()
        self._look_in(self._pause * 2)

    def _look_in(self, seconds: float) -> None:
        self._pause = seconds
        self._look_at = time.monotonic() + seconds

    def _act(self, number: int, *, job: bool) -> None:
        """Do to the process what a signal does to one that says nothing of it: later where it is blocked, as it is in a
        shell that forks."""
        status = read_status(self._pid)
        self._blocked.pop(number, None)
        if _is_pending(status, number):
            self._blocked[number] = job
        elif _acts_by_default(status, number) and not _is_awaited(self._pid, number):
            self._default(status, number, job=job)

    def _default(self, status: dict[str, str], number: int, *, job: bool) -> None:
        """Do what a signal does to a process that neither handles nor blocks it."""
        if number == signal.SIGTSTP:
            # The kernel stops nobody by it in a session without a shell (setpgid(2), orphaned process groups).
            self._send(signal.SIGSTOP, job=job)
        elif _is_first(status):
            self.ended_by = number
            self.send(signal.SIGKILL)

    def _send(self, number: int, *, job: bool) -> None:
        if not (job and self._send_to_job(number)):
            self.send(number)

    def _send_to_job(self, number: int) -> bool:
        """Send a signal to the process group; False where the process leads none."""
        try:
            # Not reaped yet, so that no other process can have its number.
            if self.reaped or os.getpgid(self._pid) != self._pid:
                return False
            os.killpg(self._pid, number)
        except OSError:
            return False
        return True


def read_status(pid: int | str) -> dict[str, str]:
    """The fields of /proc/PID/status (``self`` for this process); none of a process that has ended."""
    try:
        lines = files.read(f"/proc/{pid}/status").split("\n")
    except OSError:
        return {}
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def _is_first(status: dict[str, str]) -> bool:
    """Whether a process is the first one of a PID namespace below this one."""
    numbers = status.get("NSpid", "").split()
    return len(numbers) > 1 and numbers[-1] == "1"


def _acts_by_default(status: dict[str, str], number: int) -> bool:
    """Whether a process neither handles nor ignores nor blocks a signal."""
    return "SigCgt" in status and not _has(status, number, "SigCgt", "SigIgn", "SigBlk")


def _is_pending(status: dict[str, str], number: int) -> bool:
    """Whether a process blocks a signal that waits for it, and would act by default if it did not."""
    waits = _has(status, number, "SigBlk") and _has(status, number, "SigPnd", "ShdPnd")
    return waits and not _has(status, number, "SigCgt", "SigIgn")


def _is_awaited(pid: int, number: int) -> bool:
    """Whether a thread of a process waits for a signal in sigwait(3) or its like: the kernel, which shows it as not blocked
    meanwhile, gives it to that thread. What cannot be read is taken to be so."""
    waiting = str(kernel.call_number("rt_sigtimedwait"))
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            call, *arguments = files.read(f"/proc/{pid}/task/{thread}/syscall").split()
            if call == waiting and _mask(pid, int(arguments[0], 16)) >> (number - 1) & 1:
                return True
    except FileNotFoundError:
        return False  # it has ended
    except OSError:
        return True
    return False


def _mask(pid: int, address: int) -> int:
    """A set of signals in the memory of a process."""
    with Opened(os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)) as memory:
        return int.from_bytes(os.pread(memory, 8, address), sys.byteorder)


def _has(status: dict[str, str], number: int, *names: str) -> bool:
    return any(int(status.get(name, "0"), 16) >> (number - 1) & 1 for name in names)
