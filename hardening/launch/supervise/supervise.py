"""Watching a container's first process: signals forwarded, terminal relayed, exit code kept, children reaped."""

from __future__ import annotations

import errno
import gc
import select
import time

from hardening.base import files
from hardening.base.files import Opened
from hardening.base.guarded import TERMINAL_USE, complain
from hardening.base.linux import abi, kernel
from hardening.base.linux.system import os, signal
from hardening.base.pointer import items, lookup
from hardening.errors import EXIT_LAUNCHER
from hardening.launch.supervise import REST
from hardening.launch.supervise.signal_forwarder import SignalForwarder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from hardening.launch.record.helpercalls import HelperCalls
    from hardening.launch.supervise.denied import FailedRun, MemoryPlace, Remains
    from hardening.launch.supervise.feed import Feed
    from hardening.launch.supervise.run_observer import RunObserver
    from hardening.launch.supervise.terminal import Relay

SIGNAL_INFO = 128  # sizeof(struct signalfd_siginfo)
BY_KERNEL = 0x80  # SI_KERNEL, the code of a signal that the terminal makes (sigaction(2))
NOT_FORWARDED = {signal.SIGCHLD, signal.SIGPIPE, *TERMINAL_USE}
_AT_CALL = signal.SIGTRAP | 0x80  # a stop at a system call (ptrace(2), PTRACE_O_TRACESYSGOOD)
#: What an instruction or a system call of a process brings upon it, and ends it (signal(7)).
_FAULTS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP, signal.SIGSYS)


class Supervisor:
    """Watches one child process until it ends. ``signals`` is a signalfd of the signals that this process blocks."""

    def __init__(self, pid: int, signals: int, *, keep_stdin: bool) -> None:
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self.target = SignalForwarder(pid, self.pidfd)
        self.status: int | None = None
        self.poll = select.poll()
        self.on_exec_stop: Callable[[int], None] | None = None
        self._helpers: HelperCalls
        self.copies: dict[int, int] = {}  # pipe of the container -> descriptor of the user
        self.helper: int | None = None  # another child, to be reaped when it ends
        self.helper_status = 0
        self.lost = 0  # the number of the error for which output could not be written
        self.reaps_orphans = False  # this process is their subreaper
        self.observer: RunObserver | None = None
        # Files of /proc that count what the process writes, and what its network namespace does; -1 without.
        self.io = self.network = -1
        self.memory: list[MemoryPlace] = []  # what of it the process can fill
        self.remains: Remains | None = None  # of a process that has failed
        self._announced = False
        self._due: float | None = None  # when the observer is to be told
        self._signals = signals
        self._keep_stdin = keep_stdin
        self._relay: Relay | None = None
        self._output_open = True
        self._rested = False  # memory was given back
        self._watched: list[int] = []
        self.feed: Feed | None = None

    def watch(self) -> int:
        """Serve until the process ends: its wait status, with the signal that it was killed for where it could not die of
        that one."""
        gc.freeze()
        gc.enable()
        if self.observer is not None:
            self.copies = {**self.copies, **self.observer.readers}
        for fd in (self._signals, self.pidfd, *self.copies):
            self.poll.register(fd, select.POLLIN)
        try:
            while self.status is None:
                self._watch_terminal()
                events = self.poll.poll(self._patience())
                for fd, _ in events:
                    self.serve(fd)
                if self.target.waits:
                    self.target.look_again()
                elif not events:
                    self._rest()
                self.announce()
        finally:
            for fd in list(self.copies):
                os.set_blocking(fd, False)
                while self._copy(fd):
                    pass
            if self._relay is not None:
                while self._relay.read_container():
                    pass
                self._relay.restore()
        return self.status

    def has_started(self) -> bool:
        """Whether the command runs, or has run: the runtime's own start has come to a good end."""
        return self.helper is None and self.helper_status == 0 and self.on_exec_stop is None

    def announce(self) -> None:
        """Tell the observer, once, that the command runs; end the command where the observer says so."""
        if self.observer is None or self._announced or not self.has_started():
            return
        if self._due is None:
            self._due = time.monotonic() + self.observer.delay
        if self.observer.delay and (self.status is not None or self._due > time.monotonic()):
            return
        self._announced = True
        self._rested = False  # what the observer does now takes memory again
        if not self.observer.started(self.pid):
            self.send_signal(signal.SIGKILL)

    def _patience(self) -> float | None:
        """How long to wait for the next event, in milliseconds; None for ever."""
        ends = [float(REST)] if not self._rested else []
        if not self._announced and self._due is not None:
            ends.append(max(0.0, self._due - time.monotonic()) * 1000)
        if self.target.waits:
            ends.append(self.target.patience() * 1000)
        return min(ends, default=None)

    def _rest(self) -> None:
        """Nothing has happened for a while: this process will mostly wait."""
        if not self._rested:
            self._rested = True
            from hardening.base.linux import memory  # which most commands end too early for

            memory.release()

    def serve(self, fd: int) -> None:
        """Answer one readable descriptor."""
        if fd == self._signals:
            self._read_signals()
        elif fd == self.pidfd:
            self.reap()
        elif fd in self.copies:
            if not self._copy(fd):
                self.poll.unregister(fd)
                os.close(fd)
                del self.copies[fd]
        elif self.feed is not None and fd in self._watched:
            self.feed.serve()
        elif self._relay is not None and fd == self._relay.master:
            self._relay.flush()
            self._output_open = self._relay.read_container()
        elif self._relay is not None and fd == 0:
            self._relay.read_user()

    def on_signal(self, number: int, *, typed: bool) -> None:
        """Pass a signal on to the container; ``typed`` says that the user's terminal has made it."""
        self.target.forward(number, typed=typed)

    def _stop_with_command(self) -> None:
        """Stop as well once the command has stopped, so that the shell sees the job stop."""
        if self.target.stops and self.status is None and os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOHANG):
            self.target.stops = False
            self.stop()

    def stop(self) -> None:
        """Stop this process until it is continued, without the user's terminal meanwhile.

        The kernel lets it go on where no shell could continue it (setpgid(2), orphaned process groups).
        """
        if self._relay is not None:
            self._relay.restore()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTSTP})
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP})

    def send_signal(self, number: int) -> None:
        """Send a signal to the process, if it still exists."""
        self.target.send(number)

    def relay_terminal(self, master: int) -> None:
        """Connect the user's terminal to the container's, from now on."""
        from hardening.launch.supervise.terminal import Relay

        show = self.observer.write if self.observer is not None and self.observer.captures else None
        self._relay = Relay(master, with_input=self._keep_stdin, show=show)

    def trace_until_exec(self, helpers: HelperCalls, look: Callable[[int], None]) -> None:
        """Attach to the process; ``look`` is called with its pid when it has executed the command and not yet run one
        instruction of it. What ``helpers`` do before is taken down."""
        from hardening.base.linux import ptrace

        options = abi.PTRACE_O_TRACEEXEC | abi.PTRACE_O_EXITKILL | abi.PTRACE_O_TRACESYSGOOD
        ptrace.request(abi.PTRACE_SEIZE, self.pid, options)
        self.on_exec_stop, self._helpers = look, helpers

    def reap_helper(self, flags: int = 0) -> None:
        """Take the helper's status, if it has ended; without ``flags`` wait for that."""
        if self.helper is not None:
            pid, status = os.waitpid(self.helper, flags)
            if pid:
                self.helper, self.helper_status = None, status

    def _watch_terminal(self) -> None:
        """Ask for exactly the events of terminal and input that can be served now; a hang-up would be reported for ever."""
        relay, feed = self._relay, self.feed
        for fd in self._watched:
            self.poll.unregister(fd)
        self._watched.clear()
        watched = feed.watched() if feed is not None else None
        if watched is not None:
            self.poll.register(*watched)
            self._watched.append(watched[0])
        if relay is not None and self._output_open:
            self.poll.register(relay.master, select.POLLIN | (select.POLLOUT if relay.is_full else 0))
            self._watched.append(relay.master)
            if relay.wants_input and not relay.is_full:
                self.poll.register(0, select.POLLIN)
                self._watched.append(0)

    def _copy(self, fd: int) -> bool:
        """Copy one piece of output; False when there is no more."""
        try:
            data = os.read(fd, files.RELAYED)
        except BlockingIOError:
            return False
        if self.observer is not None and fd in self.observer.readers:
            self.observer.write(self.copies[fd], data)
            return bool(data)
        number = files.relay(self.copies[fd], data)
        if number not in (0, errno.EPIPE, errno.ECONNRESET):  # of these the command's next write tells it
            self.lost = number
        return bool(data) and not number

    def count_network(self, document: object) -> None:
        """Keep what the process's network namespace counts, where that is a new one into which nobody puts an interface: it
        has a name for as long as the process lives."""
        namespaces = () if lookup(document, "/hooks") else items(document, "/linux/namespaces")
        if any(one.get("type") == "network" and not one.get("path") for one in namespaces if isinstance(one, dict)):
            self.network = files.open_counter(self.pid, files.NETWORK)

    def keep_memory(self, document: object) -> None:
        """Keep the places in memory that the process can fill (tmpfs(5)): they are gone with it."""
        try:
            with Opened(os.open(f"/proc/{self.pid}/root", os.O_PATH | os.O_CLOEXEC)) as root:
                for mount in items(document, "/mounts"):
                    options, place = list(map(str, items(mount, "/options"))), lookup(mount, "/destination")
                    size = next((one.removeprefix("size=") for one in options if one.startswith("size=")), "")
                    if lookup(mount, "/type") == "tmpfs" and size and "ro" not in options:
                        found = kernel.openat2(root, files.encode(place), os.O_PATH | os.O_DIRECTORY, abi.IN_ROOT)
                        self.memory.append((place, size, found))
        except OSError:  # it has ended, or the host hides it
            return

    def failed(self, code: int, document: object, groups: Collection[str]) -> FailedRun:
        """What is known of the command, which has failed with ``code`` in these control groups."""
        from hardening.launch.supervise.denied import FailedRun, Remains

        status, ended_by = self.status or 0, self.target.ended_by
        return FailedRun(
            code=code,
            document=document,
            groups=groups,
            network=self.network,
            memory=self.memory,
            remains=self.remains or Remains(),
            signal=os.WTERMSIG(status) if os.WIFSIGNALED(status) and not ended_by else 0,
            disturbed=self.target.has_forwarded,
        )

    def settled(self, code: int) -> int:
        """The exit code for one of the command, after what was lost of its output was told."""
        if not self.lost:
            return code
        complain(f"output of the command could not be written: {os.strerror(self.lost)}")
        return code or EXIT_LAUNCHER

    def _read_signals(self) -> None:
        try:
            data = os.read(self._signals, SIGNAL_INFO * 16)
        except BlockingIOError:
            return
        for offset in range(0, len(data), SIGNAL_INFO):
            number = int.from_bytes(data[offset : offset + 4], "little")
            if number == signal.SIGCHLD:
                self.reap_helper(os.WNOHANG)
                self._look_at_tracee()
                self._stop_with_command()
                self._reap_orphans()
            elif number == signal.SIGWINCH and self._relay is not None:
                self._relay.resize()
            elif number not in NOT_FORWARDED:
                if number == signal.SIGCONT and self._relay is not None:
                    self._relay.take()
                    self._relay.resize()
                code = int.from_bytes(data[offset + 8 : offset + 12], "little")
                self.on_signal(number, typed=code == BY_KERNEL)

    def _reap_orphans(self) -> None:
        """Take what has fallen to this process because its parent has ended, or it would stay as a zombie."""
        while self.reaps_orphans and self.status is None:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is None or found.si_pid in (self.pid, self.helper):
                return
            os.waitpid(found.si_pid, 0)

    def _look_at_tracee(self) -> None:
        if self.on_exec_stop is None:
            return
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0:
            return
        if not os.WIFSTOPPED(status):
            self._take(status)
            return
        from hardening.base.linux import ptrace

        event, number = status >> 16, os.WSTOPSIG(status)
        if event == abi.PTRACE_EVENT_EXEC and not self._helpers.follows(self.pid):
            look, self.on_exec_stop = self.on_exec_stop, None
            look(self.pid)
            ptrace.request(abi.PTRACE_DETACH, self.pid)
        elif number == _AT_CALL:
            self._helpers.take(self.pid)
            ptrace.request(abi.PTRACE_SYSCALL, self.pid)
        elif not event and number in _FAULTS:
            # The kernel spares the first process of a pid namespace while it is traced, which faults again for ever.
            self.target.ended_by = number
            self.send_signal(signal.SIGKILL)
        else:
            go_on = abi.PTRACE_SYSCALL if self._helpers.found else abi.PTRACE_CONT
            ptrace.request(go_on, self.pid, 0 if event else number)

    def reap(self) -> None:
        """Take the status of the process, which has ended."""
        if self.status is None:
            self._look_at_remains()
            self._take(os.waitpid(self.pid, 0)[1])
        self.poll.unregister(self.pidfd)

    def _look_at_remains(self) -> None:
        """Keep what the kernel says of a process that has failed, for as long as it is not reaped."""
        found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        if found is not None and found.si_status != 0:
            from hardening.launch.supervise import denied  # which no command that succeeds needs

            self.remains = denied.remains(self.pid, self.io)

    def _take(self, status: int) -> None:
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        # The status of a process that a signal ended is the number of it (wait(2)).
        self.status = self.target.ended_by if killed and self.target.ended_by else status
        self.target.reaped = True


def exit_code(status: int) -> int:
    """The exit code of a wait status, 128+n for signal n."""
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def kill_orphans(spare: int = 0) -> None:
    """Kill and reap every child of this process but ``spare``, until none is left (it is their subreaper)."""
    me = os.getpid()
    while True:
        children = [int(word) for word in files.read(f"/proc/self/task/{me}/children").split() if int(word) != spare]
        if not children:
            return
        for child in children:
            os.kill(child, signal.SIGKILL)
        for child in children:
            os.waitpid(child, 0)
