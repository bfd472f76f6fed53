"""The loop of a trace: each stop of each thread, answered (ptrace(2))."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from os import PathLike

import attrs

from hardening.base import files
from hardening.base.linux import abi, kernel
from hardening.errors import EXIT_LAUNCHER, LaunchError
from hardening.launch.request import LaunchRequest
from hardening.mechanism.denial import Caller, SystemCall
from hardening.trace import calls, words
from hardening.trace.calls import PendingCall
from hardening.trace.decode import Decoder
from hardening.trace.tracee import Tracee

#: How many failures are kept, the last ones, and how much of what a process says after one.
MOST, MOST_SAID = 20_000, 2_000
#: At how many writes to other places than standard error it is looked for.
_LOOKS = 20
_WAIT = abi.__WALL | abi.__WNOTHREAD
#: Before the command is there, and from then on.
_FIRST_OPTIONS = abi.PTRACE_O_TRACEEXEC | abi.PTRACE_O_EXITKILL
_OPTIONS = (
    _FIRST_OPTIONS
    | abi.PTRACE_O_TRACESYSGOOD
    | abi.PTRACE_O_TRACECLONE
    | abi.PTRACE_O_TRACEFORK
    | abi.PTRACE_O_TRACEVFORK
    | abi.PTRACE_O_TRACEEXIT
)
_STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
_AT_CALL = signal.SIGTRAP | 0x80
#: What an instruction or a system call of a process brings upon it, and ends it (signal(7)).
_FAULTS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP, signal.SIGSYS)
#: Errnos that only the kernel sees: the call is made again, or becomes EINTR (include/linux/errno.h).
_RESTARTS = range(512, 531)
#: No failures: a wait was interrupted, or there was nothing to wait for; and of calls that wait, nothing came.
_NOTHING_YET = frozenset({errno.EINTR, errno.EINPROGRESS, errno.ECHILD})
_NOTHING_CAME = frozenset({errno.EAGAIN, errno.ETIMEDOUT})
#: What getsockopt(2) asks for: SOL_SOCKET, SO_ERROR.
_SOCKET_ERROR = (socket.SOL_SOCKET, socket.SO_ERROR)
_STDERR = 2
_DUPLICATING = (fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC)


class _Speech:
    """What a process has written after its last failures: to standard error, and where it names one of them, to a log or a
    pipe, too."""

    __slots__ = ("looks", "messages", "text")

    def __init__(self, text: bytes = b"") -> None:
        self.text = text
        self.messages: set[bytes] = set()  # as strerror(3) has the failures, in small letters, as Go and Node have them
        self.looks = _LOOKS


class _Process:
    """What is known of a process while it runs."""

    __slots__ = ("argv", "connecting", "errors", "executable", "killed", "pid", "speech", "spoken", "status")

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.argv: tuple[str, ...] = ()
        self.executable = ""
        self.status: int | None = None
        self.speech = _Speech()
        self.spoken = b""  # the end of what it has written to standard error
        self.errors = {
            _STDERR
        }  # the descriptors that are that: a shell puts it in the place of another one for a while
        self.killed = False
        self.connecting: dict[int, SystemCall] = {}  # by descriptor: connections that are under way


class _Thread:
    """One thread of a process: the call that it is in, the last one that it was in, and who it is, where that is known."""

    __slots__ = ("call", "caller", "entry", "last", "process")

    def __init__(self, process: _Process) -> None:
        self.process = process
        self.entry: PendingCall | None = None
        self.last: PendingCall | None = None
        self.call: SystemCall | None = None  # the one that it is in, in words, where every call is wanted
        self.caller: Caller | None = None


class Tracing:
    """One trace. ``run`` is called in a thread of its own: the launcher is a child of that thread, which traces and waits
    for nobody else's children (``__WNOTHREAD``), and whose end is the end of all that it traces (``PTRACE_O_EXITKILL``). All
    else is read when that is over; what it is, `hardening.trace.tracer.Trace` says."""

    def __init__(
        self,
        request: LaunchRequest,
        bundle: str | PathLike[str],
        on_call: Callable[[SystemCall], None] | None,
        streams: Mapping[int, int],
        *,
        recording: bool,
    ) -> None:
        self._request, self._bundle, self._on_call, self._streams = request, bundle, on_call, streams
        self.ended = ""
        self._lock = threading.Lock()  # over the pids, which another thread sends signals to
        self._launcher = self.command = 0
        self._command_lives = False
        self.status = EXIT_LAUNCHER
        self._ended_by = 0  # the signal that the command could not die of
        self._is_there = False  # the command: before, calls are the launcher's
        self._is_over = False  # it ends, and the kernel kills what it leaves in its pid namespace
        self._recording = recording
        # What a filter asks a tracer about goes on, and is ENOSYS where no tracer wants to be asked (seccomp(2)).
        self._asked = abi.PTRACE_O_TRACESECCOMP if recording else 0
        self._go = abi.PTRACE_CONT  # what lets a tracee go on that is in no call
        self._stops = kernel.SyscallStops()
        self._decoder, self._kinds = Decoder(), calls.kinds()
        self._threads: dict[int, _Thread] = {}
        self.processes: dict[int, _Process] = {}
        self._failures: deque[tuple[SystemCall, _Speech]] = deque(maxlen=MOST)
        self.count = 0
        self.made: set[tuple[int, int]] = set()
        self._met: set[Hashable] = set()  # ways in which calls have failed, and programs
        self.failed = 0
        self.bound: list[SystemCall] = []
        self.listens = False
        self.files, self.tasks = 3, 0

    # Seen from the other thread

    def stop(self, why: str) -> None:
        """End the command, and with it the launch; before there is one, the launch."""
        with self._lock:
            self.ended = self.ended or why
            if self._command_lives:
                _send(self.command, signal.SIGKILL)
            elif self._launcher:
                _send(self._launcher, signal.SIGTERM)

    def failures(self) -> tuple[SystemCall, ...]:
        """What has failed, each with what its process said next."""
        return tuple(
            attrs.evolve(call, said=speech.text[:MOST_SAID].decode("utf-8", "replace")) if speech.text else call
            for call, speech in self._failures
        )

    @property
    def known(self) -> int:
        """How many calls, failures and programs were seen that were new: it stands still while a command does what it has
        done before, and is 0 before it is there."""
        return len(self.made) + len(self._met)

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
            kernel.ptrace(abi.PTRACE_SEIZE, pid, _FIRST_OPTIONS | self._asked)
        except OSError as error:
            raise LaunchError(
                f"cannot trace the command: {error.strerror}",
                hint="is another program tracing it, or does kernel.yama.ptrace_scope (sysctl) forbid it to everybody?",
            ) from None
        process = self.processes[pid] = _Process(pid)
        self._threads[pid], self.tasks = _Thread(process), 1
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
                self._resume(pid, abi.PTRACE_CONT)

    def _serve(self) -> None:
        """Answer every stop until nobody is left."""
        wait, threads, call = os.waitpid, self._threads, _AT_CALL
        while True:
            try:
                pid, status = wait(-1, _WAIT)
            except ChildProcessError:
                return
            if status >> 8 == call and status & 0x7F == 0x7F and pid in threads:
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

    def _resume(self, pid: int, request: int, number: int = 0) -> None:
        with suppress(ProcessLookupError):  # it was killed this moment, which its status will say
            kernel.ptrace(request, pid, number)

    def _stopped(self, pid: int, status: int) -> None:
        event, number = status >> 16, os.WSTOPSIG(status)
        thread = self._threads.get(pid) or self._adopt(pid)
        request = self._go
        if event == abi.PTRACE_EVENT_STOP:
            # A group-stop lasts until SIGCONT, and what is told of then is the end of it.
            request = abi.PTRACE_LISTEN if number in _STOPS else request
            number = 0
        elif event:
            if event == abi.PTRACE_EVENT_EXEC:
                self._executed(pid)
            elif event == abi.PTRACE_EVENT_EXIT:
                self._exits(pid, thread)
            elif event == abi.PTRACE_EVENT_SECCOMP and self._is_there:
                self._at_call(pid, thread)
                return
            # Within a call, such as clone(2), its end is still to come.
            request, number = abi.PTRACE_SYSCALL if thread.entry is not None else self._go, 0
        elif number in _FAULTS:
            number = self._faulted(pid, thread, number)
        self._resume(pid, request, number)

    def _adopt(self, pid: int) -> _Thread:
        """A thread that is seen for the first time, before its first instruction: it is traced as its maker is. What
        that says of it comes before or after, and even when it is over, and is not needed."""
        status = Tracee(pid).status()
        group, parent = int(status.get("Tgid", pid)), int(status.get("PPid", 0))
        process = self.processes.get(group)
        if process is None or process.status is not None:
            process = self.processes[group] = _Process(group)
            maker = self.processes.get(parent)
            if maker is not None:
                process.argv, process.executable = maker.argv, maker.executable
                process.errors = {*maker.errors}
        thread = self._threads[pid] = _Thread(process)
        self.tasks = max(self.tasks, len(self._threads))
        return thread

    def _gone(self, pid: int, status: int) -> None:
        thread = self._threads.pop(pid, None)
        if thread is not None and thread.call is not None and self._on_call is not None:  # exit(2)
            self._on_call(thread.call)
        process = self.processes.get(pid)
        if process is not None:
            process.status = status
            # What is left where the command ends is killed, as is all where the trace does.
            if status and not self.ended and (pid == self.command or not self._is_over):
                self._ended_badly(process, thread.caller if thread is not None else None)
        if pid == self.command:
            with self._lock:
                self._command_lives = False

    def _ended_badly(self, process: _Process, caller: Caller | None) -> None:
        """A process has not ended with 0: a limit may have ended it, or it may have named what it lacks. No call fails where
        a variable is missing."""
        status = process.status or 0
        number = (process.pid == self.command and self._ended_by) or os.WTERMSIG(status)
        if process.killed:  # for a call
            return
        text = f"ended by {words.word(words.SIGNALS, number)}" if number else f"exit code {os.WEXITSTATUS(status)}"
        end = SystemCall(
            "", 0, 0, (0,) * 6, caller or Caller(process.pid, executable=process.executable), signal=number, text=text,
            order=self.count,
        )  # fmt: skip
        self._failures.append((end, _Speech(process.spoken)))

    # Calls

    def _at_call(self, pid: int, thread: _Thread) -> None:
        """A call begins, or has ended."""
        try:
            kind = self._stops.read(pid)
        except OSError:  # it was killed this moment
            return
        info = self._stops.info
        if kind == abi.PTRACE_SYSCALL_INFO_EXIT:
            if thread.entry is not None:
                has_failed = info.args[0] & 0xFF
                self._returned(pid, thread, thread.entry, (1 << 64) - info.nr if has_failed else 0, info.nr)
            self._resume(pid, self._go)
            return
        self.count += 1
        self.made.add((info.arch, info.nr))
        entry = thread.entry = PendingCall(info.arch, info.nr, tuple(info.args), self.count)
        if (entry.architecture, entry.number) in self._kinds["writing"]:
            self._heard(pid, thread.process, entry)
        if self._on_call is not None:  # what it changes, such as where the process stands, is not changed yet
            thread.call = self._decoder.call(entry, Tracee(pid), self._caller(pid, thread))
        self._resume(pid, abi.PTRACE_SYSCALL)

    def _returned(self, pid: int, thread: _Thread, entry: PendingCall, error: int, result: int) -> None:
        if error in _RESTARTS:
            error = errno.EINTR
        if thread.call is not None and self._on_call is not None:
            thread.call = attrs.evolve(thread.call, error=error) if error else thread.call
            self._on_call(thread.call)
        if error:
            self._failed(pid, thread, entry, error)
        else:
            self._succeeded(pid, thread, entry, result)
        thread.last, thread.entry, thread.call = entry, None, None

    def _succeeded(self, pid: int, thread: _Thread, entry: PendingCall, result: int) -> None:
        call = entry.architecture, entry.number
        if call in self._kinds["changing"]:
            thread.caller = None
        elif call in self._kinds["opening"] or (
            call in self._kinds["controlling"] and entry.arguments[1] in _DUPLICATING
        ):
            self.files = max(self.files, result + 1)
            is_copy = call in self._kinds["duplicating"] and entry.arguments[0] in thread.process.errors
            if is_copy:
                thread.process.errors.add(result)
            elif result != _STDERR:
                thread.process.errors.discard(result)
        elif call in self._kinds["pair"] or call in self._kinds["pair3"]:
            place = entry.arguments[0 if call in self._kinds["pair"] else 3]
            self.files = max((self.files, *(number + 1 for number in Tracee(pid).numbers(place, 2, 4))))
        elif call in self._kinds["binding"]:
            self.bound.append(self._decoder.call(entry, Tracee(pid), self._caller(pid, thread)))
        elif call in self._kinds["listening"]:
            self.listens = True
        elif call in self._kinds["asking"] and entry.arguments[1:3] == _SOCKET_ERROR:
            self._answered(pid, thread, entry)
        elif call in self._kinds["answering"]:
            refusal = self._decoder.refusal(entry, Tracee(pid), self._caller(pid, thread), result)
            if refusal is not None:
                self._keep(thread.process, refusal)

    def _answered(self, pid: int, thread: _Thread, entry: PendingCall) -> None:
        """What has become of a connection that was under way is asked for, and it may have failed (connect(2))."""
        call = thread.process.connecting.pop(entry.arguments[0], None)
        error = next(iter(Tracee(pid).numbers(entry.arguments[3], 1, 4)), 0)
        if call is not None and error:
            self._keep(thread.process, attrs.evolve(call, error=error))

    def _failed(self, pid: int, thread: _Thread, entry: PendingCall, error: int, killed: int = 0) -> None:
        if error in _NOTHING_YET:
            if error == errno.EINPROGRESS:
                connecting = self._decoder.call(entry, Tracee(pid), self._caller(pid, thread), error)
                thread.process.connecting[entry.arguments[0]] = connecting
            return
        if error in _NOTHING_CAME and (entry.architecture, entry.number) in self._kinds["waiting"]:
            return
        call = None if killed else thread.call
        call = call or self._decoder.call(entry, Tracee(pid), self._caller(pid, thread), error, killed)
        self._keep(thread.process, call)

    def _keep(self, process: _Process, call: SystemCall) -> None:
        if process.speech.text.endswith(b"\n") or len(process.speech.text) >= MOST_SAID:
            process.speech = _Speech()
        process.speech.messages.add(call.message.lower().encode())
        if len(self._met) < MOST:
            self._met.add((call.name, call.error, call.path, call.address))
        self.failed += 1
        self._failures.append((call, process.speech))

    def _caller(self, pid: int, thread: _Thread) -> Caller:
        if thread.caller is None:
            thread.caller = Tracee(pid).caller()
        return thread.caller

    def _heard(self, pid: int, process: _Process, entry: PendingCall) -> None:
        """Something is written, and the program may well say what has failed; some write it word by word."""
        speech, to_stderr = process.speech, entry.arguments[0] in process.errors
        listens = bool(speech.messages) and len(speech.text) < MOST_SAID
        if not to_stderr:
            speech.looks -= listens
            if not listens or speech.looks < 0:
                return
        data = self._written(Tracee(pid), entry)
        if to_stderr:
            process.spoken = (process.spoken + data)[-MOST_SAID:]
        if listens and (to_stderr or any(message in data.lower() for message in speech.messages)):
            speech.text += data

    def _written(self, tracee: Tracee, entry: PendingCall) -> bytes:
        """The beginning of what a call is to write."""
        _, address, size, *_ = entry.arguments
        if (entry.architecture, entry.number) not in self._kinds["vectored"]:
            return tracee.bytes(address, min(size, MOST_SAID))
        places = tracee.numbers(address, 2 * min(size, 8))
        return b"".join(
            tracee.bytes(base, min(length, MOST_SAID)) for base, length in zip(places[::2], places[1::2], strict=False)
        )

    # Ends and beginnings

    def _executed(self, pid: int) -> None:
        """execve(2) has replaced what the process was; the thread that called it has taken the place of the first."""
        try:
            former = kernel.event_message(pid)
        except ProcessLookupError:
            return
        if not self._is_there:
            self._is_there = True
            kernel.ptrace(abi.PTRACE_SETOPTIONS, pid, _OPTIONS | self._asked)
            self._go = abi.PTRACE_CONT if self._recording else abi.PTRACE_SYSCALL
        process = self.processes[pid]
        gone = [one for one, thread in self._threads.items() if thread.process is process]
        kept = self._threads.get(former) or _Thread(process)
        for one in gone:
            del self._threads[one]
        self._threads[pid] = kept
        kept.caller = None
        tracee = Tracee(pid)
        process.argv, process.executable = tracee.argv(), tracee.link("exe")
        self._met.add(process.executable)
        lost = tracee.without_effect()
        if lost is not None:
            ids, words = lost
            entry = kept.entry or calls.native("execve", self.count)  # the launcher's own was not followed
            call = SystemCall("execve", entry.number, entry.architecture, entry.arguments, self._caller(pid, kept),
                              path=process.executable, access=frozenset({"execute"}), ids=ids, order=entry.order,
                              text=f"execve {process.executable} ({words})")  # fmt: skip
            self._keep(process, call)

    def _exits(self, pid: int, thread: _Thread) -> None:
        """A thread is about to end, and its memory is still there. Where a filter has killed it that is the answer to its
        last call, which may have come back before the signal was looked at; the other threads of the process end by the same
        signal, and the last to call was it."""
        try:
            status = kernel.event_message(pid)
        except ProcessLookupError:
            return
        process, own = thread.process, thread.entry or thread.last
        self._is_over |= pid == self.command
        if status & 0x7F != signal.SIGSYS or own is None or process.killed:
            return
        entries = [one.entry or one.last for one in self._threads.values() if one.process is process]
        if own.order == max(entry.order for entry in entries if entry is not None):
            process.killed = True
            self._failed(pid, thread, own, 0, signal.SIGSYS)

    def _faulted(self, pid: int, thread: _Thread, number: int) -> int:
        """A fault: the signal to go on with. A filter may answer with SIGSYS, which a program may handle; a file that is
        mapped and finds no room, with SIGBUS."""
        if number == signal.SIGBUS:
            self._found_no_room(pid, thread)
        if number == signal.SIGSYS and thread.last is not None:
            try:
                if kernel.signal_info(pid)[1] == abi.SYS_SECCOMP:
                    self._failed(pid, thread, thread.last, 0, signal.SIGSYS)
            except OSError:
                return number
        if pid != self.command:
            return number
        caught = int(Tracee(pid).status().get("SigCgt", "0"), 16) >> number - 1 & 1
        if not caught:
            # The kernel spares the first process of a pid namespace while it is traced, which faults again for ever.
            self._ended_by = number
            return int(signal.SIGKILL)
        return number

    def _found_no_room(self, pid: int, thread: _Thread) -> None:
        tracee = Tracee(pid)
        try:
            path = tracee.mapped(kernel.signal_info(pid)[2])
        except OSError:  # it was killed this moment
            return
        if path:
            call = SystemCall("", 0, 0, (0,) * 6, self._caller(pid, thread), signal=signal.SIGBUS, path=path,
                              access=frozenset({"write"}), text=f"use {path} in memory", order=self.count)  # fmt: skip
            self._keep(thread.process, call)


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):  # it has ended this moment
        os.kill(pid, number)
