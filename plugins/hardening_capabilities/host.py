"""What this kernel and caller have of capabilities, and what is missing for the settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hardening.base.values import frozen
from hardening.errors import HostError
from hardening.mechanism.host import Host
from hardening.mechanism.inputs import Input, kernel, lines
from hardening.mechanism.mechanism import Context, Unsupported
from hardening.mechanism.roles import HOST, Isolation
from hardening_capabilities.settings import CapabilitiesSettings
from hardening_capabilities.table import ALL, BY_NAME, mask_names


@frozen
class CapabilityFacts:
    """``last`` is the highest capability number of the kernel; ``bounding`` and ``effective`` are the caller's sets."""

    last: int
    bounding: frozenset[str]
    effective: frozenset[str]

    @property
    def known(self) -> frozenset[str]:
        """The capabilities of this kernel that have a name."""
        return frozenset(capability.name for capability in ALL if capability.number <= self.last)


def probe(host: Host, proc: Path = Path("/proc")) -> CapabilityFacts:
    """Ask procfs (proc_pid_status(5), proc_sys_kernel(5)). Raises `HostError` where procfs is not mounted."""
    try:
        last = int((proc / "sys/kernel/cap_last_cap").read_text())
        lines = (proc / "self/status").read_text().splitlines()
    except OSError as error:
        raise HostError(
            f"cannot read what the kernel knows of capabilities: {error.strerror}",
            origin=error.filename,
            hint="mount procfs on /proc",
        ) from None
    fields = dict(line.split(":", 1) for line in lines)
    return CapabilityFacts(last, mask_names(int(fields["CapBnd"], 16)), mask_names(int(fields["CapEff"], 16)))


def inputs(settings: CapabilitiesSettings, context: Context) -> Iterator[Input]:
    """What decides the facts."""
    yield from kernel("/proc/sys/kernel/cap_last_cap")
    yield from lines("/proc/self/status", "CapBnd:", "CapEff:")


def has_own_user_namespace(context: Context) -> bool:
    """Whether the command gets a user namespace other than the caller's; where nobody isolates it, it does not."""
    isolation = context.of(Isolation)
    return isolation is not None and isolation.where("user") != HOST and not context.lacks("namespaces.user")


def shares_network(context: Context) -> bool:
    """Whether the command uses the caller's network namespace; where nobody isolates it, it does."""
    isolation = context.of(Isolation)
    return isolation is None or isolation.where("net") == HOST or context.lacks("namespaces.net")


def available(context: Context) -> frozenset[str]:
    """The capabilities that a launch can hand on. A process in a user namespace of its own has the kernel's full set
    there (user_namespaces(7)); anywhere else the caller's bounding set is the end of it."""
    facts = context.host.of(CapabilityFacts)
    return facts.known if has_own_user_namespace(context) else facts.known & facts.bounding


def assumed(host: Host) -> CapabilityFacts:
    """All that have a name."""
    names = frozenset(BY_NAME)
    return CapabilityFacts(max(capability.number for capability in ALL), names, names)


def check(settings: CapabilitiesSettings, context: Context) -> Iterator[Unsupported]:
    """Capabilities that are newer than the kernel, and a bounding set that the caller has no right to reduce."""
    facts = context.host.of(CapabilityFacts)
    for name in sorted(settings.added - facts.known):
        yield Unsupported(
            f"capabilities.{name}",
            f"the kernel knows capabilities up to number {facts.last}, {name} is number {BY_NAME[name].number}",
            f"run kernel {BY_NAME[name].kernel} or newer, or leave {name} out",
        )
    surplus = facts.bounding - settings.added
    if surplus and "SETPCAP" not in facts.effective and not has_own_user_namespace(context):
        yield Unsupported(
            "capabilities.*",
            "the caller has no CAP_SETPCAP, so the bounding set cannot be reduced",
            'set namespaces.user = "private", or run as root',
        )
