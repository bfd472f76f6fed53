"""The launch stage's side of a native run: answers the set-up, forwards signals, relays the terminal, reaps."""

from __future__ import annotations

import os
import resource
import select

from hardening.errors import LaunchError
from hardening.launch import abi, failure, kernel
from hardening.launch.config_process import RLIM_INFINITY
from hardening.launch.signals import signal
from hardening.launch.terminal import Relay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from hardening.launch.channel import Channel
    from hardening.launch.plan import Plan

SIGNAL_INFO = 128  # sizeof(struct signalfd_siginfo)
NOT_FORWARDED = {signal.SIGCHLD, signal.SIGPIPE, signal.SIGTTIN, signal.SIGTTOU}
BEFORE_EXEC = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}


class Supervisor:
    """Watches one container from its first process's start to its end."""

    def __init__(self, plan: Plan, channel: Channel, pid: int, signals: int) -> None:
        self._plan = plan
        self._channel = channel
        self._pid = pid
        self._pidfd = os.pidfd_open(pid)
        self._signals = signals
        self._poll = select.poll()
        self._relay: Relay | None = None
        self._keep_stdin = False
        self._output_open = True
        self._watched: list[int] = []
        self._released = False
        self._executed = False
        self._interrupted = 0
        self._error: LaunchError | None = None
        self._status: int | None = None
        self.made: list[str] = []
        self.on_exec_stop: Callable[[int], None] | None = None

    @property
    def executed(self) -> bool:
        """Whether the command was started."""
        return self._executed

    def run(self, *, keep_stdin: bool) -> int:
        """Serve until the first process ends: its exit code, 128+n for a signal. `LaunchError` when it never ran."""
        self._keep_stdin = keep_stdin
        for fd in (self._channel.fileno(), self._signals, self._pidfd):
            self._poll.register(fd, select.POLLIN)
        try:
            while self._status is None:
                self._watch_terminal()
                for fd, _ in self._poll.poll():
                    self._serve(fd)
        finally:
            if self._relay is not None:
                while self._relay.read_container():
                    pass
                self._relay.restore()
        return self._result(self._status)

    def _result(self, status: int) -> int:
        if not self._executed:
            self._drain_channel()
        if self._error is not None:
            raise self._error
        if self._interrupted and not self._executed:
            return 128 + self._interrupted
        code = os.waitstatus_to_exitcode(status)
        if not self._released:
            raise LaunchError(
                f"the container's first process ended during its set-up ({'signal' if code < 0 else 'exit code'}"
                f" {abs(code)})",
                hint="out of memory, or a seccomp filter around this process?",
            )
        return 128 - code if code < 0 else code

    def _drain_channel(self) -> None:
        """Messages may still wait when the process is gone already."""
        while not self._executed and self._channel.fileno() >= 0:
            self._read_channel()

    def _serve(self, fd: int) -> None:
        if fd == self._channel.fileno():
            self._read_channel()
        elif fd == self._signals:
            self._read_signals()
        elif fd == self._pidfd:
            self._reap()
        elif self._relay is not None and fd == self._relay.master:
            self._relay.flush()
            self._output_open = self._relay.read_container()
        elif self._relay is not None and fd == 0:
            self._relay.read_user()

    def _watch_terminal(self) -> None:
        """Ask for exactly the terminal events that can be served now; a hang-up would be reported for ever."""
        relay = self._relay
        if relay is None:
            return
        for fd in self._watched:
            self._poll.unregister(fd)
        self._watched.clear()
        if self._output_open:
            self._poll.register(relay.master, select.POLLIN | (select.POLLOUT if relay.is_full else 0))
            self._watched.append(relay.master)
            if relay.wants_input and not relay.is_full:
                self._poll.register(0, select.POLLIN)
                self._watched.append(0)

    def _read_channel(self) -> None:
        try:
            message, fd = self._channel.receive()
        except ConnectionError:
            message, fd = [], None
        if not message:
            self._poll.unregister(self._channel.fileno())
            self._channel.close()
            self._executed = self._released and self._error is None
            if self._executed:
                self._refuse_own_interpreter()
        elif message[0] == "fail":
            self._error = failure.from_message(message[1:])
        elif message[0] == "made":
            self.made.append(message[1])
        elif message[0] == "console" and fd is not None:
            self._relay = Relay(fd, with_input=self._keep_stdin)
        elif message[0] == "ready":
            self._release()

    def _release(self) -> None:
        """Put the resource limits on the process, which is about to execute, and let it go on."""
        try:
            for limit in self._plan.process.rlimits:
                pair = tuple(-1 if value == RLIM_INFINITY else value for value in (limit.soft, limit.hard))
                with failure.Step(
                    f"set {limit.name}",
                    limit.pointer,
                    "raising a hard limit needs CAP_SYS_RESOURCE: ask for at most what `ulimit -H` shows",
                ):
                    try:
                        resource.prlimit(self._pid, limit.number, (pair[0], pair[1]))
                    except (ValueError, OverflowError) as error:
                        raise OSError(1, str(error)) from error
        except LaunchError as error:
            self._error = error
            self._kill(signal.SIGKILL)
            return
        self._released = True
        self._channel.send("go")

    def _refuse_own_interpreter(self) -> None:
        """Kill a command that turns out to be this launcher's own interpreter, seen through the launcher's mount.

        The process itself has looked before (`lookup.refuse_magic`); this look cannot be raced (CVE-2019-5736). The
        same file seen through a mount of the container is an ordinary command.
        """
        try:
            if kernel.mount_id(f"/proc/{self._pid}/exe") != kernel.mount_id("/proc/self/exe"):
                return
        except OSError:  # it has ended, or it is not ours to look at: then it is another program
            return
        self._kill(signal.SIGKILL)
        self._error = LaunchError("the command leads to the launcher's own interpreter on the host", exit_code=126)

    def _read_signals(self) -> None:
        try:
            data = os.read(self._signals, SIGNAL_INFO * 16)
        except BlockingIOError:
            return
        for offset in range(0, len(data), SIGNAL_INFO):
            number = int.from_bytes(data[offset : offset + 4], "little")
            if number == signal.SIGCHLD:
                self._look_at_tracee()
            elif number == signal.SIGWINCH and self._relay is not None:
                self._relay.resize()
            elif self._executed:
                if number not in NOT_FORWARDED:
                    self._kill(number)
            elif number in BEFORE_EXEC:
                self._interrupted = number
                self._kill(signal.SIGKILL)

    def _kill(self, number: int) -> None:
        try:
            kernel.pidfd_send_signal(self._pidfd, number)
        except ProcessLookupError:
            return

    def _look_at_tracee(self) -> None:
        """With a tracer's eyes: at the exec stop the command is complete and has not run one instruction."""
        if self.on_exec_stop is None:
            return
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if pid == 0:
            return
        if not os.WIFSTOPPED(status):
            self._status = status
            return
        event, number = status >> 16, os.WSTOPSIG(status)
        if event == abi.PTRACE_EVENT_EXEC:
            look, self.on_exec_stop = self.on_exec_stop, None
            look(self._pid)
            kernel.ptrace(abi.PTRACE_DETACH, self._pid)
        else:
            kernel.ptrace(abi.PTRACE_CONT, self._pid, 0 if event else number)

    def _reap(self) -> None:
        if self._status is None:
            self._status = os.waitpid(self._pid, 0)[1]
        self._poll.unregister(self._pidfd)


def kill_orphans() -> None:
    """Kill and reap every child of this process, until none is left (it is their subreaper)."""
    me = os.getpid()
    while True:
        with open(f"/proc/self/task/{me}/children", encoding="ascii") as file:
            children = [int(word) for word in file.read().split()]
        if not children:
            return
        for child in children:
            os.kill(child, signal.SIGKILL)
        for child in children:
            os.waitpid(child, 0)
