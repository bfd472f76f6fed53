"""How a foreign configuration is made nowhere looser than the settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hardening.base.pointer import lookup
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Context, Violation
from hardening.mechanism.roles import CommandProcess
from hardening_capabilities.settings import CapabilitiesSettings, normal
from hardening_capabilities.spec import POINTER, SETS, sets_of


def tighten(
    settings: CapabilitiesSettings, document: Mapping[str, Any], context: Context, fragment: Fragment
) -> Iterator[Violation]:
    """Intersect every set with what the settings allow for the user as whom the tightened configuration runs."""
    command = context.of(CommandProcess)
    uid = command.tightened_uid(document, context) if command is not None else lookup(document, "/process/user/uid")
    root = not uid
    allowed = sets_of(settings.added, settings.kept, root)
    asked = {name: {item.upper() for item in lookup(document, f"{POINTER}/{name}") or ()} for name in SETS}
    kept = {name: sorted(asked[name] & set(allowed[name])) for name in SETS}
    for capability in sorted(set().union(*asked.values()) - set(allowed["bounding"])):
        holders = ", ".join(name for name in SETS if capability in asked[name])
        yield Violation(POINTER, f"{capability} ({holders})", "not allowed", f"capabilities.{normal(capability)}")
    for name in SETS[1:]:
        for capability in sorted(asked[name] & set(allowed["bounding"]) - set(allowed[name])):
            whom = "not for uid 0" if root else "for uid 0 alone"
            yield Violation(f"{POINTER}/{name}", capability, whom, f"capabilities.{normal(capability)}")
    fragment.put(POINTER, kept, "capabilities.*")
