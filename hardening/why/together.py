"""Several loosenings as one layer, so that what is tried is what is offered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hardening.compose.composition import Composition
from hardening.errors import HardeningError
from hardening.mechanism.mechanism import Context
from hardening.profile.layers import WHY
from hardening.why import loosen
from hardening.why.attempt import Attempt
from hardening.why.loosening import Loosening, merged


def composed(attempt: Attempt, loosenings: Sequence[Loosening]) -> Composition | HardeningError:
    """The composition with these as one more layer, or why that is refused."""
    return loosen.composed(attempt, merged(loosenings).tables, merged(loosenings).replaces)


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
