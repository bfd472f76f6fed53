"""Runs of a real command under a base and layers of the tool's own, for `hardening.learn.learning`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date
from functools import cached_property
from pathlib import PurePath
from time import monotonic

import attrs

from hardening.assemble.pipeline import check
from hardening.base import places
from hardening.base.values import FrozenDict
from hardening.compose.composition import Composition
from hardening.compose.implied import compose_here
from hardening.errors import HardeningError
from hardening.learn import software, static
from hardening.learn.layer import LearntStatements
from hardening.learn.learning import INTERRUPTED, PlainRun, RecordedRun, Tables, TracedRun, Unfinished
from hardening.learn.recording import EXECUTE, Run
from hardening.mechanism.denial import Caller, SystemCall
from hardening.mechanism.evidence import SIGNIFICANT, Evidence, Usage, counted
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import RootDirectory
from hardening.profile.layers import parse_layer
from hardening.profile.source import command_line
from hardening.trace import calls
from hardening.trace.recording import SEEN_IF, UNSEEN
from hardening.trace.tracer import IDLE, INTERRUPT, TIME, Idle
from hardening.why import causes, smallest, together
from hardening.why.attempt import Attempt
from hardening.why.loosening import Loosening, merged
from hardening.why.patience import SLOWER, Patience
from hardening.why.runner import CommandRunner, Ran
from hardening.why.stack_world import StackWorld
from hardening.why.world import Conclusion

#: The least time, in seconds, that a run may take when one is known that worked.
_PATIENCE = 5.0


class StackRuns:
    """The runs of one command. ``base`` is the stack with what was typed, ``named`` the same without: a learnt layer stands
    between them. ``today`` is the day of all runs. ``idle`` is how many seconds a server may wait for others in a search.
    ``reads_programs``: what they could call is learnt, too. After ``limit`` seconds no further run is begun, and ``tell`` is
    told which one begins. ``on_first`` is given the first that shows what the command prints."""

    def __init__(
        self,
        base: Composition,
        named: Composition,
        today: date,
        runner: CommandRunner,
        *,
        idle: float | None = None,
        reads_programs: bool = False,
        limit: float | None = None,
        tell: Callable[[int], None] = lambda number: None,
        on_first: Callable[[Ran], None] = lambda ran: None,
    ) -> None:
        self.base, self.named, self.today, self.runner = base, named, today, runner
        self.idle, self.reads_programs = idle, reads_programs
        self.host = runner.host
        self._patience = Patience(runner.seconds, least=_PATIENCE)
        self._recorded = 0.0  # seconds that a run took that was recorded, and has succeeded
        self._limit, self._begun, self._tell, self._count = limit, monotonic(), tell, 0
        self._on_first = on_first
        self.unlike: tuple[str, ...] = ()  # as those of the last run that can prove something
        self._shown = True  # what the command prints: once

    @cached_property
    def context(self) -> Context:
        """What mechanisms look at while they learn."""
        return check(self.base, self.host, None)

    def composed(self, layers: Sequence[Tables]) -> Composition:
        """The base with further layers, below what was typed. Raises `HardeningError`."""
        stack = self.base.stack
        own = [parse_layer(command_line(tables, {})) for tables in layers if tables]
        named, typed = (
            [item for item in stack.layers if item.document.typed is is_typed] for is_typed in (False, True)
        )
        further = attrs.evolve(stack, layers=(*named, *own, *typed))
        return compose_here(further, self.base.mechanisms, self.host, self.today)

    def refusal(self, layers: Sequence[Tables]) -> HardeningError | None:
        try:
            check(self.composed(layers), self.host, None)
        except HardeningError as error:
            return error.problems[0]
        return None

    def trace(self, layers: Sequence[Tables]) -> TracedRun:
        self._begin()
        ran = self.runner.run(self.composed(layers), shown=self._shown)
        if self._shown:
            self._on_first(ran)
        self._shown = False
        failures = [call for call in ran.trace.failures if call.name]
        failed = _counted(failures)
        unseen, told_apart, by = calls.numbers(*UNSEEN), calls.numbers(*SIGNIFICANT), ran.trace.made
        if ran.trace.ended == INTERRUPT:
            seen = failed | _named({call: by[call] for call in by if call in unseen or call not in told_apart})
            raise Unfinished(INTERRUPTED, self._seen(ran, seen))
        complaints = _counted(call for call in failures if call.message and call.message.lower() in call.output.lower())
        made = _named(
            {call: by[call] for call in unseen & by.keys()} if ran.succeeded else {call: {} for call in unseen}
        )
        peaks = FrozenDict(_peaks(ran), memory=ran.trace.memory)
        return TracedRun(ran.succeeded, failed | made, complaints, peaks, ran.trace.ended != TIME)

    def record(self, layers: Sequence[Tables]) -> RecordedRun:
        self._begin()
        ran = self.runner.recorded(self.composed(layers))
        mapped = [use.call for use in ran.trace.uses if "execute" in use.call.access and not use.call.error]
        programs = {call.path for call in mapped if call.name in EXECUTE} | _executables(ran)
        run = self._seen(ran, ran.trace.uses)
        if ran.trace.ended == INTERRUPT:
            raise Unfinished(INTERRUPTED, run)
        late = ran.trace.ended == TIME and not self.runner.until
        unfinished = f"the command was still at work after {self.runner.seconds:g} seconds" if late else ""
        if ran.succeeded:  # nobody waits as long for what no longer works
            self._recorded, self._patience = ran.seconds, self._patience.after(ran.seconds)
        return RecordedRun(run, ran.succeeded, frozenset(programs), ran.seconds, unfinished)

    def run(self, layers: Sequence[Tables], *, patiently: bool = False) -> PlainRun:
        self._begin()
        seconds = self._patience.seconds(unseen=True)
        if patiently and seconds is not None:  # a run that proves a layer, whatever else the machine does by then
            seconds = max(self._patience.most or 0.0, SLOWER * self._recorded)
        ran = attrs.evolve(self.runner, seconds=seconds).run_unseen(self.composed(layers))
        if ran.trace.ended == INTERRUPT:
            raise Unfinished(INTERRUPTED)
        self.unlike = ran.unlike
        if ran.succeeded:
            self._patience = self._patience.after(ran.seconds, unseen=True)
        return PlainRun(ran.succeeded, ran.seconds)

    def _begin(self) -> None:
        """A run begins, if there is time for one. Raises `Unfinished`."""
        self._require_time()
        self._count_run()

    def _require_time(self) -> None:
        if self._limit is not None and monotonic() >= self._begun + self._limit:
            raise Unfinished(f"{self._limit:g} seconds are over")

    def _count_run(self) -> None:
        self._count += 1
        if not self._shown:  # else it would stand between the lines of the command
            self._tell(self._count)

    def _seen(self, ran: Ran, uses: frozenset[Usage]) -> Run:
        executed = {use.call.path for use in uses if "execute" in use.call.access and not use.call.error}
        executed |= _executables(ran)
        scanners = [scanner for _, scanner in sorted(self.runner.plugins.scanners.items())]
        return Run(
            id=places.new_id(),
            day=self.today.isoformat(),
            program=PurePath(self.runner.command[0]).name,
            kernel=f"{self.host.release} {self.host.machine}",
            uses=uses,
            peaks=tuple(_peaks(ran).items()),
            software=software.of_paths(executed, ran.composition, ran.context, scanners, self.host),
        )

    def search(self, layers: Sequence[Tables], *, is_late: bool) -> Mapping[str, Tables] | None:
        """As `hardening why` finds them."""
        self._begin()
        composition = self.composed(layers)
        until = bool(self.runner.until)
        idle = None if self.idle is None else Idle(self.idle, for_anything=is_late or until)
        runner = attrs.evolve(self.runner, idle=idle)
        ran = runner.run(composition)
        ended = ran.trace.ended
        if ended == IDLE and not (is_late or until):
            return None  # it waits for others, whatever else it may do
        is_late = ended in (TIME, IDLE) and not until
        end = None if self._limit is None else self._begun + self._limit
        stack = StackWorld(
            Attempt(composition, self.host, self.today), runner, is_late=is_late, ends=not ended, end=end,
            tell=lambda _: self._count_run(),
        )  # fmt: skip
        first = causes.outcome(ran, causes.denials(ran), succeeded=ran.succeeded)
        if is_late:  # one that waits would be late in the end
            first = attrs.evolve(first, late=True, waits=False)
        found = smallest.search(first, stack)
        if found.is_ended:
            self._require_time()
            raise Unfinished(INTERRUPTED)
        # What was enough and not confirmed will do: a run proves all that is learnt.
        if not found.members and found.conclusion is not Conclusion.NOT_NEEDED:
            return None
        loosenings: dict[str, list[Loosening]] = {}
        for member in found.members:
            one = stack.loosening(member)
            loosenings.setdefault(member.way.leaf, []).extend([one] if one is not None else [])
        return {leaf: dict(merged(those).tables) for leaf, those in loosenings.items() if those}

    def spare(self) -> Sequence[str]:
        return [leaf for one in self.base.mechanisms for leaf in one.spare(self.base.settings[one.name])]

    def least(self, kept: Collection[str]) -> Tables:
        asked = [(one.name, one.least(self.base.settings[one.name], kept)) for one in self.base.mechanisms]
        return {name: table for name, table in asked if table}

    def opened(self) -> Tables:
        return together.opened(self.base, self.context)

    def possible(self, programs: Collection[str]) -> frozenset[Usage]:
        root = self.context.of(RootDirectory)
        if not self.reads_programs or root is None:
            return frozenset()
        found = static.calls_of(programs, str(root.directory()), self.base.image_ids(self.host))
        return frozenset(
            Usage(_made(name, calls.number(name) or 0), 0, 0, tuple(PurePath(path).name for path in paths))
            for name, paths in found.items()
        )

    def statements(self, evidence: Evidence) -> LearntStatements:
        settings, context = self.named.settings, self.context
        return {one.name: [*one.learnt(settings[one.name], context, evidence)] for one in self.named.mechanisms}


def _peaks(ran: Ran) -> dict[str, int]:
    return {"files": ran.trace.files, "tasks": ran.trace.tasks}


def _counted(made: Iterable[SystemCall]) -> frozenset[Usage]:
    return counted((call, 1, (call.caller.command,)) for call in made)


def _named(made: Mapping[tuple[int, int], Mapping[str, int]]) -> frozenset[Usage]:
    """Calls of which no more is known than how often each program has made them: not that of those that a recording sees in
    part, nor of those that nobody was seen to make."""
    named = {calls.name(token, number): (number, by) for (token, number), by in made.items() if token == calls.own()}
    return frozenset(
        Usage(_made(name, number), 0 if name in SEEN_IF else sum(by.values()), 1, tuple(sorted(by.keys() - {""})))
        for name, (number, by) in named.items()
    )


def _made(name: str, number: int) -> SystemCall:
    """A call of this machine's own, without what its arguments say."""
    return SystemCall(name, number, calls.own(), (0,) * 6, Caller(0))


def _executables(ran: Ran) -> set[str]:
    return {one.executable for one in ran.trace.processes.values() if one.executable}
