"""Running a launch and seeing the system calls of its command, from outside (ptrace(2)): as root and as an ordinary user,
without eBPF and without tracefs, and with the command's own filter in force.

The launcher is a child of a thread of its own, which traces and waits for nobody else's children (``__WNOTHREAD``), and
whose end would be the end of all that it traces (``PTRACE_O_EXITKILL``).
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from os import PathLike
from time import monotonic
from types import MappingProxyType

import attrs

from hardening.base.linux import abi, kernel
from hardening.base.values import frozen
from hardening.errors import EXIT_LAUNCHER, LaunchError
from hardening.launch.request import LaunchRequest
from hardening.mechanism.denial import Caller, SystemCall
from hardening.trace import calls
from hardening.trace.calls import PendingCall
from hardening.trace.decode import Decoder
from hardening.trace.tracee import Tracee

#: Why a trace ended before its command did.
TIME, INTERRUPT, CHECK = "time", "interrupt", "check"
#: How many failures are kept, and how much of what a process says after one. Programs that fail for ever do so in a loop.
MOST, MOST_SAID = 20_000, 300
_WAIT = abi.__WALL | abi.__WNOTHREAD
#: Before the command is there. A filter that asks a tracer answers ENOSYS where there is none.
_FIRST_OPTIONS = abi.PTRACE_O_TRACEEXEC | abi.PTRACE_O_TRACESECCOMP | abi.PTRACE_O_EXITKILL
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
#: No failures: a wait was interrupted, or there was nothing to wait for.
_NOTHING_YET = frozenset({errno.EINTR, errno.EINPROGRESS, errno.ECHILD})
#: Of these calls none either: nothing came. Of all others EAGAIN may be a limit (fork, mlock, setuid …).
_NOTHING_CAME = frozenset({errno.EAGAIN, errno.ETIMEDOUT})
_WAITING = calls.numbers(
    *("read", "readv", "pread64", "preadv", "write", "writev", "pwrite64", "recvfrom", "recvmsg", "recvmmsg", "sendto"),
    *("sendmsg", "accept", "accept4", "futex", "futex_time64", "splice", "sendfile", "poll", "select"),
    *("epoll_wait", "mq_timedreceive", "mq_timedsend", "semop", "semtimedop", "rt_sigtimedwait", "nanosleep", "flock"),
    *(
        "fcntl",
        "io_getevents",
        "recv",
        "send",
        "tee",
        "vmsplice",
        "inotify_init",
        "io_uring_enter",
        "getrandom",
        "ioctl",
    ),
)
_WRITES = calls.numbers("write", "writev")
_VECTORED = calls.numbers("writev")
#: After which a process may no longer be who it was.
_CHANGING = calls.numbers(
    *("setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid", "capset", "prctl"),
    *("setuid32", "setgid32", "setreuid32", "setregid32", "setresuid32", "setresgid32", "setfsuid32", "setfsgid32"),
    *("seccomp", "unshare", "setns"),
)
#: That give a descriptor, and two, at an address that is one of their arguments.
_OPENING = calls.numbers(
    *("open", "openat", "openat2", "creat", "socket", "accept", "accept4", "dup", "dup2", "dup3"),
    *(
        "epoll_create",
        "epoll_create1",
        "eventfd",
        "eventfd2",
        "signalfd",
        "signalfd4",
        "timerfd_create",
        "memfd_create",
    ),
    *("inotify_init", "inotify_init1", "fanotify_init", "pidfd_open", "pidfd_getfd", "perf_event_open", "userfaultfd"),
    *("io_uring_setup", "open_tree", "fsopen", "fsmount", "memfd_secret", "open_by_handle_at", "mq_open"),
)
_CONTROLLING = calls.numbers("fcntl", "fcntl64")
_DUPLICATING = (fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC)
_OPENING_TWO = {**dict.fromkeys(calls.numbers("pipe", "pipe2"), 0), **dict.fromkeys(calls.numbers("socketpair"), 3)}
#: A capability set of a file, as `security.capability` holds it: the revision in the top byte, then pairs of permitted and
#: inheritable halves (linux/capability.h).
_VFS_CAP_SIZE = 20


@frozen
class TracedProcess:
    """A process that the trace saw: ``parent`` 0 for the command; ``argv`` and ``executable`` (a path inside) since its last
    execve(2), or its parent's; ``status`` its wait status, None while it lives; ``started`` and ``ended`` say when, in
    system calls of the trace."""

    pid: int
    parent: int
    argv: tuple[str, ...]
    executable: str
    status: int | None
    started: int
    ended: int


@frozen
class Trace:
    """What one run asked of the kernel.

    - ``failures``: the calls that failed, that a filter has answered with SIGSYS, or that gave less than their file promises
      (execve(2) of a set-user-ID file that has changed nothing: ``error`` is 0), in their order.
    - ``processes``: by the host's pid; ``command`` is that of the first, 0 where the launch never came to it.
    - ``status``: the exit code, as `hardening run` has it.
    - ``ended``: why the trace ended the command: `TIME`, `INTERRUPT`, `CHECK`; empty where it ended by itself.
    - ``calls``: how many there were.
    - ``files``, ``tasks``: the most descriptors that one process can have had open, by the highest number of them, and the
      most threads of all processes at a time.
    """

    failures: tuple[SystemCall, ...]
    processes: Mapping[int, TracedProcess]
    command: int
    status: int
    ended: str
    calls: int
    files: int = 0
    tasks: int = 0


def trace(
    request: LaunchRequest,
    bundle: str | PathLike[str],
    *,
    seconds: float | None = None,
    until: Callable[[], bool] | None = None,
    pause: float = 0.2,
    on_call: Callable[[SystemCall], None] | None = None,
    recording: bool = False,
    streams: Mapping[int, int] | None = None,
) -> Trace:
    """Run the launch of a bundle by the native launcher, and see what its command asks of the kernel.

    It is ended after so many ``seconds``, when ``until`` says so, which is asked every ``pause`` seconds, and by Ctrl-C: all
    three give what was seen so far. ``on_call`` gets every call when it has ended, in the thread that traces; with
    ``recording`` only those that the filter asks about (`hardening.trace.recording`), at less cost. ``streams`` are
    descriptors to be had in the place of 0, 1 and 2. Raises `LaunchError` where the launch cannot be traced.
    """
    tracer = _Tracer(request, bundle, on_call, streams or {}, recording=recording)
    end = None if seconds is None else monotonic() + seconds
    with ThreadPoolExecutor(1, "tracer") as pool:
        running = pool.submit(tracer.run)
        try:
            while not running.done():
                waits = [pause] if until is not None else []
                waits += [max(0.0, end - monotonic())] if end is not None else []
                wait([running], min(waits, default=None))
                if end is not None and monotonic() >= end:
                    tracer.stop(TIME)
                    end = None
                elif until is not None and not running.done() and until():
                    tracer.stop(CHECK)
                    until = None
        except KeyboardInterrupt:
            tracer.stop(INTERRUPT)
        finally:  # whatever `until` raises, nothing goes on behind its back
            if not running.done():
                tracer.stop(INTERRUPT)
        running.result()
    return tracer.found()


class _Speech:
    """What a process has written to standard error after its last failures."""

    __slots__ = ("text",)

    def __init__(self) -> None:
        self.text = b""


class _Process:
    """What is known of a process while it runs."""

    __slots__ = ("argv", "ended", "executable", "killed", "parent", "pid", "speech", "started", "status")

    def __init__(self, pid: int, parent: int, started: int) -> None:
        self.pid, self.parent, self.started = pid, parent, started
        self.argv: tuple[str, ...] = ()
        self.executable = ""
        self.status: int | None = None
        self.ended = 0
        self.speech = _Speech()
        self.killed = False


class _Thread:
    """One thread of a process: the call that it is in, the last one that it was in, and who it is, where that is known."""

    __slots__ = ("call", "caller", "entry", "last", "process")

    def __init__(self, process: _Process) -> None:
        self.process = process
        self.entry: PendingCall | None = None
        self.last: PendingCall | None = None
        self.call: SystemCall | None = None  # the one that it is in, in words, where every call is wanted
        self.caller: Caller | None = None


class _Tracer:
    """What traces, in a thread of its own. What it found is whole when that has ended."""

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
        self._ended = ""
        self._lock = threading.Lock()  # over the pids, which another thread sends signals to
        self._launcher = self._command = 0
        self._command_lives = False
        self._status = EXIT_LAUNCHER
        self._ended_by = 0  # the signal that the command could not die of
        self._is_there = False  # the command: before, calls are the launcher's
        self._recording = recording
        self._go = abi.PTRACE_CONT  # what lets a tracee go on that is in no call
        self._stops = kernel.SyscallStops()
        self._decoder = Decoder()
        self._threads: dict[int, _Thread] = {}
        self._processes: dict[int, _Process] = {}
        self._failures: list[tuple[SystemCall, _Speech]] = []
        self._count = 0
        self._files, self._tasks = 3, 0

    # Seen from the other thread

    def stop(self, why: str) -> None:
        """End the command, and with it the launch; before there is one, the launch."""
        with self._lock:
            self._ended = self._ended or why
            if self._command_lives:
                os.kill(self._command, signal.SIGKILL)
            elif self._launcher:
                os.kill(self._launcher, signal.SIGTERM)

    def found(self) -> Trace:
        """What was seen."""
        failures = (
            attrs.evolve(call, said=speech.text[:MOST_SAID].decode("utf-8", "replace")) if speech.text else call
            for call, speech in self._failures
        )
        processes = {
            pid: TracedProcess(pid, one.parent, one.argv, one.executable, one.status, one.started, one.ended)
            for pid, one in self._processes.items()
        }
        return Trace(
            tuple(failures), MappingProxyType(processes), self._command, self._status, self._ended, self._count, self._files,
            self._tasks,
        )  # fmt: skip

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
            if self._ended:  # before there was anything that could be told so
                os.kill(self._launcher, signal.SIGTERM)
            told = own.makefile("rb").readline()
            if not told.endswith(b"\n"):  # the launch has failed, and its exit code says how
                return
            self._attach(int(told))
            own.send(b"\0")

    def _attach(self, pid: int) -> None:
        try:
            kernel.ptrace(abi.PTRACE_SEIZE, pid, _FIRST_OPTIONS)
        except OSError as error:
            raise LaunchError(
                f"cannot trace the command: {error.strerror}",
                hint="is another program tracing it, or does kernel.yama.ptrace_scope (sysctl) forbid it to everybody?",
            ) from None
        process = self._processes[pid] = _Process(pid, 0, 0)
        self._threads[pid], self._tasks = _Thread(process), 1
        with self._lock:
            self._command, self._command_lives = pid, True

    def _end_all(self) -> None:
        """Kill what an error has left, and wait for it."""
        for pid in (self._launcher, *self._threads):
            if pid:
                _kill(pid)
        while True:
            try:
                os.waitpid(-1, _WAIT)
            except ChildProcessError:
                return

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
        self._status = 128 - code if code < 0 else code
        if self._ended_by:
            self._status = 128 + self._ended_by
        for pid in self._threads:
            _kill(pid)

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
            request, number = self._go, 0
        elif number in _FAULTS:
            number = self._faulted(pid, thread, number)
        self._resume(pid, request, number)

    def _adopt(self, pid: int) -> _Thread:
        """A thread that is seen for the first time, before its first instruction: it is traced as its maker is. What
        that says of it comes before or after, and even when it is over, and is not needed."""
        status = Tracee(pid).status()
        group, parent = int(status.get("Tgid", pid)), int(status.get("PPid", 0))
        process = self._processes.get(group)
        if process is None or process.status is not None:
            process = self._processes[group] = _Process(group, parent, self._count)
            maker = self._processes.get(parent)
            if maker is not None:
                process.argv, process.executable = maker.argv, maker.executable
        thread = self._threads[pid] = _Thread(process)
        self._tasks = max(self._tasks, len(self._threads))
        return thread

    def _gone(self, pid: int, status: int) -> None:
        thread = self._threads.pop(pid, None)
        if thread is not None and thread.call is not None and self._on_call is not None:  # exit(2)
            self._on_call(thread.call)
        process = self._processes.get(pid)
        if process is not None:
            process.status, process.ended = status, self._count
        if pid == self._command:
            with self._lock:
                self._command_lives = False

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
        self._count += 1
        entry = thread.entry = PendingCall(info.arch, info.nr, tuple(info.args), self._count)
        if entry.arguments[0] == 2 and (entry.architecture, entry.number) in _WRITES:
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
        if call in _CHANGING:
            thread.caller = None
        elif call in _OPENING or (call in _CONTROLLING and entry.arguments[1] in _DUPLICATING):
            self._files = max(self._files, result + 1)
        elif call in _OPENING_TWO:
            pair = Tracee(pid).numbers(entry.arguments[_OPENING_TWO[call]], 2, 4)
            self._files = max((self._files, *(number + 1 for number in pair)))

    def _failed(self, pid: int, thread: _Thread, entry: PendingCall, error: int, killed: int = 0) -> None:
        if error in _NOTHING_YET or len(self._failures) >= MOST:
            return
        if error in _NOTHING_CAME and (entry.architecture, entry.number) in _WAITING:
            return
        call = None if killed else thread.call
        call = call or self._decoder.call(entry, Tracee(pid), self._caller(pid, thread), error, killed)
        self._keep(thread.process, call)

    def _keep(self, process: _Process, call: SystemCall) -> None:
        if process.speech.text.endswith(b"\n") or len(process.speech.text) >= MOST_SAID:
            process.speech = _Speech()
        self._failures.append((call, process.speech))

    def _caller(self, pid: int, thread: _Thread) -> Caller:
        if thread.caller is None:
            thread.caller = Tracee(pid).caller()
        return thread.caller

    def _heard(self, pid: int, process: _Process, entry: PendingCall) -> None:
        """Standard error is written to, of which the program may well say what has failed; some write it word by word."""
        left = MOST_SAID - len(process.speech.text)
        if left <= 0:
            return
        tracee, (_, address, size, *_) = Tracee(pid), entry.arguments
        if (entry.architecture, entry.number) in _VECTORED:
            places = tracee.numbers(address, 2 * min(size, 8))
            for base, length in zip(places[::2], places[1::2], strict=False):
                process.speech.text += tracee.bytes(base, min(length, left))
        else:
            process.speech.text += tracee.bytes(address, min(size, left))

    # Ends and beginnings

    def _executed(self, pid: int) -> None:
        """execve(2) has replaced what the process was; the thread that called it has taken the place of the first."""
        try:
            former = kernel.event_message(pid)
        except ProcessLookupError:
            return
        if not self._is_there:
            self._is_there = True
            kernel.ptrace(abi.PTRACE_SETOPTIONS, pid, _OPTIONS)
            self._go = abi.PTRACE_CONT if self._recording else abi.PTRACE_SYSCALL
        process = self._processes[pid]
        gone = [one for one, thread in self._threads.items() if thread.process is process]
        kept = self._threads.get(former) or _Thread(process)
        for one in gone:
            del self._threads[one]
        self._threads[pid] = kept
        kept.caller = None
        tracee = Tracee(pid)
        process.argv, process.executable = tracee.argv(), tracee.link("exe")
        lost = self._lost(pid, tracee.status())
        if lost is not None:
            ids, words = lost
            entry = kept.entry or calls.native("execve", self._count)  # the launcher's own was not followed
            call = SystemCall("execve", entry.number, entry.architecture, entry.arguments, self._caller(pid, kept),
                              path=process.executable, access=frozenset({"execute"}), ids=ids, order=entry.order,
                              text=f"execve {process.executable} ({words})")  # fmt: skip
            self._keep(process, call)

    def _lost(self, pid: int, status: Mapping[str, str]) -> tuple[tuple[int, ...], str] | None:
        """What the file that a process executes promises and it has not become: ids, and words."""
        try:
            found = os.stat(f"/proc/{pid}/exe")
            uid, gid = (int(status[key].split()[1]) for key in ("Uid", "Gid"))
            held = int(status["CapPrm"], 16)
        except (OSError, KeyError):
            return None
        tracee = Tracee(pid)
        if found.st_mode & 0o4000 and found.st_uid != uid:
            wanted = tracee.inside("uid_map", found.st_uid)
            return (wanted,), f"set-user-ID {wanted} without effect"
        if found.st_mode & 0o2010 == 0o2010 and found.st_gid != gid:
            wanted = tracee.inside("gid_map", found.st_gid)
            return (wanted,), f"set-group-ID {wanted} without effect"
        missing = abi.capability_names(_file_capabilities(pid) & ~held)
        return ((), f"file capabilities without effect: {', '.join(missing)}") if missing else None

    def _exits(self, pid: int, thread: _Thread) -> None:
        """A thread is about to end, and its memory is still there. Where a filter has killed it that is the answer to its
        last call, which may have come back before the signal was looked at; the other threads of the process end by the same
        signal, and the last to call was it."""
        try:
            status = kernel.event_message(pid)
        except ProcessLookupError:
            return
        process, own = thread.process, thread.entry or thread.last
        if status & 0x7F != signal.SIGSYS or own is None or process.killed:
            return
        entries = [one.entry or one.last for one in self._threads.values() if one.process is process]
        if own.order == max(entry.order for entry in entries if entry is not None):
            process.killed = True
            self._failed(pid, thread, own, 0, signal.SIGSYS)

    def _faulted(self, pid: int, thread: _Thread, number: int) -> int:
        """A fault: the signal to go on with. A filter may answer with SIGSYS, which a program may handle."""
        if number == signal.SIGSYS and thread.last is not None:
            try:
                if kernel.signal_info(pid)[1] == abi.SYS_SECCOMP:
                    self._failed(pid, thread, thread.last, 0, signal.SIGSYS)
            except OSError:
                return number
        if pid != self._command:
            return number
        caught = int(Tracee(pid).status().get("SigCgt", "0"), 16) >> number - 1 & 1
        if not caught:
            # The kernel spares the first process of a pid namespace while it is traced, which faults again for ever.
            self._ended_by = number
            return int(signal.SIGKILL)
        return number


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _file_capabilities(pid: int) -> int:
    """The permitted set of the file that a process executes (capabilities(7), File capabilities); 0 without."""
    try:
        data = os.getxattr(f"/proc/{pid}/exe", "security.capability")
    except OSError:
        return 0
    if len(data) < _VFS_CAP_SIZE:
        return 0
    return int.from_bytes(data[4:8], "little") | int.from_bytes(data[12:16], "little") << 32
