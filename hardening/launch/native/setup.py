"""The launcher's answers to a native container's set-up, and then the watch over it."""

from __future__ import annotations

import _stat as stat
import select

from hardening.base import files
from hardening.base.linux import failure, kernel
from hardening.base.linux.system import os, signal
from hardening.errors import EXIT_LAUNCHER, EXIT_NOT_EXECUTABLE, LaunchError
from hardening.launch.native import lookup
from hardening.launch.native.channel import from_message
from hardening.launch.native.operation import Limiting
from hardening.launch.supervise.supervise import Supervisor, exit_code

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from hardening.launch.native.identity import DropBounding
    from hardening.launch.native.operation import LaunchState

PF_FORKNOEXEC = 0x40  # linux/sched.h: forked, and has not executed anything since
BEFORE_EXEC = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}


class NativeSupervisor(Supervisor):
    """A supervisor that also speaks with the process while it sets itself up."""

    def __init__(self, state: LaunchState, signals: int) -> None:
        super().__init__(state.pid, signals, keep_stdin=state.keep_stdin)
        self.copies = state.copies
        self.executed = False
        # What was made in directories that outlive the container: each, and a name.
        self.made: list[tuple[int, str]] = []
        self.on_wait: Callable[[], None] | None = None  # called while the process builds its root
        self.on_release: Callable[[], None] | None = None  # called right before the process may execute
        self._state = state
        self._channel = state.near
        self._released = False
        self._interrupted = 0
        self._error: LaunchError | None = None
        self._path = ""  # what the process is about to execute
        self._lent = 0  # the capabilities that this file lends
        self._never_executed = False

    def run(self) -> int:
        """Serve until the process ends: its exit code. `LaunchError` when the command never ran."""
        self.poll.register(self._channel.fileno(), select.POLLIN)
        self._prepare()
        status = self.watch()
        while not self.executed and self._channel.fileno() >= 0:
            self._read_channel()  # messages may still wait when the process is gone already
        self.announce()
        if self._error is not None:
            raise self._error
        if self._never_executed or self.on_exec_stop is not None:  # a traced one has not come to the stop at execve(2)
            self.executed = False
        if self._interrupted and not self.executed:
            return 128 + self._interrupted
        if not self._released:
            raise LaunchError(
                f"the container's first process ended during its set-up with {exit_code(status)}",
                hint="out of memory, or a seccomp filter around this process?",
            )
        if not self.executed:
            raise self._explain(status)
        return exit_code(status)

    def _prepare(self) -> None:
        """Do what need not wait for the process. What fails here is its end, and all else goes on as at any other end."""
        try:
            if self.on_wait is not None:
                self.on_wait()
        except LaunchError as error:
            self._error = error
        except (OSError, ImportError) as error:
            self._error = LaunchError(f"the launch failed: {error}")
        if self._error is not None:
            self.send_signal(signal.SIGKILL)

    def has_started(self) -> bool:
        """Whether the command has been executed: its end of the channel is closed, and by execve(2)."""
        if not self.executed or self._error is not None or self.on_exec_stop is not None:
            return False
        return not self._never_executed if self.status is not None else has_executed(self.pid)

    def reap(self) -> None:
        """Take the status, after a look at whether the process has ever executed: its channel is closed either way."""
        self._never_executed = not has_executed(self.pid)
        super().reap()

    def _explain(self, status: int) -> LaunchError:
        """Why a process that was let go on has not become the command."""
        code = os.waitstatus_to_exitcode(status)
        if 0 < code < EXIT_LAUNCHER:  # `lookup.execute` has put the errno there
            bounding: DropBounding | None = self._state.first("DropBounding")
            return lookup.not_executed(self._path, code, self._lent & ~bounding.kept if bounding is not None else 0)
        how = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
        return LaunchError(
            f"the container's first process {how} before it executed {self._path}",
            hint="does linux.seccomp allow execve, and what the launcher calls before it? "
            "`hardening explain seccomp.execve` shows what decided",
        )

    def serve(self, fd: int) -> None:
        """Answer one readable descriptor."""
        if fd == self._channel.fileno():
            self._read_channel()
        else:
            super().serve(fd)

    def on_signal(self, number: int, *, typed: bool) -> None:
        """Pass a signal on; before the command runs, end or stop the launch where the signal means that."""
        if not self.executed:
            self._catch_up()
        if self.executed:
            self.target.forward(number, typed=typed)
        elif number in BEFORE_EXEC:
            self._interrupted = self.target.ended_by = number
            self.send_signal(signal.SIGKILL)
        elif number == signal.SIGTSTP:
            self.stop()

    def _catch_up(self) -> None:
        """Read what the process has said already: it may have executed before a signal came that is served first."""
        waiting = select.poll()
        if self._channel.fileno() >= 0:
            waiting.register(self._channel.fileno(), select.POLLIN)
        while self._channel.fileno() >= 0 and waiting.poll(0):
            self._read_channel()

    def _read_channel(self) -> None:
        try:
            message, fd = self._channel.receive()
        except ConnectionError:
            message, fd = [], None
        if not message:
            self.poll.unregister(self._channel.fileno())
            self._channel.close()
            self.executed = self._released and self._error is None
            if self.executed:
                self._refuse_own_interpreter()
                self.keep_memory(self._state.bundle.document)
                self._keep_made()
        elif message[0] == "fail":
            self._error = self._error or from_message(message[1:])
        elif message[0] == "made" and fd is not None:
            self.made.append((fd, message[1]))
        elif message[0] == "console" and fd is not None:
            self.relay_terminal(fd)
        elif message[0] == "ready" and self._error is None:
            self._path, self._lent = message[1], int(message[2])
            self._release()

    def _keep_made(self) -> None:
        """Forget what was made, unless the process may have ended before it executed anything."""
        if self.made and has_executed(self.pid):
            for directory, _ in self.made:
                os.close(directory)
            self.made.clear()

    def remove_made(self) -> None:
        """Take away what a failed launch has made. Files that got content stay."""
        for directory, name in reversed(self.made):
            try:
                status = os.stat(name, dir_fd=directory, follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    os.rmdir(name, dir_fd=directory)
                elif status.st_size == 0:
                    os.unlink(name, dir_fd=directory)
            except OSError:  # not empty, or gone: not ours to remove
                pass
            os.close(directory)
        self.made.clear()

    def _release(self) -> None:
        """Put the resource limits on the process, which is about to execute, and let it go on."""
        try:
            self._state.perform(Limiting)
            if self.on_release is not None:
                self.on_release()
        except LaunchError as error:
            self._error = error
            self.send_signal(signal.SIGKILL)
            return
        try:
            self._channel.send("go", str(len(self._state.program)))
            self._channel.send_bytes(self._state.program)
            self._released = True
        except BrokenPipeError:  # it has ended, and how says its status
            return

    def _refuse_own_interpreter(self) -> None:
        """Kill a command that turns out to be this launcher's own interpreter, seen through the launcher's mount.

        The process itself has looked before (`lookup.refuse_magic`); this look cannot be raced (CVE-2019-5736). The
        same file seen through a mount of the container is an ordinary command.
        """
        try:
            if kernel.mount_id(f"/proc/{self.pid}/exe") != kernel.mount_id("/proc/self/exe"):
                return
        except OSError:  # it has ended; or its file cannot be read by the launcher, whose own interpreter can
            return
        self.send_signal(signal.SIGKILL)
        self._error = LaunchError(
            "the command resolves to the launcher's own interpreter on the host",
            origin=failure.COMMAND,
            exit_code=EXIT_NOT_EXECUTABLE,
        )


def has_executed(pid: int) -> bool:
    """Whether a child that has ended, and is not reaped, has executed a program (proc_pid_stat(5), flags).

    True where the host hides the child in /proc: nothing speaks against it then.
    """
    try:
        flags = int(files.process(pid)[files.FLAGS])
    except OSError:
        return True
    return not flags & PF_FORKNOEXEC
