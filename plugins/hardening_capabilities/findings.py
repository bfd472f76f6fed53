"""What is worth saying about the capabilities of a composition."""

from __future__ import annotations

from collections.abc import Iterator

from hardening.mechanism.findings import Finding, FindingsOf, Severity
from hardening.mechanism.mechanism import Context
from hardening_capabilities.host import CapabilityFacts, available, has_own_user_namespace, shares_network
from hardening_capabilities.settings import CapabilitiesSettings
from hardening_capabilities.spec import granted
from hardening_capabilities.table import BY_NAME

_about = FindingsOf("capabilities")

#: The capabilities of which the user namespace is asked that owns the network (capabilities(7)), and what does instead.
INSTEAD = {
    "NET_ADMIN": "set the network up from the host",
    "NET_BIND_SERVICE": "bind a port from 1024, or have the host's net.ipv4.ip_unprivileged_port_start lowered",
    "NET_RAW": "for ping have the host's net.ipv4.ping_group_range widened",
}


def findings(settings: CapabilitiesSettings, context: Context) -> Iterator[Finding]:
    """Dangerous capabilities, those that the host cuts off, and a missing no_new_privileges."""
    own = has_own_user_namespace(context)
    for name in sorted(granted(settings, context)):
        capability = BY_NAME[name]
        if capability.risk:
            reach = "; the user namespace keeps it from what belongs to the host" if own else ""
            yield _about.finding(
                Severity.NOTE if own else Severity.WARNING,
                "dangerous",
                f"{name} is dangerous: {capability.risk}{reach}",
                name,
                hint=f"smaller: {capability.instead}",
            )
    if own and shares_network(context):
        yield from _without_effect(granted(settings, context))
    known = context.host.of(CapabilityFacts).known
    for name in sorted(settings.added & known - available(context)):
        yield _about.warning(
            "cut-by-host",
            f"{name} is allowed but not in the caller's bounding set: the command does not get it",
            name,
            hint="drop it from the profile, or give it to the caller",
        )
    if not settings.no_new_privileges:
        yield _about.warning(
            "new-privileges",
            "set-user-ID programs and file capabilities can give the command what its user does not have",
            "no_new_privileges",
            hint="write no_new_privileges = true in [capabilities], and start the command as the user that it needs",
        )


def _without_effect(names: frozenset[str]) -> Iterator[Finding]:
    """A network namespace heeds only capabilities over the user namespace that owns it (user_namespaces(7))."""
    for name in sorted(names & INSTEAD.keys()):
        yield _about.warning(
            "no-effect",
            f"{name} has no effect: the network is the host's, and the command has a user namespace of its own",
            name,
            hint=f"drop it from the profile, and {INSTEAD[name]}; or give the command a network of its own",
        )
