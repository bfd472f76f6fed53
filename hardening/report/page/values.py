"""Every value of a stack with what decided it, leaves of one family that were decided alike beside each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from hardening.base.values import frozen
from hardening.compose.composition import Composition
from hardening.compose.fold import EMPTY, HistoryStep, Resolved
from hardening.mechanism.mechanism import Mechanism
from hardening.mechanism.schema import Leaf


@frozen
class ValueStep:
    """What one layer says of a group."""

    layer: str
    said: str
    outcome: str
    place: str
    reason: str


@frozen(eq=False)
class ValueGroup:
    """Leaves of one ``family`` that have one value, one limit and one history."""

    family: str
    leaves: tuple[str, ...]
    meaning: str
    value: str
    limit: str
    limited_by: str
    decided_by: str
    steps: tuple[ValueStep, ...]
    stated: bool
    excepted: bool


@frozen(eq=False)
class ValueTable:
    """The groups of a mechanism."""

    mechanism: str
    summary: str
    required: bool
    groups: tuple[ValueGroup, ...]


def grouped(composition: Composition, in_short: Callable[[str], str]) -> Sequence[ValueTable]:
    """The leaves of each mechanism, those that a layer states first."""
    return [
        ValueTable(
            mechanism.name,
            mechanism.summary,
            composition.required(mechanism.name),
            tuple(_groups(composition, mechanism, in_short)),
        )
        for mechanism in composition.mechanisms
    ]


def _groups(
    composition: Composition, mechanism: Mechanism[object], in_short: Callable[[str], str]
) -> Iterator[ValueGroup]:
    alike: dict[tuple[object, ...], list[Resolved]] = {}
    for leaf, entry in sorted(composition.leaves.items()):
        if leaf.mechanism == mechanism.name:
            alike.setdefault(_likeness(leaf, entry, in_short), []).append(entry)
    for entries in sorted(alike.values(), key=lambda found: not found[0].stated):
        first = entries[0]
        yield ValueGroup(
            str(mechanism.leaf(first.leaf.setting)),
            tuple(str(entry.leaf) for entry in entries),
            mechanism.meaning(first.leaf) if len(entries) == 1 else mechanism.schema.settings[first.leaf.setting].help,
            first.shown or EMPTY,
            first.limit_shown,
            in_short(first.limit_origin),
            in_short(first.origin),
            tuple(_step(step, in_short) for step in first.steps),
            first.stated,
            first.exception is not None,
        )


def _likeness(leaf: Leaf, entry: Resolved, in_short: Callable[[str], str]) -> tuple[object, ...]:
    alone = "" if leaf.member else str(leaf)
    steps = tuple(_step(step, in_short) for step in entry.steps)
    return alone, leaf.setting, entry.shown, entry.limit_shown, entry.limit_origin, entry.origin, steps


def _step(step: HistoryStep, in_short: Callable[[str], str]) -> ValueStep:
    reason = f"{step.exception.reason} ({in_short(str(step.exception.origin))})" if step.exception is not None else ""
    return ValueStep(step.layer, step.said or EMPTY, str(step.outcome), in_short(step.origin), reason)
