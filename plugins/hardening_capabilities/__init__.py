"""The mechanism `capabilities`: which parts of root's power the command keeps, and that it gains none later.

Its table is ``[capabilities]``; its leaves are ``capabilities.<NAME>`` and ``capabilities.no_new_privileges``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hardening.mechanism.findings import Finding
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.host import Host
from hardening.mechanism.inputs import Inputs
from hardening.mechanism.mechanism import Context, Excess, Mechanism, Option, Reading, Shortfall, Verification
from hardening.mechanism.schema import REST, Leaf, Say
from hardening.plugin.hookspecs import hookimpl
from hardening.profile.source import Node
from hardening_capabilities import settings as grammar
from hardening_capabilities import spec
from hardening_capabilities.host import CapabilityFacts, check, inputs, probe
from hardening_capabilities.settings import CapabilitiesSettings
from hardening_capabilities.table import BY_NAME

__all__ = ["Capabilities", "CapabilitiesSettings"]


class Capabilities(Mechanism[CapabilitiesSettings]):
    """Capability sets and no_new_privs (capabilities(7), PR_SET_NO_NEW_PRIVS(2const))."""

    name = "capabilities"
    summary = "which capabilities the command has, and that it gains no privileges"
    settings_type = CapabilitiesSettings

    def says(self, table: Node, reading: Reading) -> Iterator[Say]:
        return grammar.read(table)

    def limits(self, table: Node, reading: Reading) -> Iterator[Say]:
        return grammar.read_limits(table)

    def expand(self, name: str) -> Sequence[str]:
        """``NET_RAW`` in any spelling; ``*`` or ``ALL`` for every capability at once."""
        if name in self.schema.settings:
            return (name,)
        short = grammar.normal(name)
        if short == REST:
            return (REST, *BY_NAME)
        return (short,) if short in BY_NAME else ()

    def meaning(self, leaf: Leaf) -> str:
        """That of the capability itself."""
        capability = BY_NAME.get(leaf.member)
        if capability is None:
            return super().meaning(leaf)
        danger = f" Dangerous: {capability.risk}. Smaller: {capability.instead}." if capability.risk else ""
        whom = " `root` gives it to uid 0, `add` to any user."
        return f"{capability.meaning[0].upper()}{capability.meaning[1:]}.{danger}{whom}"

    def dump(self, values: Mapping[tuple[str, str], Any]) -> dict[str, object]:
        return grammar.dump(values)

    def options(self) -> Sequence[Option]:
        return (
            Option(("--cap-add",), "add", "Give a capability, or ALL.", metavar="NAME", multiple=True),
            Option(("--cap-drop",), "drop", "Take a capability away, or ALL.", metavar="NAME", multiple=True),
        )

    def probe(self, host: Host) -> CapabilityFacts:
        return probe()

    def inputs(self, settings: CapabilitiesSettings, context: Context) -> Inputs:
        return inputs()

    def check(self, settings: CapabilitiesSettings, context: Context) -> Iterable[Shortfall]:
        return check(settings, context)

    def contribute(self, settings: CapabilitiesSettings, context: Context, fragment: Fragment) -> None:
        spec.contribute(settings, context, fragment)

    def tighten(
        self, settings: CapabilitiesSettings, document: Mapping[str, Any], context: Context, fragment: Fragment
    ) -> Iterable[Excess]:
        return spec.tighten(settings, document, context, fragment)

    def rules(self) -> Mapping[str, str]:
        from hardening_capabilities.findings import RULES

        return RULES

    def findings(self, settings: CapabilitiesSettings, context: Context) -> Iterable[Finding]:
        from hardening_capabilities import findings  # no quiet launch needs it

        return findings.findings(settings, context)

    def verify(
        self, settings: CapabilitiesSettings, context: Context, receipt: Mapping[str, Any]
    ) -> Iterable[Verification]:
        from hardening_capabilities import findings

        return findings.verify(settings, receipt)


@hookimpl
def hardening_mechanisms() -> Sequence[Capabilities]:
    """The mechanism of this plugin."""
    return (Capabilities(),)
