"""Learning what a command needs: first what the base has to loosen for it, then what it does without.

Runs are made behind `CommandRuns`, so that this can be held against commands that are made up. All of them are under the
base and layers of the tool's own, which the limits of the base bind as they bind any layer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import attrs

from hardening.base import jsontext
from hardening.base.values import FrozenDict, frozen
from hardening.errors import HardeningError
from hardening.learn import layer
from hardening.learn.layer import Barred, LearntStatements
from hardening.learn.recording import Recording, Run
from hardening.mechanism.evidence import Evidence, LearntStatement, Usage
from hardening.profile import toml_text as toml
from hardening.why.minimal import minimal

#: The data of a layer: tables of mechanisms, and exceptions.
Tables = Mapping[str, Any]
#: Most runs that look for a loosening that can be left out.
MOST = 40
#: Most runs that look whether a command that succeeds complains no more.
MOST_COMPLAINTS = 8
#: Why there may be no answer.
INTERRUPTED = "interrupted"
_TRIED, _WITHOUT = "a trial", "without it no run succeeded"


@frozen(eq=False)
class RecordedRun:
    """A run that was recorded, whether the command succeeded, the programs that were executed, and for how many seconds.
    ``unfinished``: why nobody knows whether it would have succeeded; empty where that is known."""

    run: Run
    succeeded: bool
    programs: frozenset[str] = frozenset()
    seconds: float = 0.0
    unfinished: str = ""


@frozen(eq=False)
class TracedRun:
    """What is known of a run that was traced: whether the command succeeded, the calls that failed, with those that were
    made and no recording counts, those that failed and of which their process has told somebody, peaks as `Evidence` has
    them, and whether it came to its end ``in_time``."""

    succeeded: bool
    failed: frozenset[Usage]
    complaints: frozenset[Usage] = frozenset()
    peaks: Mapping[str, int] = FrozenDict()
    in_time: bool = True


@frozen(eq=False)
class PlainRun:
    """What is known of a run that was not recorded."""

    succeeded: bool
    seconds: float = 0.0


class Unfinished(Exception):
    """A run was interrupted, or was still at work when its time was over and nobody had said how one sees that it works:
    there is nothing to try. ``run`` is what it was seen to ask for, None for one that was not looked at."""

    def __init__(self, reason: str, run: Run | None = None) -> None:
        super().__init__(reason)
        self.run = run


class CommandRuns(Protocol):
    """Where a command is run under the base and further layers. Each run raises `Unfinished`."""

    def refusal(self, layers: Sequence[Tables]) -> HardeningError | None:
        """Why these layers do not compose over the base; None where they do."""
        ...

    def trace(self, layers: Sequence[Tables]) -> TracedRun:
        """A run that is traced, which shows what fails."""
        ...

    def record(self, layers: Sequence[Tables]) -> RecordedRun:
        """A run that is recorded."""
        ...

    def run(self, layers: Sequence[Tables], *, patiently: bool = False) -> PlainRun:
        """A run that is not recorded; where one is known that worked in so much time as that took makes likely, or, where it
        is made ``patiently``, in all that there is and no less."""
        ...

    def search(self, layers: Sequence[Tables], *, is_late: bool) -> Mapping[str, Tables] | None:
        """The smallest loosenings with which the command succeeds, each the full name of a leaf with the layer that loosens
        it; None where none do. ``is_late``: it was still at work when the time of its first run was over."""
        ...

    def spare(self) -> Sequence[str]:
        """The leaves whose loosening only a run can show that the command does without."""
        ...

    def least(self, kept: Collection[str]) -> Tables:
        """The layer that takes all of these away but for those that are ``kept``."""
        ...

    def opened(self) -> Tables:
        """The layer that permits, within the limits, all that can be watched."""
        ...

    def possible(self, programs: Collection[str]) -> frozenset[Usage]:
        """What programs could call by their files, where that was asked for."""
        ...

    def statements(self, evidence: Evidence) -> LearntStatements:
        """What mechanisms learn over the base."""
        ...


@frozen(eq=False)
class Learnt:
    """What was learnt. ``proved``: the command succeeded under the statements. ``barred`` no limit permits; ``spared`` was
    asked for and denied, and the command did without: leaves, with what was seen. ``left`` are mechanisms that are not
    tightened, since the command failed where they were. ``seconds``: how long it took recorded, and when it was proved.
    ``unfinished``: why there was no answer."""

    recording: Recording
    statements: LearntStatements
    proved: bool
    barred: tuple[Barred, ...] = ()
    spared: Mapping[str, str] = FrozenDict()
    left: tuple[str, ...] = ()
    seconds: tuple[float, float] = (0.0, 0.0)
    unfinished: str = ""


def learn(command: CommandRuns, before: Recording) -> Learnt:
    """Learn from one command, and from the runs ``before``. What no run shows to be needed is not in the statements; where
    the command does not succeed under them, they are less tight, and where it never does they are not ``proved``. What is
    left unfinished is not either: then the statements are from what was seen so far."""
    seen: list[Run] = []
    try:
        return _learn(command, before, seen)
    except Unfinished as found:
        end = found
    except KeyboardInterrupt:  # between two runs
        end = Unfinished(INTERRUPTED)
    runs = frozenset([end.run] if end.run is not None else seen[-1:])
    recording = before.merged(Recording(runs))
    statements = command.statements(recording.evidence())
    asked = layer.loosened(statements)
    return Learnt(recording, layer.without(statements, asked), False, spared=asked, unfinished=str(end))


def _learn(command: CommandRuns, before: Recording, seen: list[Run]) -> Learnt:
    """What is learnt where all runs come to an end; ``seen`` gets what was recorded."""
    least = command.least(())
    traced = command.trace([least])
    failed = traced.failed
    # A failure that a second run does not show was a race of the command's own, or is the tracer's.
    does = traced.succeeded or (traced.in_time and command.run([least]).succeeded)
    kept, needed = ((), {}) if does else _needed(command, seen, is_least=not least, is_late=not traced.in_time)
    if not traced.succeeded:
        traced = command.trace([command.least(kept), *needed.values()])
        failed = frozenset(use for use in failed if use.often) | traced.failed
    needed, traced, further = _without_complaints(command, traced, kept, needed)
    failed |= further
    layers = [command.least(kept), *needed.values()]
    recorded = _recorded(command, layers, seen)
    if recorded.unfinished:
        raise Unfinished(recorded.unfinished, recorded.run)
    given: dict[str, Tables] = {**{leaf: {} for leaf in kept}, **needed}
    texts = tuple((leaf, jsontext.dump(tables, canonical=True)) for leaf, tables in sorted(given.items()))
    known = {use.call for use in recorded.run.uses}
    uses = recorded.run.uses | {use for use in failed if use.call not in known}
    named = {use.call.name for use in uses}
    uses |= {use for use in command.possible(recorded.programs) if use.call.name not in named}
    peaks = {
        name: max(most, traced.peaks.get(name, 0))
        for name, most in {**traced.peaks, **dict(recorded.run.peaks)}.items()
    }
    needs = texts if recorded.succeeded else None
    run = attrs.evolve(recorded.run, uses=uses, needed=needs, peaks=tuple(sorted(peaks.items())))
    recording = before.merged(Recording(frozenset({run})))
    every = command.statements(recording.evidence())
    asked = layer.loosened(every)
    wanted = recording.needed()
    statements = with_needed(layer.without(every, asked.keys() - wanted.keys()), wanted.values())
    spared = {leaf: seen for leaf, seen in asked.items() if leaf not in wanted}
    refusals = {leaf: command.refusal([_only(every, leaf)]) for leaf in spared}
    barred = tuple(
        Barred(leaf, spared[leaf], refusal.message) for leaf, refusal in refusals.items() if refusal is not None
    )
    spared = {leaf: seen for leaf, seen in spared.items() if refusals[leaf] is None}
    for left in _looser(statements):
        tried = {name: [one for one in lines if one.loosens or name not in left] for name, lines in statements.items()}
        tables = [layer.tables(tried, layer.reason(recording))]
        if not recorded.succeeded or command.refusal(tables) is not None:
            continue
        proof = command.run(tables, patiently=True)
        if proof.succeeded:
            return Learnt(recording, tried, True, barred, spared, left, (recorded.seconds, proof.seconds))
    return Learnt(recording, statements, False, barred, spared)


def _looser(statements: LearntStatements) -> Iterator[tuple[str, ...]]:
    """Mechanisms to leave as the base has them: none, each, all."""
    names = tuple(name for name, lines in statements.items() if any(not one.loosens for one in lines))
    yield ()
    yield from ((name,) for name in reversed(names))
    if len(names) > 1:
        yield names


def _recorded(command: CommandRuns, layers: Sequence[Tables], seen: list[Run]) -> RecordedRun:
    recorded = command.record(layers)
    seen.append(recorded.run)
    return recorded


def _needed(
    command: CommandRuns, seen: list[Run], *, is_least: bool, is_late: bool
) -> tuple[Sequence[str], dict[str, Tables]]:
    """What the command needs: of what is spare, and the loosenings without which it fails, each leaf with its layer. It has
    failed under the least, which may be the base itself."""
    needed = {} if not is_least and command.run([]).succeeded else _loosenings(command, seen, is_late=is_late)
    spare = command.spare()
    if needed is None:
        return spare, {}

    def suffices(some: Sequence[str]) -> bool:
        return command.run([command.least(some), *needed.values()]).succeeded

    return () if not spare or suffices(()) else minimal(spare, suffices), needed


def _without_complaints(
    command: CommandRuns, traced: TracedRun, kept: Sequence[str], needed: Mapping[str, Tables]
) -> tuple[dict[str, Tables], TracedRun, frozenset[Usage]]:
    """What the command needs, with what it complains of although it succeeds, such as `ip address` that may send no request
    and lists nothing; the run with it, and all calls that failed. A complaint that stays is of something else."""
    found, failed, tried = dict(needed), frozenset[Usage](), set(needed)

    def of(complaints: frozenset[Usage]) -> dict[str, Tables]:
        statements = command.statements(Evidence(tuple(complaints), 1, {}))
        asked = {leaf: _only(statements, leaf) for leaf in layer.loosened(statements) if leaf not in tried}
        return {leaf: tables for leaf, tables in asked.items() if command.refusal([tables]) is None}

    for _ in range(MOST_COMPLAINTS):
        more = of(traced.complaints) if traced.succeeded else {}
        if not more:
            break
        again = command.trace([command.least(kept), *found.values(), *more.values()])
        gone = _gone(traced, again)
        if not again.succeeded or not of(gone):
            break
        back = {use.call for use in command.trace([command.least(kept), *found.values()]).complaints}
        helped = of(frozenset(use for use in gone if use.call in back))  # and others came and went by themselves
        if not helped:
            break
        tried |= more.keys()
        found, failed, traced = {**found, **helped}, failed | again.failed, again
    return found, traced, failed


def _gone(before: TracedRun, after: TracedRun) -> frozenset[Usage]:
    stayed = {use.call for use in after.complaints}
    return frozenset(use for use in before.complaints if use.call not in stayed)


def _loosenings(command: CommandRuns, seen: list[Run], *, is_late: bool) -> dict[str, Tables] | None:
    """The loosenings without which the command fails, each leaf with the layer that loosens it; None where nothing helps."""
    opened = command.opened()
    # A search sees that a command waits, and ends it; what is recorded takes all of its time.
    found = command.search([opened], is_late=is_late)
    every = _recorded(command, [opened, *(found or {}).values()], seen)
    if found is None:
        if every.unfinished:
            raise Unfinished(every.unfinished, every.run)
        return None
    needed = dict(found)
    statements = command.statements(Recording(frozenset({every.run})).evidence())
    asked = [(leaf, _only(statements, leaf)) for leaf in layer.loosened(statements)]
    candidates = [(leaf, tables) for leaf, tables in asked if command.refusal([tables]) is None]
    known: dict[frozenset[str], bool] = {}

    def suffices(some: Sequence[tuple[str, Tables]]) -> bool:
        leaves = frozenset(leaf for leaf, _ in some)
        if leaves not in known and len(known) < MOST:
            known[leaves] = command.run([*found.values(), *(tables for _, tables in some)]).succeeded
        return known.get(leaves, False)

    if candidates and not (found and suffices(())):
        needed |= minimal(candidates, suffices)
    return needed


def _only(statements: LearntStatements, leaf: str) -> Tables:
    """The layer of what loosens one leaf."""
    chosen = {name: [one for one in lines if leaf in one.loosens] for name, lines in statements.items()}
    return layer.tables({name: lines for name, lines in chosen.items() if lines}, _TRIED)


def with_needed(
    statements: LearntStatements, layers: Iterable[Tables], comment: str = _WITHOUT
) -> dict[str, list[LearntStatement]]:
    """The statements, and layers that loosen what no mechanism has learnt from what was seen. Each line of these is there
    for all that its layer excepts, which need not be what it adds to: a place in memory below a hidden path loosens no
    hidden path, and a volume there both. So is a line that was learnt without."""
    found = {name: [*lines] for name, lines in statements.items()}
    for tables in layers:
        loosens = frozenset(exception["setting"] for exception in tables.get("exceptions", ()))
        for name, table in tables.items():
            if name != "exceptions":
                lines = found.setdefault(name, [])
                for line in _lines(table, comment):
                    at = next(
                        (at for at, one in enumerate(lines) if (one.key, one.value) == (line.key, line.value)), None
                    )
                    if at is None:
                        lines.append(attrs.evolve(line, loosens=loosens))
                    else:
                        lines[at] = attrs.evolve(lines[at], loosens=lines[at].loosens | loosens)
    return found


def _lines(table: Mapping[str, Any], comment: str) -> Iterator[LearntStatement]:
    for key, value in toml.flat(table):
        for item in value if isinstance(value, list) else [value]:
            yield LearntStatement(key, item, comment, isinstance(value, list))
