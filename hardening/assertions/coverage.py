"""Which settings of a profile its assertions look at, and which of them could be loosened without one of them failing."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import attrs

from hardening.assemble.pipeline import examine
from hardening.assertions.operation import may_be_asserted
from hardening.assertions.trying import AssertionResult, AssertionState
from hardening.base.values import frozen
from hardening.compose.composition import Composition
from hardening.compose.fold import Resolved
from hardening.errors import HardeningError
from hardening.mechanism.host import Host
from hardening.mechanism.mechanism import Mechanism
from hardening.mechanism.schema import WILDCARD, Leaf
from hardening.profile.layers import is_path
from hardening.profile.source import Origin
from hardening.why import loosen
from hardening.why.attempt import Attempt, attempt

#: What each assertion comes to under a composition.
Outcomes: TypeAlias = Iterable[bool]


@frozen(eq=False)
class StatementCoverage:
    """One statement of a profile, at its ``origin``: the leaves that it decides, and those that an assertion looks at."""

    origin: str
    leaves: tuple[Leaf, ...]
    touched: tuple[Leaf, ...]


@frozen(eq=False)
class Mutants:
    """One leaf, with one part of its value a step looser after the other, in words: those that some assertion has
    ``noticed``, those that none has, and those that do not compose, with the reason."""

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
    """The leaves whose value a statement of these layers has decided, in the order of their names. That a layer is complete
    is none of a leaf."""
    whole = {str(layer.complete) for layer in composition.stack.layers}
    for _, entry in sorted(composition.leaves.items()):
        said = [step for step in entry.steps if step.origin == entry.origin]
        if said and said[-1].layer in layers and entry.origin not in whole:
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
    before = tuple(outcomes(composition))
    for entry in decided:
        mechanism = composition.mechanism(entry.leaf.mechanism)
        current = unlimited.composition.leaves.get(entry.leaf)  # none of a leaf that nothing but a limit names
        if mechanism is None or current is None:
            continue
        noticed, unnoticed, barred = list[str](), list[str](), list[str]()
        for value, after in loosen.steps(unlimited, mechanism, current):
            if not isinstance(after, Composition):
                barred += [f"{value}: {after}"] if entry.leaf.member != WILDCARD else []
            elif _differs(before, after, outcomes):
                noticed.append(value)
            elif _is_told(mechanism, entry.leaf, composition, after, tried.host):
                unnoticed.append(_new_of(current, after))
        if noticed or unnoticed or barred:
            yield Mutants(entry, tuple(noticed), tuple(unnoticed), tuple(barred))


def _is_told(mechanism: Mechanism[Any], leaf: Leaf, before: Composition, after: Composition, host: Host) -> bool:
    """Whether an assertion could tell two compositions apart: by the name of a leaf that is a table's own, which has to be
    one that can be asserted here, or by that of a path, of which the same is answered in another way. Of any other leaf
    nobody knows."""
    if not leaf.setting:
        return may_be_asserted(leaf.member)

    def answers(composition: Composition) -> list[tuple[str, bool]]:
        context = examine(composition, host)
        found = mechanism.of_path(composition.settings[mechanism.name], context, leaf.member)
        return [(answer.asked, bool(answer.denied)) for answer in found]

    return not leaf.member.startswith("/") or answers(before) != answers(after)


def _new_of(entry: Resolved, after: Composition) -> str:
    """What of a leaf's value is another one, in words: of lists what is new in them."""
    new = after.find(entry.leaf)
    changes = entry.kind.changes(entry.value, new.value) if new is not None else ()
    known = {word.strip() for word in entry.shown.split(",")}
    parts: list[str] = []
    for change in changes:
        words = [word for word in map(str.strip, change.after.split(",")) if word not in known]
        parts += [f"{change.after} if {change.what}"] if change.what else [",".join(words) or change.after]
    return " and ".join(parts)


def _differs(before: Sequence[bool], after: Composition, outcomes: Callable[[Composition], Outcomes]) -> bool:
    try:
        return any(was != now for was, now in zip(before, outcomes(after), strict=True))
    except HardeningError:  # what an assertion says makes no sense there any more
        return True
