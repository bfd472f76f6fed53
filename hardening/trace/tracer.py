"""Running a launch and seeing the system calls of its command, from outside (ptrace(2)): as root and as an ordinary user,
without eBPF and without tracefs, and with the command's own filter in force."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from itertools import accumulate
from os import PathLike
from time import monotonic
from types import MappingProxyType

from hardening.base.values import frozen
from hardening.launch.request import LaunchRequest
from hardening.mechanism.denial import SystemCall
from hardening.mechanism.evidence import Usage
from hardening.trace.failures import FailureRecorder
from hardening.trace.loop import Tracing
from hardening.trace.observer import CallObserver, LiveProcess
from hardening.trace.recorder import CallRecorder

#: Why a trace ended before its command did.
TIME, INTERRUPT, CHECK, IDLE = "time", "interrupt", "check", "idle"
#: Seconds between two looks at a run, and how many a command has to end after SIGTERM.
PAUSE, GRACE = 0.2, 10.0
#: Of the time that it is looked at, the part that a command that is idle may use a processor: what it waits for comes from
#: elsewhere, as a server's clients do.
_BUSY = 0.2
#: Failures, each of which it has had before, that say the same of one that does use it.
_OFTEN = 3


@frozen
class Idle:
    """When a command is taken for idle: it has done nothing new for so many seconds and hardly used a processor, while it
    listens for others, or waits ``for_anything``."""

    seconds: float
    for_anything: bool = False


@frozen
class TracedProcess:
    """A process that the trace saw: ``argv`` and ``executable`` (a path inside) since its last execve(2), or its parent's;
    ``status`` its wait status, None while it lives."""

    pid: int
    argv: tuple[str, ...]
    executable: str
    status: int | None


@frozen
class Trace:
    """What one run asked of the kernel.

    - ``failures``: the calls that failed, that a filter has answered with SIGSYS, or that gave less than their file promises
      (execve(2) of a set-user-ID file that has changed nothing: ``error`` is 0), and the ends of processes that were none of
      success, in their order.
    - ``processes``: by the host's pid; ``command`` is that of the first, 0 where the launch never came to it.
    - ``status``: the exit code, as `hardening run` has it.
    - ``ended``: why the trace ended the command: `TIME`, `INTERRUPT`, `CHECK`, `IDLE`; empty where it ended by itself.
    - ``calls``: how many there were. ``bound`` are those that have given an address to a socket.
    - ``files``, ``tasks``: the most descriptors that one process can have had open, by the highest number of them, and the
      most threads of all processes at a time. ``made`` are the calls that were looked at, each its architecture and
      number, with how often each program has made it.
    - ``memory``: the most bytes that all processes had at a time, what they share counted for each; 0 where that was not
      looked at. ``uses``: what was asked for, where it is recorded.
    """

    failures: tuple[SystemCall, ...]
    processes: Mapping[int, TracedProcess]
    command: int
    status: int
    ended: str
    calls: int
    files: int = 0
    tasks: int = 0
    made: Mapping[tuple[int, int], Mapping[str, int]] = MappingProxyType({})
    bound: tuple[SystemCall, ...] = ()
    uses: frozenset[Usage] = frozenset()
    memory: int = 0


def trace(
    request: LaunchRequest,
    bundle: str | PathLike[str],
    *,
    seconds: float | None = None,
    idle: Idle | None = None,
    until: Callable[[int], bool] | None = None,
    on_call: Callable[[SystemCall], None] | None = None,
    recording: bool = False,
    streams: Mapping[int, int] | None = None,
) -> Trace:
    """Run the launch of a bundle by the native launcher, and see what its command asks of the kernel.

    It is ended after so many ``seconds``, when ``until`` says so of the command's pid (0 before there is one), asked
    every `PAUSE` seconds, when it is ``idle``, and by Ctrl-C: all give what was seen so far. After ``until`` it has `GRACE`
    seconds to end by itself: what a service does then belongs to what it does. ``on_call`` gets every call when it has
    ended, in the thread that traces. With ``recording`` the calls are counted that the filter asks about
    (`hardening.trace.recording`), and neither failures nor idleness are looked at. ``streams`` are descriptors to be had in
    the place of 0, 1 and 2. Raises `LaunchError` where the launch cannot be traced.
    """
    observer = CallRecorder() if recording else FailureRecorder(on_call)
    tracing = Tracing(request, bundle, streams or {}, observer)
    due = None if seconds is None else monotonic() + seconds  # when it is ended, by what comes next
    force: Callable[[], None] = partial(tracing.stop, TIME)
    quiet = _Quiet(tracing, observer, idle) if idle is not None else None
    with ThreadPoolExecutor(1, "tracer") as pool:
        running = pool.submit(tracing.run)
        try:
            while not running.done():
                waits = [PAUSE] if until is not None or quiet is not None else []
                waits += [max(0.0, due - monotonic())] if due is not None else []
                wait([running], min(waits, default=None))
                if due is not None and monotonic() >= due:
                    force()
                    force, due = tracing.kill, monotonic() + GRACE
                elif until is not None and not running.done() and until(tracing.command):
                    tracing.stop(CHECK, gently=True)
                    until, quiet, due = None, None, monotonic() + GRACE
                elif quiet is not None and not running.done() and quiet.is_over():
                    tracing.stop(IDLE)
                    quiet, force, due = None, tracing.kill, monotonic() + GRACE
        except KeyboardInterrupt:
            tracing.stop(INTERRUPT)
        finally:  # whatever `until` raises, nothing goes on behind its back
            if not running.done():
                tracing.stop(INTERRUPT)
                if wait([running], GRACE).not_done:
                    tracing.kill()
        running.result()
    processes = {
        pid: TracedProcess(pid, one.argv, one.executable, one.status) for pid, one in tracing.processes.items()
    }
    return Trace(
        observer.found() if isinstance(observer, FailureRecorder) else (), MappingProxyType(processes), tracing.command,
        tracing.status, tracing.ended, tracing.count, observer.files, tracing.tasks, MappingProxyType(tracing.made),
        tuple(observer.bound), observer.found() if isinstance(observer, CallRecorder) else frozenset(),
        _memory(tracing.processes.values()),
    )  # fmt: skip


class _Quiet:
    """How long a command has done nothing new."""

    def __init__(self, tracing: Tracing, observer: CallObserver, idle: Idle) -> None:
        self._tracing, self._observer, self._idle = tracing, observer, idle
        self._known, self._failed, self._since, self._used = 0, 0, monotonic(), 0.0

    def is_over(self) -> bool:
        """Whether that is long enough: it waits, or fails over and over again. Who only computes is at work."""
        if not (self._idle.for_anything or self._observer.listens):
            return False
        known, now = len(self._tracing.made) + len(self._observer.met), monotonic()
        if known == self._known and (now - self._since < self._idle.seconds or not known):
            return False
        used, failed = self._tracing.processor_time(), self._observer.failed
        waits = used - self._used < _BUSY * (now - self._since) or failed - self._failed >= _OFTEN
        if known == self._known and waits:
            return True
        self._known, self._failed, self._since, self._used = known, failed, now, used
        return False


def _memory(processes: Collection[LiveProcess]) -> int:
    """The most that processes had at a time, each from its begin to its end as much as it ever had."""
    changes = [(one.begun, 0, one.memory) for one in processes] + [(one.ended, 1, -one.memory) for one in processes]
    return max(accumulate(change for *_, change in sorted(changes)), default=0)
