"""How a foreign configuration is made nowhere looser than the settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hardening.base.pointer import lookup
from hardening.errors import SpecError
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Context, Violation
from hardening.mechanism.roles import CommandProcess
from hardening_capabilities.settings import CapabilitiesSettings, normal
from hardening_capabilities.spec import NO_NEW_PRIVILEGES, POINTER, SETS, sets_of


def tighten(
    settings: CapabilitiesSettings, document: Mapping[str, Any], context: Context, fragment: Fragment
) -> Iterator[Violation]:
    """Intersect every set with what the settings allow for the user as whom the tightened configuration runs."""
    command = context.of(CommandProcess)
    uid = command.tightened_uid(document, context) if command is not None else lookup(document, "/process/user/uid")
    root = not uid
    allowed = sets_of(settings.added, settings.kept, root)
    asked = {name: _names(document, name) for name in SETS}
    kept = {name: sorted(asked[name] & set(allowed[name])) for name in SETS}
    for capability in sorted(set().union(*asked.values()) - set(allowed["bounding"])):
        holders = ", ".join(name for name in SETS if capability in asked[name])
        yield Violation(POINTER, f"{capability} ({holders})", "not allowed", f"capabilities.{normal(capability)}")
    for name in SETS[1:]:
        for capability in sorted(asked[name] & set(allowed["bounding"]) - set(allowed[name])):
            whom = "not for uid 0" if root else "for uid 0 alone"
            yield Violation(f"{POINTER}/{name}", capability, whom, f"capabilities.{normal(capability)}")
    fragment.put(POINTER, kept, "capabilities.*")
    asked_flag = lookup(document, NO_NEW_PRIVILEGES)
    if settings.no_new_privileges and asked_flag is False:
        yield Violation(NO_NEW_PRIVILEGES, "false", "true", "capabilities.no_new_privileges")
    fragment.put(NO_NEW_PRIVILEGES, settings.no_new_privileges or asked_flag is True, "capabilities.no_new_privileges")


def _names(document: Mapping[str, Any], name: str) -> set[str]:
    pointer = f"{POINTER}/{name}"
    raw = lookup(document, pointer)
    if raw is None:
        return set()
    if not isinstance(raw, list) or not all(isinstance(item, str) for item in raw):
        raise SpecError("an array of capability names is expected", origin=pointer)
    return {item.upper() for item in raw}
