"""What the kernel says of the profiles of a process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hardening.mechanism.mechanism import Context, Verification
from hardening_apparmor.host import ENFORCING
from hardening_apparmor.settings import STACK, ApparmorSettings
from hardening_apparmor.spec import LEAF


def verify(settings: ApparmorSettings, context: Context, receipt: Mapping[str, Any]) -> Iterator[Verification]:
    """Hold the label of the command (``/proc/PID/attr/apparmor/current``) against the settings: ``a//&b (enforce)``."""
    label = str(receipt["apparmor"] or "")
    names, _, mode = label.partition(" (")
    holds = {*names.split(STACK)} >= {*settings.profile} and (not settings.profile or mode.rstrip(")") in ENFORCING)
    yield Verification.of(LEAF, STACK.join(settings.profile) or "any", label or "none", holds)
