"""Several loosenings as one layer, so that what is tried is what is offered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hardening.compose.composition import Composition
from hardening.errors import HardeningError
from hardening.mechanism.mechanism import Context
from hardening.profile.layers import WHY
from hardening.why import loosen
from hardening.why.attempt import Attempt
from hardening.why.loosen import Loosening


def composed(attempt: Attempt, loosenings: Sequence[Loosening]) -> Composition | HardeningError:
    """The composition with these as one more layer, or why that is refused."""
    return loosen.composed(attempt, _tables(loosenings), _replaced(loosenings))


def opened(composition: Composition, context: Context) -> dict[str, Any]:
    """A layer that permits, within the limits, all that mechanisms deny and that can be watched: one run under it shows
    everything that a command asks for."""
    found: dict[str, Any] = {}
    for mechanism in composition.mechanisms:
        table, names = mechanism.recording(composition.settings[mechanism.name], context)
        if table:
            found[mechanism.name] = table
            exceptions = [{"setting": f"{mechanism.name}.{name}", "reason": WHY} for name in names]
            found.setdefault("exceptions", []).extend(exceptions)
    return found


def one(loosenings: Sequence[Loosening]) -> Loosening:
    """These as one: a layer to paste, and options."""
    options: list[str] = []
    for loosening in loosenings:
        for pair in zip(loosening.options[::2], loosening.options[1::2], strict=True):
            if pair not in zip(options[::2], options[1::2], strict=True):
                options += pair
    return Loosening(tables=_tables(loosenings), options=tuple(options), replaces=_replaced(loosenings))


def _replaced(loosenings: Sequence[Loosening]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(place for loosening in loosenings for place in loosening.replaces))


def _tables(loosenings: Sequence[Loosening]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for loosening in loosenings:
        _merge(found, loosening.tables)
    return found


def _merge(into: dict[str, Any], table: Mapping[str, Any]) -> None:
    for name, value in table.items():
        known = into.get(name)
        if isinstance(value, Mapping) and isinstance(known, dict | None):
            _merge(into.setdefault(name, {}), value)
        elif isinstance(known, list) and isinstance(value, list):
            into[name] = [*known, *(item for item in value if item not in known)]
        else:
            into[name] = value
