"""What failed in a run, call by call, and what its processes said next."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
import stat
from collections import defaultdict, deque
from collections.abc import Callable

import attrs

from hardening.base.linux import abi
from hardening.mechanism.denial import Caller, SystemCall
from hardening.mechanism.evidence import LENDING
from hardening.trace import words
from hardening.trace.calls import PendingCall
from hardening.trace.observer import CallObserver, LiveProcess, LiveThread
from hardening.trace.tracee import Tracee

#: How many failures are kept, the last ones, and how much of what a process says after one.
MOST, MOST_OUTPUT = 20_000, 2_000
#: At how many writes to other places than standard error it is looked for.
_LOOKS = 20
#: No failures: a wait was interrupted, or there was nothing to wait for; and of calls that wait, nothing came.
_NOTHING_YET = frozenset({errno.EINTR, errno.EINPROGRESS, errno.ECHILD})
_NOTHING_CAME = frozenset({errno.EAGAIN, errno.ETIMEDOUT})
_STDERR = 2
_DUPLICATING = (fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC)
#: What getsockopt(2) asks for: SOL_SOCKET, SO_ERROR.
_SOCKET_ERROR = (socket.SOL_SOCKET, socket.SO_ERROR)


class _Output:
    """What a process has written after its last failures: to standard error, and where it names one of them, to a log or a
    pipe, too."""

    __slots__ = ("looks", "messages", "text")

    def __init__(self, text: bytes = b"") -> None:
        self.text = text
        self.messages: set[bytes] = set()  # as strerror(3) has the failures, in small letters, as Go and Node have them
        self.looks = _LOOKS

    @property
    def is_over(self) -> bool:
        """Whether what follows is said of another failure."""
        return self.text.endswith(b"\n") or len(self.text) >= MOST_OUTPUT


class _Process:
    """What is known of a process."""

    __slots__ = ("connecting", "errors", "is_killed", "last_output", "output")

    def __init__(self) -> None:
        self.output = _Output()
        self.last_output = b""  # the end of what it has written to standard error
        self.errors = {
            _STDERR
        }  # the descriptors that are that: a shell puts it in the place of another one for a while
        self.is_killed = False  # for a call
        self.connecting: dict[int, SystemCall] = {}  # by descriptor: connections that are under way


class FailureRecorder(CallObserver):
    """Follows each call to its end, and keeps those that failed. ``on_call`` is told every one that has ended."""

    goes_on = abi.PTRACE_SYSCALL
    options = abi.PTRACE_O_TRACEEXIT

    def __init__(self, on_call: Callable[[SystemCall], None] | None = None) -> None:
        super().__init__()
        self._on_call = on_call
        self._made: dict[LiveThread, SystemCall] = {}  # that are not over, where each is wanted
        self._kept: deque[tuple[SystemCall, _Output]] = deque(maxlen=MOST)
        self._processes: defaultdict[LiveProcess, _Process] = defaultdict(_Process)

    def found(self) -> tuple[SystemCall, ...]:
        """What has failed, each with what its process said next."""
        return tuple(
            attrs.evolve(call, output=output.text[:MOST_OUTPUT].decode("utf-8", "replace")) if output.text else call
            for call, output in self._kept
        )

    def on_entry(self, thread: LiveThread, entry: PendingCall) -> bool:
        if (entry.architecture, entry.number) in self._kinds["writing"]:
            self._on_write(thread.tracee, self._processes[thread.process], entry)
        if self._on_call is not None:  # what it changes, such as where the process stands, is not changed yet
            self._made[thread] = self._decoder.call(entry, thread.tracee, thread.caller)
        return True

    def on_exit(self, thread: LiveThread, entry: PendingCall, error: int, result: int) -> None:
        self._tell(thread, error)
        if error:
            self._failed(thread, entry, error)
            return
        call = entry.architecture, entry.number
        if call in self._kinds["changing"]:
            thread.changed()
        elif call in self._kinds["confining"]:
            thread.process.is_confined = True
            thread.changed()
        elif call in self._kinds["binding"]:
            self.bound.append(self._decoder.call(entry, thread.tracee, thread.caller))
        elif call in self._kinds["listening"]:
            self.listens = True
        elif call in self._kinds["asking"] and entry.arguments[1:3] == _SOCKET_ERROR:
            self._answered(thread, entry)
        elif call in self._kinds["answering"]:
            refusal = self._decoder.refusal(entry, thread.tracee, thread.caller, result)
            if refusal is not None:
                self._keep(thread.process, refusal)
        elif call in self._kinds["marking"]:
            self._marked(thread, entry)
        elif self._opened(thread, entry, result):
            self._was_opened(thread, entry, result)

    def on_kill(self, thread: LiveThread, entry: PendingCall) -> None:
        self._processes[thread.process].is_killed = True
        self._keep(thread.process, self._decoder.call(entry, thread.tracee, thread.caller, killed=signal.SIGSYS))

    def on_bus_error(self, thread: LiveThread, address: int, order: int) -> None:
        path = thread.tracee.mapped(address)
        if path:
            call = SystemCall("", 0, 0, (0,) * 6, thread.caller, signal=signal.SIGBUS, path=path,
                              access=frozenset({"write"}), text=f"use {path} in memory", order=order)  # fmt: skip
            self._keep(thread.process, call)

    def on_thread_end(self, thread: LiveThread) -> None:
        self._tell(thread)  # exit(2)

    def _tell(self, thread: LiveThread, error: int = 0) -> None:
        """Tell the call that a thread was in."""
        made = self._made.pop(thread, None)
        if made is not None and self._on_call is not None:
            self._on_call(attrs.evolve(made, error=error))

    def on_fork(self, process: LiveProcess, parent: LiveProcess) -> None:
        self._processes[process].errors = {*self._processes[parent].errors}
        process.is_confined = parent.is_confined

    def on_failed_end(self, process: LiveProcess, caller: Caller | None, status: int, order: int) -> None:
        """A limit may have ended it, or it may have named what it lacks. No call fails where a variable is missing."""
        known = self._processes[process]
        if known.is_killed:
            return
        number = os.WTERMSIG(status)
        text = f"ended by {words.word(words.SIGNALS, number)}" if number else f"exit code {os.WEXITSTATUS(status)}"
        end = SystemCall(
            "", 0, 0, (0,) * 6, caller or Caller(process.pid, executable=process.executable), signal=number, text=text,
            words=process.argv, order=order,
        )  # fmt: skip
        self._kept.append((end, _Output(known.last_output)))

    def on_exec(self, thread: LiveThread, entry: PendingCall) -> None:
        """What gives less than its file promises is kept, too."""
        self.met.add(thread.process.executable)
        lost = thread.tracee.without_effect()
        if lost is not None:
            ids, words = lost
            path = thread.process.executable
            call = SystemCall("execve", entry.number, entry.architecture, entry.arguments, thread.caller, path=path,
                              access=frozenset({"execute"}), ids=ids, order=entry.order,
                              text=f"execve {path} ({words})")  # fmt: skip
            self._keep(thread.process, call)

    def _answered(self, thread: LiveThread, entry: PendingCall) -> None:
        """What has become of a connection that was under way is asked for, and it may have failed (connect(2))."""
        call = self._processes[thread.process].connecting.pop(entry.arguments[0], None)
        error = next(iter(thread.tracee.numbers(entry.arguments[3], 1, 4)), 0)
        if call is not None and error:
            self._keep(thread.process, attrs.evolve(call, error=error))

    def _was_opened(self, thread: LiveThread, entry: PendingCall, number: int) -> None:
        """A descriptor may be standard error from now on; and a file that is hidden is opened without an error, as an empty
        one."""
        is_copy = (entry.architecture, entry.number) in self._kinds["duplicating"]
        errors = self._processes[thread.process].errors
        if number != _STDERR:
            (errors.add if is_copy and entry.arguments[0] in errors else errors.discard)(number)
        tracee = thread.tracee
        if not is_copy and tracee.is_masked(number):
            made = self._decoder.call(entry, tracee, thread.caller)
            if made.path:
                self._keep(thread.process, attrs.evolve(made, text=f"{made.text} (an empty file)"))

    def _marked(self, thread: LiveThread, entry: PendingCall) -> None:
        """A set-group-ID bit that a file did not get, and nobody was told so (chmod(2))."""
        made = self._decoder.call(entry, thread.tracee, thread.caller)
        mode = entry.arguments[LENDING[made.name]]
        way = thread.tracee.way(made.path) if mode & stat.S_ISGID else ()
        if way and way[-1].place == made.path and not way[-1].mode & stat.S_ISGID:
            text = f"{made.text} (set-group-ID without effect)"
            self._keep(thread.process, attrs.evolve(made, way=way, text=text))

    def _failed(self, thread: LiveThread, entry: PendingCall, error: int) -> None:
        if error in _NOTHING_CAME and (entry.architecture, entry.number) in self._kinds["waiting"]:
            return
        if error in _NOTHING_YET and error != errno.EINPROGRESS:
            return
        call = self._decoder.call(entry, thread.tracee, thread.caller, error)
        if error == errno.EINPROGRESS:
            self._processes[thread.process].connecting[entry.arguments[0]] = call
        else:
            self._keep(thread.process, call)

    def _keep(self, process: LiveProcess, call: SystemCall) -> None:
        known = self._processes[process]
        if known.output.is_over:
            known.output = _Output()
        known.output.messages.add(call.message.lower().encode())
        if len(self.met) < MOST:
            self.met.add((call.name, call.error, call.path, call.address))
        self.failed += 1
        self._kept.append((call, known.output))

    def _on_write(self, tracee: Tracee, process: _Process, entry: PendingCall) -> None:
        """Something is written, and the program may well say what has failed; some write it word by word."""
        output, to_stderr = process.output, entry.arguments[0] in process.errors
        wanted = bool(output.messages) and len(output.text) < MOST_OUTPUT
        if not to_stderr:
            output.looks -= wanted
            if not wanted or output.looks < 0:
                return
        data = self._written(tracee, entry)
        if to_stderr:
            process.last_output = (process.last_output + data)[-MOST_OUTPUT:]
        if wanted and (to_stderr or any(message in data.lower() for message in output.messages if message)):
            output.text += data

    def _written(self, tracee: Tracee, entry: PendingCall) -> bytes:
        """The beginning of what a call is to write."""
        _, address, size, *_ = entry.arguments
        if (entry.architecture, entry.number) not in self._kinds["vectored"]:
            return tracee.memory(address, min(size, MOST_OUTPUT))
        places = tracee.numbers(address, 2 * min(size, 8))
        return b"".join(
            tracee.memory(base, min(length, MOST_OUTPUT))
            for base, length in zip(places[::2], places[1::2], strict=False)
        )

    def _opened(self, thread: LiveThread, entry: PendingCall, result: int) -> bool:
        """Count the descriptors that a call has made, which has succeeded; whether it makes any."""
        call, kinds = (entry.architecture, entry.number), self._kinds
        if call in kinds["opening"] or (call in kinds["controlling"] and entry.arguments[1] in _DUPLICATING):
            self.files = max(self.files, result + 1)
            return True
        if call in kinds["pair"] or call in kinds["pair3"]:
            place = entry.arguments[0 if call in kinds["pair"] else 3]
            self.files = max((self.files, *(number + 1 for number in thread.tracee.numbers(place, 2, 4))))
            return True
        return False
