"""What a run asked for, counted: each call that its filter asks a tracer about (`hardening.trace.recording`)."""

from __future__ import annotations

import errno
from collections import Counter

import attrs

from hardening.base.linux import abi
from hardening.mechanism.denial import Caller, SystemCall
from hardening.mechanism.evidence import Usage, counted
from hardening.trace.calls import PendingCall
from hardening.trace.observer import CallObserver, LiveThread
from hardening.trace.shapes import Keys

#: What leaves everything as it is: one answer tells enough. What changes something is followed until it succeeds.
_LOOKS = frozenset({"read", "search"})


class _Made:
    """A call that was made: how often with which errno, by which programs. ``error`` is the one that is taken for its answer
    where it is not followed. Where its words follow from its key they are found in the end, from ``entry``, and ``call`` is
    None until then."""

    __slots__ = ("call", "entry", "error", "is_known", "often", "programs")

    def __init__(self, entry: PendingCall, call: SystemCall | None) -> None:
        self.entry, self.call = entry, call
        self.often: Counter[int] = Counter()
        self.programs: set[str] = set()
        self.error = 0
        self.is_known = False


class CallRecorder(CallObserver):
    """Counts calls, and waits for the end of one only where that can say something new."""

    goes_on = abi.PTRACE_CONT
    options = abi.PTRACE_O_TRACESECCOMP

    def __init__(self) -> None:
        super().__init__()
        self._keys = Keys()
        self._made: dict[tuple[object, ...], _Made] = {}
        self._followed: dict[LiveThread, _Made] = {}

    def found(self) -> frozenset[Usage]:
        """What was asked for, each call with its answer. Who was killed in a call has asked for it."""
        for made in self._followed.values():
            made.often[0] += 1
        self._followed.clear()
        return counted(
            (attrs.evolve(call, error=error), often, made.programs)
            for call, made in ((self._call(key, made), made) for key, made in self._made.items())
            for error, often in made.often.items()
        )

    def _call(self, key: tuple[object, ...], made: _Made) -> SystemCall:
        if made.call is not None:
            return made.call
        return self._decoder.call(made.entry, self._keys.shown(made.entry, key), Caller(0))

    def on_entry(self, thread: LiveThread, entry: PendingCall) -> bool:
        tracee = thread.tracee
        key = self._keys.key(entry, tracee)
        made = self._made.get(key)
        if made is None:  # what it changes, such as where the process stands, is not changed yet
            from_key = self._keys.are_all(entry)
            made = self._made[key] = _Made(
                entry, None if from_key else self._decoder.call(entry, tracee, thread.caller)
            )
        made.programs.add(thread.process.command)
        if made.is_known:
            made.often[made.error] += 1
            return False
        self._followed[thread] = made
        return True

    def on_exit(self, thread: LiveThread, entry: PendingCall, error: int, result: int) -> None:
        made = self._followed.pop(thread)
        made.often[error] += 1
        made.error = error
        moves = (entry.architecture, entry.number) in self._kinds["moving"]
        if moves:
            self._keys.moved()
        if error:  # what only looks fails again, as long as nothing moves
            access = made.call.access if made.call is not None else self._decoder.access(entry)
            made.is_known = not moves and error != errno.EINTR and access <= _LOOKS
        else:
            made.is_known = not moves

    def on_exec(self, thread: LiveThread, entry: PendingCall) -> None:
        self._keys.moved()  # another thread may have its number now

    def on_thread_end(self, thread: LiveThread) -> None:
        self._keys.moved()  # its number may be given to another one
