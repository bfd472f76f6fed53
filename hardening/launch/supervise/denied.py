"""What the kernel says, at the end of a command that has failed, of what its configuration has denied it.

Nothing here costs a command that succeeds more than a descriptor, and nothing is guessed: what is told follows from what the
kernel has counted, or keeps of a process that it has ended. What has ended the command is its reason. A program gets over
all else as often as not (a full `/tmp`, an address that it cannot reach), and fails for something else after it: that is
told with the way to ask whether it mattered. Any more takes a trace (`hardening why`).
"""

from __future__ import annotations

import time

from hardening.base import files, units
from hardening.base.frozen import Frozen
from hardening.base.guarded import complain, remark
from hardening.base.linux.system import os, signal
from hardening.base.pointer import items, lookup
from hardening.errors import quoted
from hardening.launch.cgroup import events
from hardening.launch.supervise.signal_forwarder import read_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from typing import TypeAlias

    from hardening.launch.context import LaunchContext

    Look: TypeAlias = Callable[["FailedRun"], "Denial | None"]
    #: A place in memory of the configuration: its path inside, its size as the kernel takes it, a descriptor of it.
    MemoryPlace: TypeAlias = tuple[str, str, int]

#: What a process's ``Seccomp`` in /proc is, once a filter has ended it: SECCOMP_MODE_DEAD of the kernel, since Linux 5.17.
ENDED_BY_FILTER = "3"
#: The clock of what the kernel counts against a limit of processor time, of a process by its number (MAKE_PROCESS_CPUCLOCK
#: and CPUCLOCK_PROF of the kernel): whole ticks, which is more or less than what /proc shows of it.
CPUCLOCK_PROF = 0
#: The exit codes of what SIGKILL and SIGSYS have ended, of a shell also that waited for it.
KILLED, BAD_CALL = 128 + signal.SIGKILL, 128 + signal.SIGSYS
#: Signals by which somebody, or the end of a pipe, ends a command that has done nothing wrong.
OF_OTHERS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGKILL, signal.SIGPIPE, signal.SIGTERM)
#: Bytes that a runtime has written in the command's process before it was that: a number or two into files of /proc.
OWN = 16
#: How to ask what was denied, and whether what happened on the way was the reason.
ASK = (
    "hint: `hardening why` in place of `hardening run` says what was denied, if anything was, and what would permit it"
)
ASK_OF = "hint: {}; `hardening why` in place of `hardening run` says whether that mattered"


class Denial(Frozen):
    """What was denied, in words, by which ``setting``. ``reason`` is it in the few of records and of `ps`, where the command
    was ended by it; '' where it went on, so that nobody knows whether it failed for that."""

    text: str
    setting: str
    reason: str = ""


class Remains(Frozen):
    """What the kernel says of a process that has ended, until it is reaped: its ``Seccomp`` and ``Seccomp_filters`` (''
    where that is not known), the ``seconds`` of processor time that count against its limit, and that ``limit`` as it was
    at the end, soft and hard, in digits or ``unlimited`` (both '' where it is not known), and how many bytes it, and each
    child that it waited for, have ``written`` (-1 where that is not known)."""

    seccomp: str = ""
    filters: str = ""
    seconds: float = 0.0
    limit: tuple[str, str] = ("", "")
    written: int = -1


class FailedRun(Frozen):
    """The end of a command that has failed with ``code``: the configuration and the control groups that it had, what its
    network namespace has counted (a descriptor, -1 for none), its places in ``memory``, the ``signal`` that has ended it, 0
    for none, and whether somebody has ``disturbed`` it by a signal."""

    code: int
    document: object
    groups: Collection[str] = ()
    network: int = -1
    memory: Sequence[MemoryPlace] = ()
    remains: Remains = Remains()
    signal: int = 0
    disturbed: bool = False

    @property
    def is_of_others(self) -> bool:
        """Whether somebody has ended it, or sent it a signal, or typed into it: then its exit code says little of it."""
        typed = lookup(self.document, "/process/terminal") is True
        return self.disturbed or typed or self.code - 128 in OF_OTHERS


def remains(pid: int, io: int) -> Remains:
    """What there is to know of a zombie, ``io`` being a descriptor of its file of that name in /proc, or -1; nothing of one
    that the host hides there."""
    seconds, limit, written = 0.0, ("", ""), -1
    try:
        seconds = time.clock_gettime(~pid << 3 | CPUCLOCK_PROF)
        limit = _processor_limit(pid)
        written = int(dict(line.split(b": ") for line in os.pread(io, files.CHUNK, 0).splitlines())[b"wchar"])
    except (OSError, ValueError):  # the last takes a capability in the process's user namespace
        pass
    status = read_status(pid)
    return Remains(
        seccomp=status.get("Seccomp", ""),
        filters=status.get("Seccomp_filters", ""),
        seconds=seconds,
        limit=limit,
        written=written,
    )


def _processor_limit(pid: int) -> tuple[str, str]:
    """The soft and the hard limit of processor time of a process, also of a zombie (proc_pid_limits(5))."""
    lines = files.read(f"/proc/{pid}/limits").splitlines()
    soft, hard = next((line for line in lines if line.startswith("Max cpu time")), "").split()[3:5]
    return soft, hard


def tell(run: FailedRun, context: LaunchContext) -> str:
    """Tell what was denied, or how to ask, where that helps: the reason for the record, '' where none is known."""
    found = list(denials(run))
    fatal = [one for one in found if one.reason]
    request, observer = context.request, context.observer
    reason = ", ".join(one.reason for one in fatal)
    if request.tracer >= 0:  # who watches will say more
        return reason
    if fatal:
        settings = " and ".join(
            f"`hardening explain {quoted(setting)}`" for setting in dict.fromkeys(one.setting for one in fatal)
        )
        hint = f"hint: {settings}, with the profiles of the run, shows what decided"
        if request.typed:
            hint += "; `hardening why` in place of `hardening run` has the rest"
        text = f"{'; '.join(one.text for one in fatal)}\n{hint}"
        if observer is None:
            complain(text)
        else:
            observer.tell(text)
            observer.why = reason
    elif request.hints and not request.detach and (found or is_worth_a_hint(run)):
        remark(ASK_OF.format(" and ".join(one.text for one in found)) if found else ASK)
    return reason


def is_worth_a_hint(run: FailedRun) -> bool:
    """Whether a command may have failed for something that was denied: one that says nothing has an answer and no problem,
    as grep(1) and test(1) have with 1."""
    return not run.is_of_others and (run.code == BAD_CALL or not 0 <= run.remains.written < OWN)


def denials(run: FailedRun) -> Iterator[Denial]:
    """What was denied, as far as the kernel says so. Of a command that others have ended, only what was fatal; a process
    that it waited for and that was killed has not ended it."""
    is_of_others = run.is_of_others and (run.disturbed or run.signal != 0 or run.code != KILLED)
    looks: tuple[Look, ...] = (_by_filter, _by_memory, _by_processor_time, _more_processes, _memory, _network)
    for look in looks:
        try:
            found = look(run)
        except (OSError, ValueError):  # it cannot be told
            continue
        if found is not None and (found.reason or not is_of_others):
            yield found


def _by_filter(run: FailedRun) -> Denial | None:
    """The filter of the configuration, where the process had no other one that could have ended it."""
    alone = (run.remains.filters, read_status("self").get("Seccomp_filters")) == ("1", "0")
    if run.remains.seccomp != ENDED_BY_FILTER or not alone or not lookup(run.document, "/linux/seccomp"):
        return None
    return Denial(text="ended by the filter of system calls (seccomp)", setting="seccomp", reason="seccomp")


def _by_memory(run: FailedRun) -> Denial | None:
    limit = lookup(run.document, "/linux/resources/memory/limit")
    if not isinstance(limit, int) or not events.oom_kills(run.groups):
        return None
    # What a child was killed for is no reason of a command that goes on, and ends by itself with any exit code.
    itself = run.signal == signal.SIGKILL and not run.disturbed
    what, reason = ("OOM-killed", "out of memory") if itself else ("a process of it was OOM-killed", "")
    return Denial(
        text=f"{what} (limit {units.show_size(limit)}, process.resources.memory)",
        setting="process.resources.memory",
        reason=reason,
    )


def _by_processor_time(run: FailedRun) -> Denial | None:
    """The limit of the configuration, where the command has not changed it, and has had all of that time. The kernel has
    raised a soft one by a second when it sent the signal for it."""
    limits = (one for one in items(run.document, "/process/rlimits") if one.get("type") == "RLIMIT_CPU")
    which = {int(signal.SIGXCPU): "soft", int(signal.SIGKILL): "hard"}.get(run.signal, "")
    limit = next((one.get(which) for one in limits), None)
    at_end = run.remains.limit[0] if which == "soft" else run.remains.limit[1]
    if limit is None or run.remains.seconds < limit or at_end != str(limit + (which == "soft")):
        return None
    return Denial(
        text=f"ended for its processor time (limit {limit} s, process.rlimits.cpu)",
        setting="process.rlimits.cpu",
        reason="out of processor time",
    )


def _more_processes(run: FailedRun) -> Denial | None:
    limit = lookup(run.document, "/linux/resources/pids/limit")
    if limit is None or not events.refused_processes(run.groups):
        return None
    return Denial(
        text=f"it was refused one more process (limit {limit}, process.resources.pids)",
        setting="process.resources.pids",
    )


def _memory(run: FailedRun) -> Denial | None:
    """A place in memory to which nothing can be written any more."""
    for place, size, descriptor in run.memory:
        limit, found = units.kernel_size(size), os.fstatvfs(descriptor)
        # Of another size is what a volume shows there.
        if not found.f_bavail and found.f_blocks == -(-limit // found.f_frsize):
            return Denial(text=f"{place} was full at its end (limit {units.show_size(limit)})", setting=place)
    return None


def _network(run: FailedRun) -> Denial | None:
    """A new network namespace has its own loopback alone, and counts what would have had to leave by another interface."""
    if run.network < 0:
        return None
    lines = os.pread(run.network, files.CHUNK, 0).decode().splitlines()
    names, numbers = (line.split() for line in lines[:2])
    if int(numbers[names.index("OutNoRoutes")]) == 0:
        return None
    return Denial(
        text="it wanted to reach an address, and has no network (namespaces.net)",
        setting="namespaces.net",
    )
