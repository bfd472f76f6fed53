"""What a trace knows of processes while they run, and what it does with their calls."""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar

import attrs

from hardening.mechanism.denial import Caller, SystemCall
from hardening.trace import calls
from hardening.trace.calls import PendingCall
from hardening.trace.decode import Decoder
from hardening.trace.tracee import Tracee


class LiveProcess:
    """What is known of a process while it runs, its name for ``command``, and ``is_confined`` for its callers. ``begun`` and
    ``ended`` are how many calls all processes had made by then, and ``memory`` is the most that it had, in bytes, where it
    was seen to end."""

    __slots__ = ("argv", "begun", "command", "ended", "executable", "is_confined", "memory", "pid", "status")

    def __init__(self, pid: int, begun: int = 0) -> None:
        self.pid, self.begun, self.ended, self.memory = pid, begun, begun, 0
        self.argv: tuple[str, ...] = ()
        self.executable = self.command = ""
        self.status: int | None = None
        self.is_confined = False


class LiveThread:
    """One thread of a process: what it shows of itself, the call that it is in, the last one that it was in, and who it is,
    where that is known."""

    __slots__ = ("entry", "known_caller", "last", "process", "tracee")

    def __init__(self, pid: int, process: LiveProcess) -> None:
        self.tracee, self.process = Tracee(pid), process
        self.entry: PendingCall | None = None
        self.last: PendingCall | None = None
        self.known_caller: Caller | None = None

    @property
    def pid(self) -> int:
        """Its number, which execve(2) may change."""
        return self.tracee.pid

    @property
    def caller(self) -> Caller:
        """Who it is, asked once until that may have changed."""
        if self.known_caller is None:
            self.known_caller = attrs.evolve(self.tracee.caller(), is_confined=self.process.is_confined)
        return self.known_caller

    def changed(self) -> None:
        """It may no longer be who it was."""
        self.known_caller = None


class CallObserver:
    """What becomes of the calls of a trace: nothing, but for what a subclass does. ``goes_on`` is the request of ptrace(2)
    by which a thread goes on that is in no call, ``options`` are those that it needs. ``files`` is the highest number that
    a descriptor was seen to have, and one; ``met`` are ways in which calls have failed, and programs, ``failed`` is how many
    calls have; ``bound`` are calls that gave an address to a socket, and with ``listens`` there is one that others may
    connect to."""

    goes_on: ClassVar[int]
    options: ClassVar[int]

    def __init__(self) -> None:
        self.files = 3
        self.met: set[Hashable] = set()
        self.failed = 0
        self.bound: list[SystemCall] = []
        self.listens = False
        self._decoder, self._kinds = Decoder(), calls.kinds()

    def on_entry(self, thread: LiveThread, entry: PendingCall) -> bool:
        """A call begins: whether its end is waited for."""
        return False

    def on_exit(self, thread: LiveThread, entry: PendingCall, error: int, result: int) -> None:
        """A call that was waited for has ended, with an errno or with 0."""

    def on_kill(self, thread: LiveThread, entry: PendingCall) -> None:
        """A filter has answered a call with SIGSYS."""

    def on_bus_error(self, thread: LiveThread, address: int, order: int) -> None:
        """A process is killed for memory at an address (SIGBUS)."""

    def on_exec(self, thread: LiveThread, entry: PendingCall) -> None:
        """execve(2) has replaced what the process was."""

    def on_fork(self, process: LiveProcess, parent: LiveProcess) -> None:
        """A process has made another one."""

    def on_thread_end(self, thread: LiveThread) -> None:
        """A thread is over."""

    def on_failed_end(self, process: LiveProcess, caller: Caller | None, status: int, order: int) -> None:
        """A process has ended with a wait status that is not 0; its ``caller`` where that was known."""
