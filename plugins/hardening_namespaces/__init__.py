"""Namespaces: what the command shares with the host, and what it has for itself.

Owns `[namespaces]`, and of the OCI spec ``/linux/namespaces``, the id maps, host and domain name, namespaced sysctls and
clock offsets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hardening.mechanism.host import Host
from hardening.mechanism.mechanism import (
    Context,
    ImageRequest,
    Implied,
    Mechanism,
    Option,
    Reading,
)
from hardening.mechanism.package import PackagedMechanism
from hardening.mechanism.schema import Leaf, Statement
from hardening.plugin.hookspecs import hookimpl
from hardening.profile.source import Node
from hardening_namespaces.settings import NamespacesSettings, read, spreads, sysctl_name

if TYPE_CHECKING:
    from hardening.mechanism.evidence import Evidence, LearntStatement


class Namespaces(PackagedMechanism[NamespacesSettings]):
    """The mechanism behind `[namespaces]`."""

    name = "namespaces"
    summary = "what is private to the command: process ids, mounts, network, users and more"
    owns = tuple(f"/linux/{name}" for name in ("namespaces", "uidMappings", "gidMappings", "timeOffsets"))

    def forms(self) -> Mapping[str, Any]:
        return {}

    def statements(self, table: Node, reading: Reading) -> Iterator[Statement]:
        return read(self.schema, table)

    def expand(self, name: str) -> Sequence[str]:
        """A kernel parameter by any of its names."""
        setting, _, member = name.partition(".")
        return (f"{setting}.{sysctl_name(member)}",) if setting == "sysctls" and member else (name,)

    def of_image(self, config: Mapping[str, Any]) -> tuple[Mapping[str, object], Sequence[ImageRequest]]:
        ports = config.get("ExposedPorts")
        if not isinstance(ports, dict) or not ports:
            return {}, ()
        shown = ", ".join(sorted(map(str, ports))[:8])
        hint = "-p web, or --network host, lets others reach it"
        return {}, [ImageRequest(f"it listens on {shown[:80]}, and its network is private", hint, ("namespaces.net",))]

    def implies(
        self, settings: NamespacesSettings, limits: Mapping[tuple[str, str], Any], host: Host
    ) -> Iterable[Implied]:
        limited = [member for setting, member in limits if setting == "sysctls"]
        for name, value in settings.sysctls.named.items():
            for other in limited if value else ():
                if spreads(name, other):
                    by, leaf = (Leaf(self.name, "sysctls", member) for member in (name, other))
                    yield Implied(by, leaf, value, "each interface gets its value", free=True)

    def learnt(self, settings: NamespacesSettings, context: Context, evidence: Evidence) -> Iterator[LearntStatement]:
        """A network of its own for who uses none. Names of sockets that stand in no file belong to a network, too."""
        from hardening.mechanism.evidence import LearntStatement  # no launch asks

        used = ("tcp ", "udp ", "inet", "packet", "netlink", "unix @")
        if settings.net == "host" and not any(use.call.address.startswith(used) for use in evidence.uses):
            yield LearntStatement(("net",), "private", "no run has used a network")

    def options(self) -> Sequence[Option]:
        return (
            Option(("--network", "--net"), "net", "Network namespace: private (or none), host, a path.", "WHERE"),
            Option(("--hostname",), "hostname", "Host name inside.", "NAME"),
        )


@hookimpl
def hardening_mechanisms() -> Sequence[Mechanism[Any]]:
    """Register the mechanism."""
    return (Namespaces(),)
