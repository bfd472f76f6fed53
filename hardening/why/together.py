"""Several loosenings as one layer, so that what is tried is what is offered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from hardening.assemble.pipeline import examine, of_settings
from hardening.compose.composition import Composition
from hardening.errors import HardeningError
from hardening.mechanism.findings import Finding, Severity
from hardening.mechanism.mechanism import Context
from hardening.plugin.plugins import Plugins
from hardening.profile.exemption import WHY
from hardening.why import loosen
from hardening.why.attempt import Attempt
from hardening.why.loosening import Loosening, merged


def composed(attempt: Attempt, loosenings: Sequence[Loosening]) -> Composition | HardeningError:
    """The composition with these as one more layer, or why that is refused."""
    return loosen.composed(attempt, merged(loosenings).tables, merged(loosenings).replaces)


def warnings(attempt: Attempt, loosening: Loosening, plugins: Plugins) -> tuple[Finding, ...]:
    """What plugins warn of with a loosening, and without it do not."""
    after = composed(attempt, [loosening])
    if not isinstance(after, Composition):
        return ()
    known = {(item.rule, item.leaf, item.message) for item in _warnings(attempt, attempt.composition, plugins)}
    return tuple(
        item for item in _warnings(attempt, after, plugins) if (item.rule, item.leaf, item.message) not in known
    )


def _warnings(attempt: Attempt, composition: Composition, plugins: Plugins) -> Iterator[Finding]:
    for item in of_settings(plugins, composition, examine(composition, attempt.host)):
        if item.severity is not Severity.NOTE:
            yield item


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
