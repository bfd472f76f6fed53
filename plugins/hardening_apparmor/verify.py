"""What the kernel says of the profiles of a process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hardening.mechanism.mechanism import Context, Verification
from hardening_apparmor.host import read_label
from hardening_apparmor.settings import STACK, ApparmorSettings
from hardening_apparmor.spec import LEAF


def verify(settings: ApparmorSettings, context: Context, receipt: Mapping[str, Any]) -> Iterator[Verification]:
    """Hold the label of the command against the settings."""
    label = str(receipt["apparmor"] or "")
    names, enforcing = read_label(label)
    holds = {*names.split(STACK)} >= {*settings.profile} and (not settings.profile or enforcing)
    yield Verification.of(LEAF, STACK.join(settings.profile) or "any", label or "none", holds)
