"""How much of root's power a configuration leaves to its command, and the sets that the kernel reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from hardening.base.pointer import lookup
from hardening.mechanism.exposure import Exposure, shares_namespace
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.host import Host
from hardening_capabilities.settings import normal
from hardening_capabilities.spec import POINTER, SETS
from hardening_capabilities.table import ALL, mask_names
from hardening_capabilities.verify import FIELDS

#: As systemd-analyze weighs them (src/analyze/analyze-security.c, CapabilityBoundingSet=); what it weighs as one group is
#: divided here. Those that it does not know weigh as their like.
_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "SYS_ADMIN": 1500, "SYS_PTRACE": 1500, "NET_ADMIN": 1000, "SYS_MODULE": 1000, "SYS_RAWIO": 1000, "SYS_TIME": 1000,
        "SETUID": 700, "SETGID": 600, "SETPCAP": 700, "CHOWN": 300, "FSETID": 300, "SETFCAP": 400,
        "DAC_OVERRIDE": 400, "DAC_READ_SEARCH": 300, "FOWNER": 200, "IPC_OWNER": 100, "KILL": 500, "MKNOD": 500,
        "SYSLOG": 500, "BPF": 500, "PERFMON": 500, "CHECKPOINT_RESTORE": 300, "NET_RAW": 300, "NET_BIND_SERVICE": 150,
        "NET_BROADCAST": 50, "SYS_NICE": 250, "SYS_RESOURCE": 250, "AUDIT_CONTROL": 200, "AUDIT_READ": 200,
        "AUDIT_WRITE": 100, "SYS_BOOT": 100, "LINUX_IMMUTABLE": 75, "MAC_ADMIN": 50, "MAC_OVERRIDE": 50, "IPC_LOCK": 50,
        "SYS_CHROOT": 50,
    }
)  # fmt: skip
_LEAST = 25.0
_NO_NEW_PRIVILEGES = 1000.0
#: What a capability counts for that is good for no object outside the command's own user namespace (user_namespaces(7)).
_OWN_NAMESPACE = 0.25


def exposure(document: Mapping[str, Any], host: Host) -> Iterator[Exposure]:
    """An item a capability: of those that the command has or could gain, which without no_new_privs is the bounding set."""
    sets = {name: {normal(item) for item in lookup(document, f"{POINTER}/{name}") or ()} for name in SETS}
    locked = lookup(document, "/process/noNewPrivileges") is True
    held = sets["permitted"] | sets["effective"] | sets["ambient"]
    within = held if locked else held | sets["bounding"]
    whole = shares_namespace(document, "user") > 0
    where = "" if whole else "in a user namespace of its own"
    for item in ALL:
        share = 0.0 if item.name not in within else 1.0 if whole else _OWN_NAMESPACE
        yield Exposure(item.name, item.meaning, _WEIGHTS.get(item.name, _LEAST), share, where if share else "")
    yield Exposure(
        "no_new_privileges", "gain privileges from set-user-ID programs", _NO_NEW_PRIVILEGES, 0.0 if locked else 1.0
    )


def reported(receipt: Mapping[str, Any], host: Host, fragment: Fragment) -> None:
    """The five sets and NoNewPrivs of proc_pid_status(5)."""
    status: Mapping[str, str] = receipt["status"]
    for name in SETS:
        held = mask_names(int(status[FIELDS[name]], 16))
        fragment.put(f"{POINTER}/{name}", sorted(f"CAP_{item}" for item in held))
    fragment.put("/process/noNewPrivileges", status["NoNewPrivs"] == "1")
