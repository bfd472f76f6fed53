"""Records of launches: what a bundle carries for them, and how they are read again from wherever they went.

`hardening.launch.record` writes them; docs/reference/records.md describes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from hardening.compose import Composition
from hardening.launch.record import EXCEPTIONS, MECHANISMS, PROFILES, STATES
from hardening.mechanism import Shortfall
from hardening.report.state import enforcement


def statements(composition: Composition, shortfalls: Iterable[Shortfall]) -> dict[str, str | None]:
    """What the launch stage must know of a composition to record it, as annotations of the bundle. None removes one."""
    # The command line's own layer has no digest: one over short values would betray them.
    profiles = [{"name": layer.name, "sha256": layer.document.digest or None} for layer in composition.stack.layers]
    exceptions = {
        (exception.setting, str(exception.origin)): {
            "setting": exception.setting,
            "reason": exception.reason,
            "ticket": exception.ticket or None,
            "expires": exception.expires.isoformat() if exception.expires else None,
            "origin": str(exception.origin),
        }
        for _, exception in composition.used_exceptions()
    }
    states: dict[str, list[str]] = {state: [] for state in STATES}
    for item in enforcement(composition, shortfalls):
        states[item.state.replace(" ", "_")].append(item.mechanism)
    return {
        PROFILES: _text(profiles),
        EXCEPTIONS: _text(list(exceptions.values())) if exceptions else None,
        MECHANISMS: _text(states),
    }


def _text(data: object) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))
