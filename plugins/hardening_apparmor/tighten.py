"""How a foreign configuration is made nowhere looser than the settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hardening.base.pointer import lookup
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Context, Violation
from hardening_apparmor.settings import STACK, UNCONFINED, ApparmorSettings
from hardening_apparmor.spec import LEAF, PROFILE


def tighten(
    settings: ApparmorSettings, document: Mapping[str, Any], context: Context, fragment: Fragment
) -> Iterator[Violation]:
    """Keep the profile that a configuration names, which confines it further, beside those of the settings."""
    asked = str(lookup(document, PROFILE) or "")
    if not settings.profile or context.lacks(LEAF):
        return
    if asked == UNCONFINED:
        yield Violation(PROFILE, asked, STACK.join(settings.profile), LEAF)
        asked = ""
    names = {*settings.profile, *(asked.split(STACK) if asked else ())}
    fragment.put(PROFILE, STACK.join(sorted(names)), LEAF)
