"""What came of what was asked: enforced, partly, or not at all."""

from __future__ import annotations

from collections.abc import Iterable

from hardening.compose import Composition
from hardening.mechanism import Shortfall
from hardening.values import frozen


@frozen
class Enforcement:
    """One mechanism on this host. ``state`` is ``enforced``, ``partly`` or ``not enforced``."""

    mechanism: str
    requirement: str
    state: str
    shortfalls: tuple[Shortfall, ...]


def remedy(shortfall: Shortfall, mechanism: str, *, fatal: bool) -> str:
    """What to do about a shortfall; a ``fatal`` one may be waived as well."""
    if not fatal or (shortfall.remedy and not shortfall.whole):
        return shortfall.remedy
    waived = f'set requirement = "best-effort" in [{mechanism}]'
    return f"{shortfall.remedy}, or {waived}" if shortfall.remedy else waived


def enforcement(composition: Composition, shortfalls: Iterable[Shortfall]) -> list[Enforcement]:
    """The state of every mechanism."""
    found = tuple(shortfalls)
    states = []
    for mechanism in composition.mechanisms:
        own = tuple(item for item in found if item.leaf.split(".")[0] == mechanism.name)
        state = "not enforced" if any(item.whole for item in own) else "partly" if own else "enforced"
        requirement = "required" if composition.required(mechanism.name) else "best-effort"
        states.append(Enforcement(mechanism.name, requirement, state, own))
    return states
