"""The field of the OCI configuration: ``process.apparmorProfile`` (runtime-spec, config.md)."""

from __future__ import annotations

from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Context
from hardening_apparmor.settings import STACK, ApparmorSettings

PROFILE = "/process/apparmorProfile"
LEAF = "apparmor.profile"


def contribute(settings: ApparmorSettings, context: Context, fragment: Fragment) -> None:
    """Name the profiles; none where AppArmor is not active, or the runtime sets none."""
    if settings.profile and not context.lacks(LEAF):
        fragment.put(PROFILE, STACK.join(settings.profile), LEAF)
