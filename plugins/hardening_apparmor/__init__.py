"""The mechanism `apparmor`: the profiles of the host's AppArmor that confine the command.

Its table is ``[apparmor]``. It contributes ``/process/apparmorProfile``.
"""

from __future__ import annotations

from collections.abc import Sequence

from hardening.mechanism.package import PackagedMechanism
from hardening.plugin.hookspecs import hookimpl
from hardening_apparmor.settings import ApparmorSettings

__all__ = ["Apparmor", "ApparmorSettings"]


class Apparmor(PackagedMechanism[ApparmorSettings]):
    """Profiles that are loaded into the kernel (apparmor(7))."""

    name = "apparmor"
    summary = "AppArmor profiles of the host that confine the command"
    settings_type = ApparmorSettings
    owns = ("/process/apparmorProfile",)


@hookimpl
def hardening_mechanisms() -> Sequence[Apparmor]:
    """The mechanism of this plugin."""
    return (Apparmor(),)
