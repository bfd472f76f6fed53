"""What one composition permits beyond another, leaf by leaf, with what decided it and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from hardening.base.values import frozen
from hardening.compose.composition import Composition
from hardening.mechanism.schema import Leaf
from hardening.profile.layers import Exemption
from hardening.report.table import Table


@frozen
class Beyond:
    """One leaf that is looser than in the other composition, or cannot be compared with it. ``exception`` is what
    permitted it; None where no earlier layer of its own stack said anything stricter."""

    leaf: Leaf
    value: Any
    shown: str
    floor: str
    origin: str
    exception: Exemption | None


def beyond(composition: Composition, floor: Composition) -> Iterator[Beyond]:
    """Every leaf in which ``composition`` permits more than ``floor``, by name. Settings without an order are left out.

    Both were composed by the same mechanisms.
    """
    for mechanism in composition.mechanisms:
        names = [leaf for leaf in {**composition.leaves, **floor.leaves} if leaf.mechanism == mechanism.name]
        for leaf in sorted(names):
            kind = mechanism.schema.settings[leaf.setting].kind
            entry = composition.at(mechanism, leaf.setting, leaf.member)
            other = floor.at(mechanism, leaf.setting, leaf.member)
            if kind.unordered or kind.is_no_looser_than(entry.value, other.value):
                continue
            excepted = [step.exception for step in entry.steps if step.exception is not None]
            yield Beyond(leaf, entry.value, entry.shown, other.shown, entry.origin, excepted[-1] if excepted else None)


def table(items: Iterable[Beyond]) -> Table:
    """Leaves, one a line."""
    rows = tuple(
        (str(item.leaf), item.shown, item.floor, item.origin, item.exception.reason if item.exception else "")
        for item in items
    )
    return Table(("leaf", "value", "instead of", "decided by", "reason"), rows)
