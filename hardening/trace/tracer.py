"""Running a launch and seeing the system calls of its command, from outside (ptrace(2)): as root and as an ordinary user,
without eBPF and without tracefs, and with the command's own filter in force."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from os import PathLike
from time import monotonic
from types import MappingProxyType

from hardening.base.values import frozen
from hardening.launch.request import LaunchRequest
from hardening.mechanism.denial import SystemCall
from hardening.trace.loop import Tracing

#: Why a trace ended before its command did.
TIME, INTERRUPT, CHECK = "time", "interrupt", "check"
#: Seconds between two looks at a run.
PAUSE = 0.2


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
    - ``ended``: why the trace ended the command: `TIME`, `INTERRUPT`, `CHECK`; empty where it ended by itself.
    - ``calls``: how many there were.
    - ``files``, ``tasks``: the most descriptors that one process can have had open, by the highest number of them, and the
      most threads of all processes at a time. ``made`` are the calls that were looked at, each its architecture and number.
    """

    failures: tuple[SystemCall, ...]
    processes: Mapping[int, TracedProcess]
    command: int
    status: int
    ended: str
    calls: int
    files: int = 0
    tasks: int = 0
    made: frozenset[tuple[int, int]] = frozenset()


def trace(
    request: LaunchRequest,
    bundle: str | PathLike[str],
    *,
    seconds: float | None = None,
    until: Callable[[int], bool] | None = None,
    on_call: Callable[[SystemCall], None] | None = None,
    recording: bool = False,
    streams: Mapping[int, int] | None = None,
) -> Trace:
    """Run the launch of a bundle by the native launcher, and see what its command asks of the kernel.

    It is ended after so many ``seconds``, when ``until`` says so of the command's pid (0 before there is one), asked
    every `PAUSE` seconds, and by Ctrl-C: all three give what was seen so far. ``on_call`` gets every call when it has
    ended, in the thread that traces; with ``recording`` only those that the filter asks about (`hardening.trace.recording`),
    at less cost. ``streams`` are descriptors to be had in the place of 0, 1 and 2. Raises `LaunchError` where the launch
    cannot be traced.
    """
    tracing = Tracing(request, bundle, on_call, streams or {}, recording=recording)
    end = None if seconds is None else monotonic() + seconds
    with ThreadPoolExecutor(1, "tracer") as pool:
        running = pool.submit(tracing.run)
        try:
            while not running.done():
                waits = [PAUSE] if until is not None else []
                waits += [max(0.0, end - monotonic())] if end is not None else []
                wait([running], min(waits, default=None))
                if end is not None and monotonic() >= end:
                    tracing.stop(TIME)
                    end = None
                elif until is not None and not running.done() and until(tracing.command):
                    tracing.stop(CHECK)
                    until = None
        except KeyboardInterrupt:
            tracing.stop(INTERRUPT)
        finally:  # whatever `until` raises, nothing goes on behind its back
            if not running.done():
                tracing.stop(INTERRUPT)
        running.result()
    processes = {
        pid: TracedProcess(pid, one.argv, one.executable, one.status) for pid, one in tracing.processes.items()
    }
    return Trace(
        tracing.failures(), MappingProxyType(processes), tracing.command, tracing.status, tracing.ended, tracing.count,
        tracing.files, tracing.tasks, frozenset(tracing.made),
    )  # fmt: skip
