"""What is worth saying about namespaces, and what the kernel says of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hardening.findings import Finding, Severity
from hardening.mechanism import Check, Context
from hardening_namespaces import idmaps
from hardening_namespaces.settings import HOST, PRIVATE, TYPES, NamespacesSettings

_SHARED = {
    "pid": "every process of the host can be seen, and signalled where ids allow it",
    "net": "abstract sockets, loopback services and packet capture of the host are in reach",
    "ipc": "shared memory and semaphores of the host are in reach",
    "uts": "the command sees the host's name",
    "cgroup": "the command sees where it stands in the host's cgroup tree",
    "mount": "nothing separates the command's mounts from the host's",
    "user": "ids, and any capability, are those of the host",
}


def findings(settings: NamespacesSettings, context: Context) -> Iterable[Finding]:
    """Shared namespaces, and maps smaller than they could be."""
    for name, meaning in _SHARED.items():
        where = settings.where(name)
        if where != PRIVATE:
            what = "the host's" if where == HOST else f"that of {where}"
            yield Finding(
                f"namespaces/shared-{name}",
                Severity.NOTE if name in ("uts", "cgroup") else Severity.WARNING,
                f"the {name} namespace is {what}: {meaning}",
                leaf=f"namespaces.{name}",
                hint=f'namespaces.{name} = "private"',
            )
    maps = idmaps.resolve(settings, context.host)
    if maps is not None and maps.limited:
        yield Finding(
            "namespaces/one-id",
            Severity.NOTE,
            f"one id is mapped: {maps.limited}",
            leaf="namespaces.id_map",
            hint="for more: install uidmap, and usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER",
        )


def verify(settings: NamespacesSettings, receipt: Mapping[str, Any]) -> Iterable[Check]:
    """Hold the links in /proc/PID/ns against those of the caller (namespaces(7))."""
    own, caller = receipt["namespaces"], receipt["caller_namespaces"]
    for name in TYPES:
        key = "mnt" if name == "mount" else name
        where = settings.where(name)
        link = own.get(key, "not supported")
        shared = link == caller.get(key)
        holds = where != PRIVATE or (key in own and not shared)
        yield Check(f"namespaces.{name}", where, link + (" (the caller's)" if shared else ""), holds)
    if settings.user == PRIVATE:
        text = "; ".join(" ".join(line.split()) for line in receipt["uid_map"].splitlines())
        yield Check("namespaces.id_map", settings.id_map, text, text != "0 0 4294967295")
