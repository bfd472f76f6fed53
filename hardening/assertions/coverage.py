"""Which settings of a profile its assertions look at, and which of them could be loosened without one of them failing."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import attrs

from hardening.assemble.pipeline import examine
from hardening.assertions.trying import AssertionResult, AssertionState
from hardening.base.values import frozen
from hardening.compose.composition import Composition
from hardening.compose.fold import Resolved
from hardening.errors import HardeningError
from hardening.mechanism.host import Host
from hardening.mechanism.mechanism import Mechanism
from hardening.mechanism.schema import Leaf
from hardening.profile.layers import is_path
from hardening.profile.source import Origin
from hardening.why import loosen
from hardening.why.attempt import Attempt, attempt

#: What each assertion comes to under a composition.
Outcomes: TypeAlias = Sequence[bool]


@frozen(eq=False)
class StatementCoverage:
    """One statement of a profile, at its ``origin``: the leaves that it decides, and those that an assertion looks at."""

    origin: str
    leaves: tuple[Leaf, ...]
    touched: tuple[Leaf, ...]


@frozen(eq=False)
class Mutants:
    """One leaf, with one part of its value a step looser after the other, in words: those that some assertion has
    ``noticed``, those that none has, and those that do not count, with the reason: they do not compose, or no operation
    tells them apart."""

    entry: Resolved
    noticed: tuple[str, ...]
    unnoticed: tuple[str, ...]
    barred: tuple[str, ...]

    @property
    def result(self) -> AssertionResult:
        """As what came of an assertion at the line that has decided the leaf."""
        state, why = AssertionState.PASSED, ""
        if self.unnoticed:
            tried = len(self.noticed) + len(self.unnoticed)
            state, why = AssertionState.FAILED, f"nothing notices {'; '.join(self.unnoticed)}"
            why += f" ({len(self.noticed)} of {tried} are noticed)" if self.noticed else ""
        elif not self.noticed:
            state, why = AssertionState.SKIPPED, next(iter(self.barred), "")
        place = Origin(self.entry.steps[-1].layer, self.entry.origin)
        return AssertionResult(f"loosened {self.entry.leaf} ({self.entry.shown})", state, why, place)


def own_layers(composition: Composition) -> frozenset[str]:
    """The names of the layers that were asked for, and did not come by what these extend."""
    files = {os.path.realpath(name) for name in composition.stack.named if is_path(name)}
    found = (
        layer.name
        for layer in composition.stack.layers
        if layer.name in composition.stack.named or os.path.realpath(layer.place) in files
    )
    return frozenset(found)


def decided(composition: Composition, layers: Collection[str]) -> Iterator[Resolved]:
    """The leaves whose value a statement of these layers has decided, in the order of their names."""
    for _, entry in sorted(composition.leaves.items()):
        said = [step for step in entry.steps if step.origin == entry.origin]
        if said and said[-1].layer in layers:
            yield entry


def coverage(
    composition: Composition, decided: Iterable[Resolved], touched: Collection[str]
) -> list[StatementCoverage]:
    """The statements that have ``decided`` leaves, by their places, with what assertions have ``touched``, full names of
    leaves."""
    seen = {entry.leaf for name in touched for entry in composition.meant(name)}
    found: dict[str, list[Leaf]] = {}
    for entry in decided:
        found.setdefault(entry.origin, []).append(entry.leaf)
    return [
        StatementCoverage(origin, tuple(leaves), tuple(leaf for leaf in leaves if leaf in seen))
        for origin, leaves in found.items()
    ]


def mutants(
    tried: Attempt, decided: Iterable[Resolved], outcomes: Callable[[Composition], Outcomes]
) -> Iterator[Mutants]:
    """Each of the ``decided`` leaves that can be loosened, with each part of its value loosened by a step, as if nothing
    limited it: nothing of it is ever run."""
    composition = tried.composition
    free = attrs.evolve(
        composition.stack, layers=tuple(attrs.evolve(layer, limits={}) for layer in composition.stack.layers)
    )
    unlimited = attempt(free, composition.mechanisms, tried.host, tried.today)
    before = outcomes(composition)
    for entry in decided:
        mechanism = composition.mechanism(entry.leaf.mechanism)
        current = unlimited.composition.find(entry.leaf)
        if mechanism is None or current is None:
            continue
        noticed, unnoticed, barred = list[str](), list[str](), list[str]()
        for value, after in loosen.steps(unlimited, mechanism, current):
            shown = _new_of(value, current.shown)
            if not isinstance(after, Composition):
                barred.append(f"{shown}: {after}")
            elif _differs(before, after, outcomes):
                noticed.append(shown)
            elif _is_told(mechanism, entry.leaf, composition, after, tried.host):
                unnoticed.append(shown)
            else:
                barred.append(f"{shown}: no operation tells it")
        if noticed or unnoticed or barred:
            yield Mutants(entry, tuple(noticed), tuple(unnoticed), tuple(barred))


def _is_told(mechanism: Mechanism[Any], leaf: Leaf, before: Composition, after: Composition, host: Host) -> bool:
    """Whether an assertion could tell two compositions apart by a leaf of a path: what is asked of that is answered in
    another way. Of any other leaf nobody knows."""

    def answers(composition: Composition) -> list[tuple[str, bool]]:
        context = examine(composition, host)
        found = mechanism.of_path(composition.settings[mechanism.name], context, leaf.member)
        return [(answer.asked, bool(answer.denied)) for answer in found]

    return not leaf.member.startswith("/") or answers(before) != answers(after)


def _new_of(shown: str, before: str) -> str:
    """What of a value's text is not in that of another one, as far as both are lists."""
    words, known = shown.split(","), {word.strip() for word in before.split(",")}
    return ",".join(word.strip() for word in words if word.strip() not in known) or shown


def _differs(before: Outcomes, after: Composition, outcomes: Callable[[Composition], Outcomes]) -> bool:
    try:
        return list(outcomes(after)) != list(before)
    except HardeningError:  # what an assertion says makes no sense there any more
        return True
