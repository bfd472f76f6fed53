"""The loop of a trace: each stop of each thread, answered (ptrace(2))."""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import suppress
from os import PathLike

from hardening.base import files
from hardening.base.linux import abi, ptrace
from hardening.errors import EXIT_LAUNCHER, LaunchError
from hardening.launch.request import LaunchRequest
from hardening.trace import calls, recording
from hardening.trace.calls import PendingCall
from hardening.trace.observer import CallObserver, LiveProcess, LiveThread
from hardening.trace.tracee import Tracee

_WAIT = abi.__WALL | abi.__WNOTHREAD
#: Before the command is there, and from then on.
_FIRST_OPTIONS = abi.PTRACE_O_TRACEEXEC | abi.PTRACE_O_EXITKILL
_OPTIONS = (
    _FIRST_OPTIONS
    | abi.PTRACE_O_TRACESYSGOOD
    | abi.PTRACE_O_TRACECLONE
    | abi.PTRACE_O_TRACEFORK
    | abi.PTRACE_O_TRACEVFORK
)
#: What a call of theirs has done before it ends.
_DONE = (abi.PTRACE_EVENT_EXEC, abi.PTRACE_EVENT_CLONE, abi.PTRACE_EVENT_FORK, abi.PTRACE_EVENT_VFORK)
_STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
#: The statuses of stops at calls: before and after one, and where the filter asks about one.
_AT_CALL = (signal.SIGTRAP | 0x80) << 8 | 0x7F
_ASKED = abi.PTRACE_EVENT_SECCOMP << 16 | signal.SIGTRAP << 8 | 0x7F
#: What an instruction or a system call of a process brings upon it, and ends it (signal(7)).
_FAULTS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP, signal.SIGSYS)
#: Errnos that only the kernel sees: the call is made again, or becomes EINTR (include/linux/errno.h).
_RESTARTS = range(512, 531)


class Tracing:
    """One trace. ``run`` is called in a thread of its own: the launcher is a child of that thread, which traces and waits
    for nobody else's children (``__WNOTHREAD``), and whose end is the end of all that it traces (``PTRACE_O_EXITKILL``). All
    else is read when that is over; what it is, `hardening.trace.tracer.Trace` says."""

    def __init__(
        self,
        request: LaunchRequest,
        bundle: str | PathLike[str],
        streams: Mapping[int, int],
        observer: CallObserver,
    ) -> None:
        self._request, self._bundle, self._streams, self._observer = request, bundle, streams, observer
        self.ended = ""
        self._lock = threading.Lock()  # over the pids, which another thread sends signals to
        self._launcher = self.command = 0
        self._command_lives = False
        self.status = EXIT_LAUNCHER
        self._ended_by = 0  # the signal that the command could not die of
        self._is_there = False  # the command: before, calls are the launcher's
        self._is_over = False  # it ends, and the kernel kills what it leaves in its pid namespace
        self._goes_on = abi.PTRACE_CONT  # until there is a command
        self._stops = ptrace.SyscallStops()
        self._threads: dict[int, LiveThread] = {}
        self.processes: dict[int, LiveProcess] = {}
        self._killed: set[LiveProcess] = set()
        self.count = 0
        self.made: dict[tuple[int, int], Counter[str]] = defaultdict(Counter)
        self.tasks = 0

    # Seen from the other thread

    def stop(self, why: str, *, gently: bool = False) -> None:
        """End the command, and with it the launch; before there is one, the launch. ``gently``: as its launcher ends it by
        SIGTERM, so that it can do what it does at its end."""
        with self._lock:
            self.ended = self.ended or why
            if self._command_lives and not gently:
                _send(self.command, signal.SIGKILL)
            elif self._launcher:
                _send(self._launcher, signal.SIGTERM)

    def kill(self) -> None:
        """End what `stop` has not: a launcher that does not come to its end, and all that is traced. The launcher's cleanup
        process does the rest."""
        with self._lock:
            for pid in (self._launcher, *self._threads.copy()):
                if pid:
                    _send(pid, signal.SIGKILL)

    def processor_time(self) -> float:
        """Seconds that its processes have had a processor, those that are over left out."""
        found = 0.0
        for pid, process in self.processes.copy().items():
            if process.status is None:
                with suppress(OSError):  # it has ended this moment
                    found += files.processor_time(pid)
        return found

    # The thread itself

    def run(self) -> None:
        """Start the launch, and trace it to its end. `LaunchError`."""
        try:
            self._launch()
            self._serve()
        finally:
            self._end_all()

    def _launch(self) -> None:
        """Start the launcher, and attach to its first process when that is there. `LaunchError`."""
        own, other = socket.socketpair()
        with own:
            with other:
                request = self._request.changed(tracer=other.fileno())
                argv = request.argv(self._bundle)
                passed = [fd for fd in (request.lock, request.secrets, request.variables, request.tracer) if fd >= 0]
                moves = {**self._streams, **{fd: fd for fd in passed}}
                # A descriptor that is put in its own place outlives execve(2) (posix_spawn_file_actions_adddup2(3)).
                actions = [(os.POSIX_SPAWN_DUP2, fd, place) for place, fd in moves.items()]
                ignored = [signal.SIGPIPE, signal.SIGXFSZ]  # by this interpreter
                self._launcher = os.posix_spawn(argv[0], argv, os.environ, file_actions=actions, setsigdef=ignored)
            if self.ended:  # before there was anything that could be told so
                _send(self._launcher, signal.SIGTERM)
            told = own.makefile("rb").readline()
            if not told.endswith(b"\n"):  # the launch has failed, and its exit code says how
                return
            self._attach(int(told))
            own.send(b"\0")

    def _attach(self, pid: int) -> None:
        try:
            ptrace.request(abi.PTRACE_SEIZE, pid, _FIRST_OPTIONS | self._observer.options)
        except OSError as error:
            raise LaunchError(
                f"cannot trace the command: {error.strerror}",
                hint="is another program tracing it, or does kernel.yama.ptrace_scope (sysctl) forbid it to everybody?",
            ) from None
        process = self.processes[pid] = LiveProcess(pid)
        self._threads[pid], self.tasks = LiveThread(pid, process), 1
        with self._lock:
            self.command, self._command_lives = pid, True

    def _end_all(self) -> None:
        """Kill what an error has left, and wait for it."""
        for pid in (self._launcher, *self._threads):
            if pid:
                _send(pid, signal.SIGKILL)
        while True:
            try:
                pid, status = os.waitpid(-1, _WAIT)
            except ChildProcessError:
                return
            if os.WIFSTOPPED(status):  # at its exit, where it would stay (PTRACE_O_TRACEEXIT)
                self._stops.resume(pid, abi.PTRACE_CONT)

    def _serve(self) -> None:
        """Answer every stop until nobody is left."""
        wait, threads, call, asked = os.waitpid, self._threads, _AT_CALL, _ASKED
        while True:
            try:
                pid, status = wait(-1, _WAIT)
            except ChildProcessError:
                return
            if pid in threads and (status == call or (status == asked and self._is_there)):
                self._at_call(pid, threads[pid])
            elif pid == self._launcher:
                self._launched(status)
            elif os.WIFSTOPPED(status):
                self._stopped(pid, status)
            else:
                self._gone(pid, status)

    def _launched(self, status: int) -> None:
        """The launcher has ended: nothing may be left of what it ran."""
        with self._lock:
            self._launcher = 0
        code = os.waitstatus_to_exitcode(status)
        self.status = 128 - code if code < 0 else code
        if self._ended_by:
            self.status = 128 + self._ended_by
        for pid in self._threads:
            _send(pid, signal.SIGKILL)

    def _stopped(self, pid: int, status: int) -> None:
        event, number = status >> 16, os.WSTOPSIG(status)
        thread = self._threads.get(pid) or self._adopt(pid)
        request = self._goes_on
        if event == abi.PTRACE_EVENT_STOP:
            # A group-stop lasts until SIGCONT, and what is told of then is the end of it.
            request = abi.PTRACE_LISTEN if number in _STOPS else request
            number = 0
        elif event:
            if event == abi.PTRACE_EVENT_EXEC:
                thread = self._executed(pid)
            elif event == abi.PTRACE_EVENT_EXIT:
                self._exits(thread)
            if event in _DONE:
                self._returned(thread, 0, 0)
            request, number = self._goes_on, 0
        elif number in _FAULTS:
            number = self._faulted(thread, number)
        self._stops.resume(pid, request, number)

    def _adopt(self, pid: int) -> LiveThread:
        """A thread that is seen for the first time, before its first instruction: it is traced as its parent is. What
        that says of it comes before or after, and even when it is over, and is not needed."""
        status = Tracee(pid).status()
        group = int(status.get("Tgid") or pid)
        process = self.processes.get(group)
        if process is None or process.status is not None:
            process = self.processes[group] = LiveProcess(group, self.count)
            parent = self.processes.get(int(status.get("PPid") or 0))
            if parent is not None:
                process.argv, process.executable, process.command = parent.argv, parent.executable, parent.command
                self._observer.on_fork(process, parent)
        thread = self._threads[pid] = LiveThread(pid, process)
        if not self._launcher:  # made while all others were killed, by one that shares the host's pid namespace
            _send(pid, signal.SIGKILL)
        self.tasks = max(self.tasks, len(self._threads))
        return thread

    def _gone(self, pid: int, status: int) -> None:
        thread = self._threads.pop(pid, None)
        if thread is not None:
            self._observer.on_thread_end(thread)
        process = self.processes.get(pid)
        if process is not None:
            process.status = status
            # What is left where the command ends is killed, as is all where the trace does.
            if status and not self.ended and (pid == self.command or not self._is_over):
                status = self._ended_by if pid == self.command and self._ended_by else status
                self._observer.on_failed_end(
                    process, thread.known_caller if thread is not None else None, status, self.count
                )
        if pid == self.command:
            with self._lock:
                self._command_lives = False

    # Calls

    def _at_call(self, pid: int, thread: LiveThread) -> None:
        """A call begins, or has ended."""
        try:
            kind, architecture, number, arguments, data = self._stops.read(pid)
        except OSError:  # it was killed this moment
            return
        if kind == abi.PTRACE_SYSCALL_INFO_EXIT:
            has_failed = arguments[0] & 0xFF
            self._returned(thread, (1 << 64) - number if has_failed else 0, number)
            self._stops.resume(pid, self._goes_on)
            return
        if kind == abi.PTRACE_SYSCALL_INFO_SECCOMP and data != recording.MARK:
            with suppress(ProcessLookupError):  # it was killed this moment
                ptrace.skip_call(pid)
            self._stops.resume(pid, self._goes_on)
            return
        self.count += 1
        self.made[architecture, number][thread.process.command] += 1
        entry = PendingCall(architecture, number, arguments, self.count)
        if self._observer.on_entry(thread, entry):
            thread.entry = entry
            self._stops.resume(pid, abi.PTRACE_SYSCALL)
        else:
            self._stops.resume(pid, self._goes_on)

    def _returned(self, thread: LiveThread, error: int, result: int) -> None:
        """The call that a thread is in, if it is followed, has its answer."""
        entry = thread.entry
        if entry is not None:
            self._observer.on_exit(thread, entry, errno.EINTR if error in _RESTARTS else error, result)
            thread.last, thread.entry = entry, None

    # Ends and beginnings

    def _executed(self, pid: int) -> LiveThread:
        """execve(2) has replaced what the process was; the thread that called it has taken the place of the first."""
        try:
            former = ptrace.event_message(pid)
        except ProcessLookupError:
            return self._threads[pid]
        if not self._is_there:
            self._is_there = True
            ptrace.request(abi.PTRACE_SETOPTIONS, pid, _OPTIONS | self._observer.options)
            self._goes_on = self._observer.goes_on
        process = self.processes[pid]
        gone = [one for one, thread in self._threads.items() if thread.process is process]
        kept = self._threads.get(former) or LiveThread(former, process)
        for one in gone:
            del self._threads[one]
        self._threads[pid] = kept
        kept.tracee = tracee = Tracee(pid)
        kept.changed()
        process.argv, process.executable, process.command = tracee.argv(), tracee.link("exe"), tracee.command()
        self._observer.on_exec(
            kept, kept.entry or calls.native("execve", self.count)
        )  # the launcher's own was not followed
        return kept

    def _exits(self, thread: LiveThread) -> None:
        """A thread is about to end, and its memory is still there. Where a filter has killed it that is the answer to its
        last call, which may have come back before the signal was looked at; the other threads of the process end by the same
        signal, and the last to call was it."""
        try:
            status = ptrace.event_message(thread.pid)
        except ProcessLookupError:
            return
        process, own = thread.process, thread.entry or thread.last
        process.ended, process.memory = self.count, max(process.memory, thread.tracee.most_memory())
        self._is_over |= thread.pid == self.command
        if status & 0x7F != signal.SIGSYS or own is None or process in self._killed:
            return
        entries = [one.entry or one.last for one in self._threads.values() if one.process is process]
        if own.order == max(entry.order for entry in entries if entry is not None):
            self._killed.add(process)
            self._observer.on_kill(thread, own)

    def _faulted(self, thread: LiveThread, number: int) -> int:
        """A fault: the signal to go on with. A filter may answer with SIGSYS, which a program may handle; a file that is
        mapped and finds no room, with SIGBUS."""
        pid = thread.pid
        try:
            _, code, address = ptrace.signal_info(pid)
        except OSError:  # it was killed this moment
            return number
        if number == signal.SIGBUS:
            self._observer.on_bus_error(thread, address, self.count)
        elif number == signal.SIGSYS and code == abi.SYS_SECCOMP and thread.last is not None:
            self._observer.on_kill(thread, thread.last)
        if pid != self.command:
            return number
        caught = int(thread.tracee.status().get("SigCgt", "0"), 16) >> number - 1 & 1
        if not caught:
            # The kernel spares the first process of a pid namespace while it is traced, which faults again for ever.
            self._ended_by = number
            return int(signal.SIGKILL)
        return number


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):  # it has ended this moment
        os.kill(pid, number)
