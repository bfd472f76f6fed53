"""What the kernel says of the capabilities of a process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hardening.errors import SpecError
from hardening.mechanism import idmaps
from hardening.mechanism.mechanism import Context, Verification
from hardening_capabilities.settings import CapabilitiesSettings, normal
from hardening_capabilities.spec import sets_of
from hardening_capabilities.table import ALL, mask_names

#: set -> its line of proc_pid_status(5)
FIELDS = {
    "bounding": "CapBnd",
    "permitted": "CapPrm",
    "effective": "CapEff",
    "inheritable": "CapInh",
    "ambient": "CapAmb",
}


def verify(settings: CapabilitiesSettings, context: Context, receipt: Mapping[str, Any]) -> Iterator[Verification]:
    """Hold the five sets and NoNewPrivs of proc_pid_status(5) against the settings.

    In a user namespace of its own the process must have all of what was composed; in the caller's, where the host's
    bounding set cuts, only no more than that.
    """
    status: Mapping[str, str] = receipt["status"]
    kernel = {name: _mask(status, field) for name, field in FIELDS.items()}
    expected = _mask_of(settings.added) & kernel["bounding"]
    if receipt["namespaces"].get("user") != receipt["caller_namespaces"].get("user"):
        for name in sorted(settings.added - mask_names(expected)) if not context.has_run else ():
            yield Verification.of(f"capabilities.{name}", "added", "missing", holds=False)
    effective = idmaps.inside(idmaps.parse(receipt["uid_map"]), int(status["Uid"].split()[1]))
    wanted_sets = sets_of(mask_names(expected), settings.kept, root=effective == 0)
    for name, field in FIELDS.items():
        wanted = _mask_of(frozenset(map(normal, wanted_sets[name])))
        found = kernel[name]
        holds = not found & ~wanted if context.has_run else found == wanted
        yield Verification.of("capabilities.*", f"{field}: {_show(wanted)}", f"{field}: {_show(found)}", holds)
    flag = status["NoNewPrivs"].strip()
    wanted_flag = "1" if settings.no_new_privileges else "0"
    yield Verification.of(
        "capabilities.no_new_privileges",
        f"NoNewPrivs: {wanted_flag}",
        f"NoNewPrivs: {flag}",
        flag == wanted_flag or (context.has_run and flag == "1"),
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
