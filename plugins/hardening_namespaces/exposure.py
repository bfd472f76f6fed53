"""What of the host a configuration shares with its command, and the namespaces that the kernel reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hardening.mechanism import idmaps
from hardening.mechanism.exposure import Exposure, enclosing, maps_root, shares_namespace
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.host import Host
from hardening_namespaces.host import PROC_NAMES
from hardening_namespaces.settings import TYPES

#: setting -> what an exposed command may do, and its weight: that of PrivateNetwork=, PrivateUsers=, PrivateMounts=,
#: PrivateIPC= and ProtectHostname= in systemd-analyze, where it has one.
_ITEMS = {
    "net": ("use the networks of the host", 2500.0),
    "mount": ("see and change the mounts of the host", 1000.0),
    "pid": ("see and signal processes of the host", 1000.0),
    "user": ("be root of the host where it is root", 1500.0),
    "ipc": ("use System V IPC and queues of the host", 500.0),
    "cgroup": ("see the control groups of the host", 100.0),
    "uts": ("see and change the name of the host", 50.0),
    "time": ("see how long the host has been up", 10.0),
}


def exposure(document: Mapping[str, Any], host: Host) -> Iterator[Exposure]:
    """An item a namespace, as far as it encloses the command."""
    return enclosing(_items(document), document)


def _items(document: Mapping[str, Any]) -> Iterator[Exposure]:
    """An item a namespace; a user namespace of its own that has the host's root in it is worth half of one."""
    for name, kind in TYPES.items():
        meaning, weight = _ITEMS[name]
        share = shares_namespace(document, kind)
        found = {0.0: "", 0.5: "joined by a path", 1.0: "the host's"}[share]
        if name == "user" and not share and maps_root(document):
            share, found = 0.5, "maps root of the host"
        yield Exposure(name, meaning, weight, share, found)


def reported(receipt: Mapping[str, Any], host: Host, fragment: Fragment) -> None:
    """The namespaces that are not the caller's, and the maps of a user namespace of its own."""
    own, caller = receipt["namespaces"], receipt["caller_namespaces"]
    others = [name for name in TYPES if own.get(PROC_NAMES[name]) != caller.get(PROC_NAMES[name])]
    fragment.put("/linux/namespaces", [{"type": TYPES[name]} for name in others])
    for side in ("uid", "gid") if "user" in others else ():
        fragment.put(f"/linux/{side}Mappings", idmaps.to_oci(idmaps.parse(receipt[f"{side}_map"])))
