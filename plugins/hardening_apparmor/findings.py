"""What is worth saying about the profiles."""

from __future__ import annotations

from collections.abc import Iterator

from hardening.mechanism.findings import Finding, FindingsOf
from hardening.mechanism.mechanism import Context
from hardening_apparmor.host import ApparmorFacts
from hardening_apparmor.settings import STACK, ApparmorSettings

_about = FindingsOf("apparmor")


def findings(settings: ApparmorSettings, context: Context) -> Iterator[Finding]:
    """What only root sees."""
    facts = context.host.of(ApparmorFacts)
    if settings.profile and not facts.inactive and facts.loaded is None:
        yield _about.note(
            "not-looked-at",
            f"whether {STACK.join(settings.profile)} is loaded and enforced only root sees",
            "profile",
            hint="have an administrator run aa-status",
        )
