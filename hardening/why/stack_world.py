"""The stack that a search tries loosenings in: its runs, and what each came to."""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Sequence
from functools import partial

import attrs

from hardening.assemble.pipeline import examine
from hardening.compose.composition import Composition
from hardening.errors import HardeningError
from hardening.mechanism.denial import Way
from hardening.trace.tracer import IDLE, TIME, Idle
from hardening.why import causes, loosen, together
from hardening.why.attempt import Attempt
from hardening.why.causes import FailedCall, MadeCalls
from hardening.why.loosening import Loosening
from hardening.why.patience import Patience
from hardening.why.runner import CommandRunner, Ran
from hardening.why.world import Member, Suspect, TrialOutcome

#: The least time, in seconds, for which a command has done nothing new before it is taken for one that waits.
LEAST_IDLE = 1.0
#: The same of one that was at work in its first run until that was ended: to wait for its next try it goes on as long in
#: each run that it fails in.
LATE_IDLE = 5.0


class StackWorld:
    """The stack that a command is tried under, with more layers: what a search tries things in. ``traces``: the command
    traces others itself. ``is_late``: it was at work in its first run until that was ended, so that this is no success.
    ``ends``: that came to its end by itself, and only the time that a run has left ends it before in another. ``end`` is the
    moment (`time.monotonic`) when no further run is wanted, and ``tell`` is told which run begins."""

    def __init__(
        self,
        attempt: Attempt,
        runner: CommandRunner,
        *,
        traces: bool = False,
        is_late: bool = False,
        ends: bool = False,
        end: float | None = None,
        tell: Callable[[int], None] | None = None,
    ) -> None:
        self._tell = tell
        self._end = end
        self._patience = Patience(runner.seconds)
        self._idle = runner.idle and Idle(LATE_IDLE, for_anything=True) if is_late else runner.idle
        self._has_waited = False  # a run was ended for that
        self._beyond: list[Way] | None = None  # what the last run that permitted all else was given beside that
        self._count = 0
        self._attempt = attempt
        self._traces = traces
        self._runner = runner
        self._loosenings: list[tuple[Member, Loosening | None]] = []
        self.barriers: dict[str, str] = {}  # by leaf: why it cannot be loosened
        self.runs: list[tuple[TrialOutcome, Ran, Sequence[FailedCall]]] = []
        self.running: Ran | None = None  # the last one that counts as a success, where it did not end by itself
        self._is_late, self._ends = is_late, ends
        self._must_end = is_late  # or it has ended by itself, with success
        self._latest: tuple[Sequence[Way], Composition | HardeningError] = ((), attempt.composition)

    @property
    def in_place(self) -> bool:
        """Whether its runs write to the volumes themselves."""
        return self._runner.in_place

    @property
    def failed(self) -> Sequence[FailedCall]:
        """What failed in any of its runs."""
        return [item for _, _, found in self.runs for item in found]

    def loosening(self, member: Member) -> Loosening | None:
        """What permits one denial in one way; None where nothing does."""
        found = self._offer(member)
        return None if found is None or found.barrier else found

    def is_out_of_reach(self, suspect: Suspect) -> bool:
        """Whether no way past a denial is one that this caller can have on this host, as where there is none."""
        offers = [self._offer(Member(suspect, way)) for way in suspect.ways]
        return all(found is not None and found.is_out_of_reach for found in offers)

    def _offer(self, member: Member) -> Loosening | None:
        for known, found in self._loosenings:
            if known.way is member.way:
                return found
        found = loosen.first(self._attempt, member.suspect.leaf, [member.way])
        if found is not None and found.barrier:
            self.barriers.setdefault(member.suspect.leaf, found.barrier)
        self._loosenings.append((member, found))
        return found

    def composes(self, members: Sequence[Member]) -> bool:
        """Whether these are permitted at once, and may be tried."""
        return not any(map(self.would_reach_host, members)) and isinstance(self._composed(members), Composition)

    def would_reach_host(self, member: Member) -> bool:
        """Whether a loosening is left untried, for what a run with it may do to the host."""
        return member.way.reaches_host and not self.in_place

    def _composed(self, members: Sequence[Member]) -> Composition | HardeningError | None:
        if not members:
            return self._attempt.composition
        ways = [member.way for member in members]
        known, after = self._latest
        if len(ways) == len(known) and all(map(operator.is_, ways, known)):
            return after  # what was asked whether it composes is what is run
        loosenings = [self.loosening(member) for member in members]
        if any(found is None for found in loosenings):
            return None
        after = together.composed(self._attempt, [found for found in loosenings if found is not None])
        if isinstance(after, HardeningError):
            self.barriers.setdefault(members[-1].suspect.leaf, after.message)
        self._latest = ways, after
        return after

    def run(self, members: Sequence[Member], *, patiently: bool = False) -> TrialOutcome:
        """What comes of a run with these. One that is still at work when its time is over, and failed without them, has
        come further, and so does a server: the search takes it for a success until one has ended as such."""
        spared = [member.suspect.call for member in members if member.way.spares_call]
        made = MadeCalls()

        def start(runner: CommandRunner, composition: Composition) -> Ran:
            ran = runner.run_unseen(composition) if self._traces else None
            if ran is not None and ran.succeeded:
                return ran
            return runner.run(composition, on_call=made if spared else None)

        ran = self._timed(self._to_run(members), start, members, patiently=patiently)
        if not isinstance(ran, Ran):
            return ran
        found = causes.denials(ran)
        outcome = causes.outcome(ran, found, succeeded=not any(map(made.has, spared)) and self._succeeded(ran))
        self.runs.append((outcome, ran, found))
        return outcome

    def foresee(self, members: Sequence[Member]) -> TrialOutcome | None:
        """What comes of a run with these and all else permitted that can be watched, and what it is denied without that."""
        composition = self._composed(members)
        if not isinstance(composition, Composition):
            return None
        context = examine(composition, self._attempt.host)
        tables = together.opened(composition, context)
        beyond = [member.way for member in members if member.way.leaf.partition(".")[0] not in tables]
        if not tables or beyond == self._beyond:
            return None
        loosenings = [self.loosening(member) for member in members]
        opened = together.composed(
            self._attempt, [*(one for one in loosenings if one is not None), Loosening(tables=tables)]
        )
        if not isinstance(opened, Composition):
            return None
        self._beyond, made = beyond, MadeCalls()
        ran = self._timed(opened, lambda runner, after: runner.run(after, on_call=made), members)
        if not isinstance(ran, Ran):
            return ran
        found = (*causes.foreseen(made.all(), composition, context, tables), *causes.denials(ran))
        waits = ran.trace.ended in (TIME, IDLE) and not self._runner.until
        outcome = causes.outcome(ran, found, succeeded=ran.succeeded or waits)
        self.runs.append((outcome, ran, found))
        return outcome

    def run_unseen(self, members: Sequence[Member]) -> TrialOutcome:
        """Whether it succeeds with these. That one waits, for others or for its next try, or still makes a call that it is
        to do without, only who looks at it sees."""
        if self.running is not None or self._has_waited or any(member.way.spares_call for member in members):
            return self.run(members)
        ran = self._timed(self._to_run(members), CommandRunner.run_unseen, members, unseen=True)
        if not isinstance(ran, Ran):
            return ran
        return attrs.evolve(causes.outcome(ran, (), succeeded=self._succeeded(ran)), is_seen=False)

    def _succeeded(self, ran: Ran) -> bool:
        if ran.succeeded:
            self.running, self._must_end = None, True
            return True
        if ran.trace.ended not in (TIME, IDLE) or self._runner.until or self._must_end:
            return False
        self.running = ran
        return True

    def _to_run(self, members: Sequence[Member]) -> Composition:
        composition = self._composed(members)
        if not isinstance(composition, Composition):
            raise TypeError("what does not compose is not run")
        return composition

    def _timed(
        self,
        composition: Composition,
        start: Callable[[CommandRunner, Composition], Ran],
        members: Sequence[Member],
        *,
        patiently: bool = False,
        unseen: bool = False,
    ) -> Ran | TrialOutcome:
        """A run with these ``members`` in the time that there is for it, which is less once one has succeeded; what comes of
        it where there is none."""
        within = partial(self._within, composition=composition, start=start, members=members, idle=not patiently)
        allowed, most = self._patience.seconds(unseen=unseen), self._patience.most
        ran = within(allowed)
        if self._ends and allowed != most and isinstance(ran, Ran) and ran.trace.ended == TIME:
            ran = within(most)  # it has ended before: that it is slower now may be the machine's doing
        if not isinstance(ran, Ran):
            return ran
        if ran.succeeded:
            self._patience = self._patience.after(ran.seconds, unseen=unseen)
        if ran.succeeded and self._idle is not None and not self._is_late:
            seconds = min(self._idle.seconds, max(LEAST_IDLE, ran.seconds))
            self._idle = attrs.evolve(self._idle, seconds=seconds)
        return ran

    def _within(
        self,
        allowed: float | None,
        *,
        composition: Composition,
        start: Callable[[CommandRunner, Composition], Ran],
        members: Sequence[Member],
        idle: bool,
    ) -> Ran | TrialOutcome:
        """A run in no more seconds than are allowed, and than are left; what comes of it where there are none, or where it
        is refused. With ``idle`` it is ended where it waits."""
        begin = time.monotonic()
        left = None if self._end is None else self._end - begin
        if left is not None and left <= 0:
            return TrialOutcome(False, stopped=True)
        self._count += 1
        if self._tell is not None:
            self._tell(self._count)
        seconds = min((one for one in (allowed, left) if one is not None), default=None)
        runner = attrs.evolve(self._runner, seconds=seconds, idle=self._idle if idle else None)
        try:
            ran = start(runner, composition)
        except HardeningError as error:  # a plugin's verdict, or what it may write to is too much to be copied
            if not members:
                raise
            self.barriers.setdefault(members[-1].suspect.leaf, error.message)
            return TrialOutcome(False)
        self._has_waited |= ran.trace.ended == IDLE and not self._is_late
        if ran.trace.ended == TIME and left is not None and time.monotonic() - begin >= left:
            return TrialOutcome(False, stopped=True)
        return ran
