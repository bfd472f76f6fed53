"""Namespaces: what the command shares with the host, and what it has for itself.

Owns `[namespaces]`, and of the OCI spec ``/linux/namespaces``, the id maps, host and domain name, namespaced sysctls and
clock offsets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hardening.mechanism.findings import Finding
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.host import Host
from hardening.mechanism.inputs import Inputs
from hardening.mechanism.mechanism import (
    Context,
    Excess,
    IdRanges,
    Implied,
    Mechanism,
    Option,
    Reading,
    Shortfall,
    Verification,
    Wish,
)
from hardening.mechanism.schema import Leaf, Say
from hardening.plugin.hookspecs import hookimpl
from hardening.profile.source import Node
from hardening_namespaces import facts, idmaps, spec
from hardening_namespaces.host import check
from hardening_namespaces.settings import NamespacesSettings, read, spreads, sysctl_name


class Namespaces(Mechanism[NamespacesSettings]):
    """The mechanism behind `[namespaces]`."""

    name = "namespaces"
    summary = "what is private to the command: process ids, mounts, network, users and more"
    settings_type = NamespacesSettings
    owns = tuple(f"/linux/{name}" for name in ("namespaces", "uidMappings", "gidMappings", "timeOffsets"))

    def says(self, table: Node, reading: Reading) -> Iterator[Say]:
        return read(self.schema, table)

    def expand(self, name: str) -> Sequence[str]:
        """A kernel parameter by any of its names."""
        setting, _, member = name.partition(".")
        return (f"{setting}.{sysctl_name(member)}",) if setting == "sysctls" and member else (name,)

    def of_image(self, config: Mapping[str, Any]) -> tuple[Mapping[str, object], Sequence[Wish]]:
        ports = config.get("ExposedPorts")
        if not isinstance(ports, dict) or not ports:
            return {}, ()
        shown = ", ".join(sorted(map(str, ports))[:8])
        hint = "-p web, or --network host, lets others reach it"
        return {}, [Wish(f"it listens on {shown[:80]}, and its network is private", hint, ("namespaces.net",))]

    def implies(
        self, settings: NamespacesSettings, limits: Mapping[tuple[str, str], Any], host: Host
    ) -> Iterable[Implied]:
        limited = [member for setting, member in limits if setting == "sysctls"]
        for name, value in settings.sysctls.named.items():
            for other in limited if value else ():
                if spreads(name, other):
                    by, leaf = (Leaf(self.name, "sysctls", member) for member in (name, other))
                    yield Implied(by, leaf, value, "each interface gets its value", free=True)

    def id_maps(self, settings: NamespacesSettings, host: Host) -> IdRanges | None:
        maps = idmaps.resolve(settings, host)
        if maps is None:
            return None
        uids, gids = ([(item.inside, item.outside, item.size) for item in side] for side in (maps.uids, maps.gids))
        return uids, gids

    def options(self) -> Sequence[Option]:
        return (
            Option(("--network", "--net"), "net", "Network namespace: private (or none), host, a path.", "WHERE"),
            Option(("--hostname",), "hostname", "Host name inside.", "NAME"),
        )

    def probe(self, host: Host) -> facts.NamespaceFacts:
        return facts.probe(host)

    def inputs(self, settings: NamespacesSettings, context: Context) -> Inputs:
        return facts.inputs(settings, context.host)

    def check(self, settings: NamespacesSettings, context: Context) -> Iterable[Shortfall]:
        return check(settings, context)

    def contribute(self, settings: NamespacesSettings, context: Context, fragment: Fragment) -> None:
        spec.contribute(settings, context, fragment)

    def tighten(
        self, settings: NamespacesSettings, document: Mapping[str, Any], context: Context, fragment: Fragment
    ) -> Iterable[Excess]:
        from hardening_namespaces import tighten  # no launch of a composition needs it

        return tighten.tighten(settings, document, context, fragment)

    def rules(self) -> Mapping[str, str]:
        from hardening_namespaces.findings import RULES

        return RULES

    def findings(self, settings: NamespacesSettings, context: Context) -> Iterable[Finding]:
        from hardening_namespaces import findings  # no quiet launch needs it

        return findings.findings(settings, context)

    def verify(
        self, settings: NamespacesSettings, context: Context, receipt: Mapping[str, Any]
    ) -> Iterable[Verification]:
        from hardening_namespaces import verify

        return verify.verify(settings, context, receipt)


@hookimpl
def hardening_mechanisms() -> Sequence[Mechanism[Any]]:
    """Register the mechanism."""
    return (Namespaces(),)
