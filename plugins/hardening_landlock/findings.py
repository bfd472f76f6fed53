"""What is worth saying about what Landlock is to deny."""

from __future__ import annotations

from collections.abc import Iterator

from hardening.mechanism.findings import Finding, FindingsOf
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import PRIVATE, Isolation
from hardening_landlock.settings import ANY, LandlockSettings

_about = FindingsOf("landlock")


def findings(settings: LandlockSettings, context: Context) -> Iterator[Finding]:
    """What passes by a limit on ports."""
    isolation = context.of(Isolation)
    if isolation is None or isolation.where("net") == PRIVATE:
        return
    for name in ("bind", "connect"):
        if getattr(settings, name) != (ANY,):
            yield _about.note(
                "tcp-only",
                f"{name} limits TCP alone: UDP and other protocols pass",
                name,
                hint='write net = "private" in [namespaces], or deny socket(2) for them in [seccomp]',
            )
