"""Runs of a real command under a base and layers of the tool's own, for `hardening.learn.learning`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from functools import cached_property
from pathlib import PurePath

import attrs

from hardening.assemble.pipeline import check
from hardening.base import places
from hardening.compose.composition import Composition
from hardening.compose.implied import compose_here
from hardening.errors import HardeningError
from hardening.learn import software, static
from hardening.learn.layer import Lessons
from hardening.learn.learning import Tables, Watched
from hardening.learn.recording import EXECUTE, CallCounter, Run
from hardening.mechanism.denial import Caller, SystemCall
from hardening.mechanism.evidence import Evidence, Usage
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import RootDirectory
from hardening.profile.layers import parse_layer
from hardening.profile.source import command_line
from hardening.trace import calls
from hardening.trace.recording import UNSEEN
from hardening.why import causes, smallest, together
from hardening.why.attempt import Attempt
from hardening.why.inquiry import TriedStack
from hardening.why.smallest import Conclusion
from hardening.why.trial import Trials


class CommandTrials:
    """The runs of one command. ``base`` is the stack with what was typed, ``named`` the same without: a learnt layer stands
    between them. ``today`` is the day of all runs. ``reads_programs``: what they could call is learnt, too."""

    def __init__(
        self, base: Composition, named: Composition, today: date, trials: Trials, *, reads_programs: bool = False
    ) -> None:
        self.base, self.named, self.today, self.trials = base, named, today, trials
        self.reads_programs = reads_programs
        self.host = trials.host

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

    def look(self, layers: Sequence[Tables]) -> tuple[bool, frozenset[Usage]]:
        ran = self.trials.run(self.composed(layers), shown=True)
        counter = CallCounter()
        for call in ran.trace.failures:
            if call.name:
                counter(call)
        return ran.succeeded, counter.uses() | _not_counted(ran.trace.made if ran.succeeded else calls.numbers(*UNSEEN))

    def record(self, layers: Sequence[Tables]) -> Watched:
        counter = CallCounter()
        ran = self.trials.watched(self.composed(layers), counter)
        mapped = [use.call for use in counter.uses() if "execute" in use.call.access and not use.call.error]
        programs = {call.path for call in mapped if call.name in EXECUTE}
        programs |= {one.executable for one in ran.trace.processes.values() if one.executable}
        executed = {call.path for call in mapped} | programs
        scanners = [scanner for _, scanner in sorted(self.trials.plugins.scanners.items())]
        run = Run(
            id=places.new_id(),
            day=self.today.isoformat(),
            program=PurePath(self.trials.command[0]).name,
            kernel=f"{self.host.release} {self.host.machine}",
            uses=counter.uses(),
            peaks=(("files", ran.trace.files), ("tasks", ran.trace.tasks)),
            software=software.of_paths(executed, ran.composition, ran.context, scanners, self.host),
        )
        return Watched(run, ran.succeeded, frozenset(programs))

    def succeeds(self, layers: Sequence[Tables]) -> bool:
        return self.trials.run_unseen(self.composed(layers)).succeeded

    def search(self, layers: Sequence[Tables]) -> Mapping[str, Tables] | None:
        """As `hardening why` finds them."""
        composition = self.composed(layers)
        stack = TriedStack(Attempt(composition, self.host, self.today), self.trials)
        ran = self.trials.run(composition)
        first = causes.outcome(ran, causes.denials(ran), succeeded=ran.succeeded)
        found = smallest.search(first, stack)
        if found.conclusion not in (Conclusion.FOUND, Conclusion.NOT_NEEDED):
            return None
        loosenings = {member.suspect.leaf: stack.loosening(member) for member in found.members}
        return {leaf: dict(one.tables) for leaf, one in loosenings.items() if one is not None}

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

    def lessons(self, evidence: Evidence) -> Lessons:
        settings, context = self.named.settings, self.context
        return {one.name: [*one.learnt(settings[one.name], context, evidence)] for one in self.named.mechanisms}


def _not_counted(made: Collection[tuple[int, int]]) -> frozenset[Usage]:
    """Those calls of some that a recording does not stop at."""
    token = calls.own()
    return frozenset(
        Usage(_made(calls.name(token, number), number), 0)
        for architecture, number in calls.numbers(*UNSEEN)
        if architecture == token and (token, number) in made
    )


def _made(name: str, number: int) -> SystemCall:
    """A call of this machine's own, without what its arguments say."""
    return SystemCall(name, number, calls.own(), (0,) * 6, Caller(0))
