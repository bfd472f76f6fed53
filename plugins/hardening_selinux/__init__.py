"""The mechanism `selinux`: labels for the command and its file systems, and categories that keep containers apart.

Its table is ``[selinux]``. It contributes ``/process/selinuxLabel``, ``/linux/mountLabel``, and the lease of the pair of
categories that it reserves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hardening.mechanism.findings import Finding
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.host import Host
from hardening.mechanism.inputs import Inputs
from hardening.mechanism.mechanism import Context, Excess, Mechanism, Shortfall, Verification
from hardening.plugin.hookspecs import hookimpl
from hardening_selinux import spec
from hardening_selinux.host import SelinuxFacts, check, probe
from hardening_selinux.settings import SelinuxSettings

__all__ = ["Selinux", "SelinuxSettings"]


class Selinux(Mechanism[SelinuxSettings]):
    """Security contexts (selinux(8))."""

    name = "selinux"
    summary = "SELinux labels, and categories that keep containers apart"
    settings_type = SelinuxSettings
    before_launch = ("relabel",)
    owns = ("/process/selinuxLabel", "/linux/mountLabel")

    def probe(self, host: Host) -> SelinuxFacts:
        return probe()

    def inputs(self, settings: SelinuxSettings, context: Context) -> Inputs:
        return spec.inputs(settings, context)

    def check(self, settings: SelinuxSettings, context: Context) -> Iterable[Shortfall]:
        return check(settings, context)

    def contribute(self, settings: SelinuxSettings, context: Context, fragment: Fragment) -> None:
        spec.contribute(settings, context, fragment)

    def prepare(self, settings: SelinuxSettings, context: Context, document: Mapping[str, Any]) -> None:
        spec.prepare(settings, context, document)

    def tighten(
        self, settings: SelinuxSettings, document: Mapping[str, Any], context: Context, fragment: Fragment
    ) -> Iterable[Excess]:
        return spec.tighten(settings, document, context, fragment)

    def rules(self) -> Mapping[str, str]:
        from hardening_selinux.findings import RULES

        return RULES

    def findings(self, settings: SelinuxSettings, context: Context) -> Iterable[Finding]:
        from hardening_selinux import findings  # no quiet launch needs it

        return findings.findings(settings, context)

    def verify(self, settings: SelinuxSettings, context: Context, receipt: Mapping[str, Any]) -> Iterable[Verification]:
        from hardening_selinux import findings

        return findings.verify(settings, receipt, context.host.of(SelinuxFacts))


@hookimpl
def hardening_mechanisms() -> Sequence[Selinux]:
    """The mechanism of this plugin."""
    return (Selinux(),)
