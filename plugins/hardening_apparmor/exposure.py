"""The profile that the kernel reports of a process; whether a configuration confines its command by one is told once for all
modules of the kernel, by whoever has the item for labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hardening.mechanism.exposure import Exposure
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.host import Host
from hardening_apparmor.host import read_label
from hardening_apparmor.spec import LEAF, PROFILE


def exposure(document: Mapping[str, Any], host: Host) -> Iterable[Exposure]:
    """No item of its own."""
    return ()


def reported(receipt: Mapping[str, Any], host: Host, fragment: Fragment) -> None:
    """The profiles of the process, where they stop anything."""
    names, enforcing = read_label(str(receipt.get("apparmor") or ""))
    if enforcing:
        fragment.put(PROFILE, names, LEAF)
