"""What is worth saying about the capabilities of a composition, and whether the kernel agrees with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hardening.errors import SpecError
from hardening.mechanism.findings import Finding, Severity
from hardening.mechanism.mechanism import Context, Verification
from hardening_capabilities.host import CapabilityFacts, available, has_own_user_namespace, shares_network
from hardening_capabilities.settings import CapabilitiesSettings, normal
from hardening_capabilities.spec import granted, sets_of
from hardening_capabilities.table import ALL, BY_NAME, mask_names

#: What each rule finds (`hardening.mechanism.mechanism.Mechanism.rules`).
RULES = {
    "cut-by-host": "A capability that the caller has not got to give",
    "dangerous": "A capability that can lead to all of root's power",
    "new-privileges": "Programs that can give the command what its user does not have",
    "no-effect": "A capability without effect",
}

_FIELDS = {
    "bounding": "CapBnd",
    "permitted": "CapPrm",
    "effective": "CapEff",
    "inheritable": "CapInh",
    "ambient": "CapAmb",
}
#: What is asked of the user namespace that owns the network namespace (capabilities(7)).
_NETWORK = frozenset({"NET_ADMIN", "NET_BIND_SERVICE", "NET_RAW"})
_INSTEAD = {
    "NET_BIND_SERVICE": "drop it from the profile, and bind a port from 1024, or have the host's "
    "net.ipv4.ip_unprivileged_port_start lowered",
    "NET_RAW": "drop it from the profile, and for ping have the host's net.ipv4.ping_group_range widened",
}


def findings(settings: CapabilitiesSettings, context: Context) -> Iterator[Finding]:
    """Dangerous capabilities, those that the host cuts off, and a missing no_new_privileges."""
    own = has_own_user_namespace(context)
    for name in sorted(granted(settings, context)):
        capability = BY_NAME[name]
        if capability.risk:
            reach = "; the user namespace keeps it from what belongs to the host" if own else ""
            yield Finding(
                "capabilities/dangerous",
                Severity.NOTE if own else Severity.WARNING,
                f"{name} is dangerous: {capability.risk}{reach}",
                leaf=f"capabilities.{name}",
                hint=f"smaller: {capability.instead}",
            )
    if own and shares_network(context):
        yield from _without_effect(granted(settings, context))
    known = context.host.of(CapabilityFacts).known
    for name in sorted(settings.added & known - available(context)):
        yield Finding(
            "capabilities/cut-by-host",
            Severity.WARNING,
            f"{name} is allowed but not in the caller's bounding set: the command does not get it",
            leaf=f"capabilities.{name}",
            hint="drop it from the profile, or give it to the caller",
        )
    if not settings.no_new_privileges:
        yield Finding(
            "capabilities/new-privileges",
            Severity.WARNING,
            "set-user-ID programs and file capabilities can give the command what its user does not have",
            leaf="capabilities.no_new_privileges",
            hint="write no_new_privileges = true in [capabilities], and start the command as the user that it needs",
        )


def _without_effect(names: frozenset[str]) -> Iterator[Finding]:
    """A network namespace heeds only capabilities over the user namespace that owns it (user_namespaces(7))."""
    for name in sorted(names & _NETWORK):
        yield Finding(
            "capabilities/no-effect",
            Severity.WARNING,
            f"{name} has no effect: the network is the host's, and the command has a user namespace of its own",
            leaf=f"capabilities.{name}",
            hint=_INSTEAD.get(name, "drop it from the profile, or give the command a network of its own"),
        )


def verify(settings: CapabilitiesSettings, receipt: Mapping[str, Any]) -> Iterator[Verification]:
    """Hold the five sets and NoNewPrivs of proc_pid_status(5) against the settings.

    In a user namespace of its own the process must have all of what was composed; in the caller's, where the host's
    bounding set cuts, only no more than that.
    """
    status: Mapping[str, str] = receipt["status"]
    kernel = {name: _mask(status, field) for name, field in _FIELDS.items()}
    expected = _mask_of(settings.added) & kernel["bounding"]
    if receipt["namespaces"].get("user") != receipt["caller_namespaces"].get("user"):
        for name in sorted(settings.added - mask_names(expected)):
            yield Verification.of(f"capabilities.{name}", "added", "missing", holds=False)
    wanted_sets = sets_of(mask_names(expected), settings.kept, root=_inner_uid(receipt) == 0)
    for name, field in _FIELDS.items():
        wanted = _mask_of(frozenset(map(normal, wanted_sets[name])))
        found = kernel[name]
        yield Verification.of(
            "capabilities.*", f"{field}: {_show(wanted)}", f"{field}: {_show(found)}", found == wanted
        )
    flag = status["NoNewPrivs"].strip()
    wanted_flag = "1" if settings.no_new_privileges else "0"
    yield Verification.of(
        "capabilities.no_new_privileges", f"NoNewPrivs: {wanted_flag}", f"NoNewPrivs: {flag}", flag == wanted_flag
    )


def _mask(status: Mapping[str, str], field: str) -> int:
    try:
        return int(status[field], 16)
    except (KeyError, ValueError):
        raise SpecError(f"the receipt has no capability set {field}") from None


def _mask_of(names: frozenset[str]) -> int:
    return sum(1 << capability.number for capability in ALL if capability.name in names)


def _show(mask: int) -> str:
    """A set as names; bits that are newer than the table as numbers."""
    names = {capability.number: capability.name for capability in ALL}
    return " ".join(names.get(bit, str(bit)) for bit in range(mask.bit_length()) if mask >> bit & 1) or "none"


def _inner_uid(receipt: Mapping[str, Any]) -> int | None:
    """The effective uid as the process's own user namespace sees it, or None where it is not mapped
    (user_namespaces(7), uid_map)."""
    effective = int(receipt["status"]["Uid"].split()[1])
    for line in receipt["uid_map"].splitlines():
        inside, outside, count = (int(part) for part in line.split())
        if outside <= effective < outside + count:
            return inside + effective - outside
    return None
