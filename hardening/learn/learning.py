"""Learning what a command needs: first what the base has to loosen for it, then what it does without.

Runs are made behind `CommandRuns`, so that this can be held against commands that are made up. All of them are under the
base and layers of the tool's own, which the limits of the base bind as they bind any layer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol

import attrs

from hardening.base import jsontext
from hardening.base.values import FrozenDict, frozen
from hardening.errors import HardeningError
from hardening.learn import layer
from hardening.learn.layer import Barred, Lessons
from hardening.learn.recording import Recording, Run
from hardening.mechanism.evidence import Evidence, Lesson, Usage
from hardening.profile import toml_text as toml
from hardening.why.smallest import minimal

#: The data of a layer: tables of mechanisms, and exceptions.
Tables = Mapping[str, Any]
#: Most runs that look for a loosening that can be left out.
MOST = 40
_TRIED, _WITHOUT = "a trial", "without it no run succeeded"


@frozen(eq=False)
class Watched:
    """A run that was recorded, whether the command succeeded in it, and the programs that were executed."""

    run: Run
    succeeded: bool
    programs: frozenset[str] = frozenset()


class CommandRuns(Protocol):
    """Where a command is run under the base and further layers."""

    def refusal(self, layers: Sequence[Tables]) -> HardeningError | None:
        """Why these layers do not compose over the base; None where they do."""
        ...

    def look(self, layers: Sequence[Tables]) -> tuple[bool, frozenset[Usage]]:
        """Whether the command succeeds, and the calls that failed, with those that were made and no recording counts."""
        ...

    def record(self, layers: Sequence[Tables]) -> Watched:
        """A run that is recorded."""
        ...

    def succeeds(self, layers: Sequence[Tables]) -> bool:
        """Whether the command succeeds in a run that is not recorded."""
        ...

    def search(self, layers: Sequence[Tables]) -> Mapping[str, Tables] | None:
        """The smallest loosenings with which the command succeeds, each the full name of a leaf with the layer that loosens
        it; None where none do."""
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

    def lessons(self, evidence: Evidence) -> Lessons:
        """What mechanisms learn over the base."""
        ...


@frozen(eq=False)
class Learnt:
    """What was learnt. ``proved``: the command succeeded under the lessons. ``barred`` no limit permits; ``spared`` was
    asked for and denied, and the command did without: leaves, with what was seen. ``left`` are mechanisms that are not
    tightened, since the command failed where they were."""

    recording: Recording
    lessons: Lessons
    proved: bool
    barred: tuple[Barred, ...] = ()
    spared: Mapping[str, str] = FrozenDict()
    left: tuple[str, ...] = ()


def learn(trials: CommandRuns, before: Recording) -> Learnt:
    """Learn from one command, and from the runs ``before``. What no run shows to be needed is not in the lessons; where the
    command does not succeed under them, they are less tight, and where it never does they are not ``proved``."""
    succeeded, failed = trials.look([trials.least(())])
    kept, needed = ((), {}) if succeeded else _needed(trials)
    layers = [trials.least(kept), *needed.values()]
    if not succeeded:
        failed = frozenset(use for use in failed if use.often) | trials.look(layers)[1]
    watched = trials.record(layers)
    given: dict[str, Tables] = {**{leaf: {} for leaf in kept}, **needed}
    texts = tuple((leaf, jsontext.dump(tables, canonical=True)) for leaf, tables in sorted(given.items()))
    known = {use.call for use in watched.run.uses}
    uses = watched.run.uses | {use for use in failed if use.call not in known}
    named = {use.call.name for use in uses}
    uses |= {use for use in trials.possible(watched.programs) if use.call.name not in named}
    run = attrs.evolve(watched.run, uses=uses, needed=texts if watched.succeeded else None)
    recording = before.merged(Recording(frozenset({run})))
    lessons = {name: [*said] for name, said in trials.lessons(recording.evidence()).items()}
    asked = layer.loosened(lessons)
    wanted = recording.needed()
    lessons = with_needed(layer.without(lessons, asked.keys() - wanted.keys()), wanted)
    spared = {leaf: seen for leaf, seen in asked.items() if leaf not in wanted}
    refusals = {leaf: trials.refusal([_only(trials.lessons(recording.evidence()), leaf)]) for leaf in spared}
    barred = tuple(
        Barred(leaf, spared[leaf], refusal.message) for leaf, refusal in refusals.items() if refusal is not None
    )
    spared = {leaf: seen for leaf, seen in spared.items() if refusals[leaf] is None}
    for left in _looser(lessons):
        tried = {name: [one for one in said if one.loosens or name not in left] for name, said in lessons.items()}
        tables = [layer.tables(tried, layer.reason(recording))]
        if watched.succeeded and trials.refusal(tables) is None and trials.succeeds(tables):
            return Learnt(recording, tried, True, barred, spared, left)
    return Learnt(recording, lessons, False, barred, spared)


def _looser(lessons: Lessons) -> Iterator[tuple[str, ...]]:
    """Mechanisms to leave as the base has them: none, each, all."""
    names = tuple(name for name, said in lessons.items() if any(not one.loosens for one in said))
    yield ()
    yield from ((name,) for name in reversed(names))
    if len(names) > 1:
        yield names


def _needed(trials: CommandRuns) -> tuple[Sequence[str], dict[str, Tables]]:
    """What the command needs: of what is spare, and the loosenings without which it fails, each leaf with its layer."""
    needed = {} if trials.succeeds([]) else _loosenings(trials)
    spare = trials.spare()
    if needed is None:
        return spare, {}

    def suffices(some: Sequence[str]) -> bool:
        return trials.succeeds([trials.least(some), *needed.values()])

    return () if not spare or suffices(()) else minimal(spare, suffices), needed


def _loosenings(trials: CommandRuns) -> dict[str, Tables] | None:
    """The loosenings without which the command fails, each leaf with the layer that loosens it; None where nothing helps."""
    opened = trials.opened()
    every = trials.record([opened])
    found = {} if every.succeeded else trials.search([opened])
    if found is None:
        return None
    needed = dict(found)
    if needed:
        every = trials.record([opened, *needed.values()])
    lessons = trials.lessons(Recording(frozenset({every.run})).evidence())
    asked = [(leaf, _only(lessons, leaf)) for leaf in layer.loosened(lessons)]
    candidates = [(leaf, tables) for leaf, tables in asked if trials.refusal([tables]) is None]
    known: dict[frozenset[str], bool] = {}

    def suffices(some: Sequence[tuple[str, Tables]]) -> bool:
        leaves = frozenset(leaf for leaf, _ in some)
        if leaves not in known and len(known) < MOST:
            known[leaves] = trials.succeeds([*found.values(), *(tables for _, tables in some)])
        return known.get(leaves, False)

    if candidates and not (found and suffices(())):
        needed |= minimal(candidates, suffices)
    return needed


def _only(lessons: Lessons, leaf: str) -> Tables:
    """The layer of what loosens one leaf."""
    chosen = {name: [one for one in said if one.loosens == leaf] for name, said in lessons.items()}
    return layer.tables({name: said for name, said in chosen.items() if said}, _TRIED)


def with_needed(lessons: Lessons, wanted: Mapping[str, Tables]) -> dict[str, list[Lesson]]:
    """The lessons, and what runs needed that no mechanism has learnt from what was seen."""
    found = {name: [*said] for name, said in lessons.items()}
    for leaf, tables in wanted.items():
        for name, table in tables.items():
            if name == "exceptions":
                continue
            said = found.setdefault(name, [])
            for key, value in toml.flat(table):
                items = value if isinstance(value, list) else [value]
                new = [Lesson(key, item, _WITHOUT, isinstance(value, list), leaf) for item in items]
                known = [(one.key, one.value) for one in said]
                said += [one for one in new if (one.key, one.value) not in known]
    return found
