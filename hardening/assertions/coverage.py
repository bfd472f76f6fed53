"""Which settings of a profile its assertions look at, and which of them could be loosened without one of them failing."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TypeAlias

import attrs

from hardening.base.values import frozen
from hardening.compose.composition import Composition
from hardening.compose.fold import Resolved
from hardening.errors import HardeningError
from hardening.mechanism.schema import Leaf
from hardening.profile.layers import is_path
from hardening.why import loosen, together
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
class Mutant:
    """One leaf, as it would be with the smallest loosening, and whether some assertion ``noticed`` that; ``barrier`` says
    why nothing looser was tried."""

    entry: Resolved
    loosened: str
    noticed: bool
    barrier: str = ""


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


def coverage(composition: Composition, layers: Collection[str], touched: Collection[str]) -> list[StatementCoverage]:
    """The statements of layers, by their places, with what assertions have ``touched``, full names of leaves."""
    seen = {entry.leaf for name in touched for entry in composition.meant(name)}
    found: dict[str, list[Leaf]] = {}
    for entry in decided(composition, layers):
        found.setdefault(entry.origin, []).append(entry.leaf)
    return [
        StatementCoverage(origin, tuple(leaves), tuple(leaf for leaf in leaves if leaf in seen))
        for origin, leaves in found.items()
    ]


def mutants(tried: Attempt, layers: Collection[str], outcomes: Callable[[Composition], Outcomes]) -> Iterator[Mutant]:
    """Each leaf that layers decide, loosened by its smallest step, as if nothing limited it: nothing of it is ever run."""
    composition = tried.composition
    free = attrs.evolve(
        composition.stack, layers=tuple(attrs.evolve(layer, limits={}) for layer in composition.stack.layers)
    )
    unlimited = attempt(free, composition.mechanisms, tried.host, tried.today)
    before = outcomes(composition)
    for entry in decided(composition, layers):
        mechanism = composition.mechanism(entry.leaf.mechanism)
        current = unlimited.composition.find(entry.leaf)
        if mechanism is None or current is None:
            continue
        way = loosen.smallest(unlimited, mechanism, current)
        if way is None:
            continue
        after = together.composed(unlimited, [way]) if not way.barrier else None
        if isinstance(after, Composition):
            yield Mutant(entry, way.shown, _differs(before, after, outcomes))
        else:
            reason = after.message if isinstance(after, HardeningError) else way.barrier
            yield Mutant(entry, way.shown, noticed=False, barrier=reason)


def _differs(before: Outcomes, after: Composition, outcomes: Callable[[Composition], Outcomes]) -> bool:
    try:
        return list(outcomes(after)) != list(before)
    except HardeningError:  # what an assertion says makes no sense there any more
        return True
