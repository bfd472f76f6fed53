"""Whether AppArmor confines anything on this host, and whether it has the profiles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from hardening.base.values import frozen
from hardening.mechanism import inputs as host_inputs
from hardening.mechanism.host import Host
from hardening.mechanism.inputs import Inputs
from hardening.mechanism.mechanism import Context, Unsupported
from hardening_apparmor.settings import ApparmorSettings
from hardening_apparmor.spec import LEAF, PROFILE

ENABLED = "sys/module/apparmor/parameters/enabled"
LOADED = "sys/kernel/security/apparmor/profiles"
#: What stops a command: in other modes the kernel only records.
ENFORCING = ("enforce", "kill")


@frozen
class ApparmorFacts:
    """State of AppArmor (apparmor(7)). ``inactive`` says why no profile can be set, empty where it is active; ``loaded`` are
    the profiles with their modes, None where that is root's to know."""

    inactive: str = ""
    loaded: Mapping[str, str] | None = None


def probe(host: Host, root: Path = Path("/")) -> ApparmorFacts:
    """Ask the kernel on the host whose root is ``root``."""
    try:
        enabled = (root / ENABLED).read_text().strip()
    except OSError:
        return ApparmorFacts("the kernel was built without AppArmor, or booted without it")
    if enabled != "Y":
        return ApparmorFacts("the kernel was booted without it")
    try:
        lines = (root / LOADED).read_text().splitlines()
    except FileNotFoundError:
        return ApparmorFacts("securityfs is not mounted at /sys/kernel/security")
    except OSError:  # a list for who administers the policy
        return ApparmorFacts()
    found = (line.rpartition(" (")[::2] for line in lines)
    return ApparmorFacts(loaded=MappingProxyType({name: mode.rstrip(")") for name, mode in found}))


def assumed(host: Host) -> ApparmorFacts:
    """A kernel that was booted with it and has no profile."""
    return ApparmorFacts(loaded=MappingProxyType({}))


def read_label(label: str) -> tuple[str, bool]:
    """The names in a label of a process (``/proc/PID/attr/apparmor/current``), ``a//&b (enforce)``, and whether they stop
    anything."""
    names, _, mode = label.partition(" (")
    return names, mode.rstrip(")") in ENFORCING


def inputs(settings: ApparmorSettings, context: Context) -> Inputs:
    """The state of AppArmor, and the profiles that are loaded."""
    yield from host_inputs.kernel(f"/{ENABLED}", f"/{LOADED}")


def check(settings: ApparmorSettings, context: Context) -> Iterator[Unsupported]:
    """AppArmor that is not active, a profile that is not loaded or stops nothing, and a runtime that sets none."""
    if not settings.profile:
        return
    facts = context.host.of(ApparmorFacts)
    if facts.inactive:
        reason = f"AppArmor is not active: {facts.inactive}"
        yield Unsupported(LEAF, reason, "boot with apparmor among `lsm=`", whole=True)
        return
    if PROFILE in context.lacking:
        reason = f"the runtime {context.runtime} sets no AppArmor profile"
        yield Unsupported(LEAF, reason, "use --runtime crun", whole=True)
    if facts.loaded is None:
        return
    for name in settings.profile:
        mode = facts.loaded.get(name)
        if mode is None:
            yield Unsupported(LEAF, f"no profile {name} is loaded", "load it with apparmor_parser(8)", whole=True)
        elif mode not in ENFORCING:
            reason = f"the profile {name} is in mode {mode}: it records what it would deny and stops nothing"
            yield Unsupported(LEAF, reason, f"run aa-enforce {name}", whole=True)
