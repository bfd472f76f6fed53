"""What is worth saying about namespaces, and what the kernel says of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hardening.mechanism.findings import Finding, FindingsOf, Severity
from hardening.mechanism.idmaps import IdMaps
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import HOST, PRIVATE
from hardening_namespaces.host import PROC_NAMES, link_of
from hardening_namespaces.settings import NamespacesSettings

_about = FindingsOf("namespaces")

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
    """Shared namespaces, maps that hold too much or less than they could, and values without effect."""
    for name, meaning in _SHARED.items():
        where = settings.where(name)
        if where != PRIVATE:
            own = where == HOST or link_of(name, where) == link_of(name, f"/proc/self/ns/{PROC_NAMES[name]}")
            what = "the host's" if where == HOST else f"that of {where}" + (", which is the caller's" if own else "")
            yield _about.finding(
                Severity.NOTE if name in ("uts", "cgroup") else Severity.WARNING,
                f"shared-{name}",
                f"the {name} namespace is {what}: " + (meaning if own else "what belongs to it is in reach"),
                name,
                hint=f'write {name} = "private" in [namespaces]',
            )
    maps = settings.id_maps(context.host)
    if maps is not None:
        yield from _about_maps(maps, "uid_map" if settings.uid_map else "id_map")
    yield from _without_effect(settings)


def _about_maps(maps: IdMaps, leaf: str) -> Iterator[Finding]:
    if maps.limited:
        yield _about.note(
            "one-id",
            f"fewer ids are mapped than could be ({maps}): {maps.limited}",
            "id_map",
            hint="for more: install uidmap, and usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER",
        )
    if maps.host_root:
        yield _about.warning(
            "host-root",
            f"root of the host is mapped ({maps}): the command may own and read what is root's",
            leaf,
            hint='write id_map = "auto" in [namespaces]',
        )


def _without_effect(settings: NamespacesSettings) -> Iterator[Finding]:
    unused = {
        "domainname": ("uts", bool(settings.domainname)),
        "time_offsets.boottime": ("time", bool(settings.boottime_offset)),
        "time_offsets.monotonic": ("time", bool(settings.monotonic_offset)),
        "uid_map": ("user", bool(settings.uid_map)),
    }
    for leaf, (name, said) in unused.items():
        if said and settings.where(name) != PRIVATE:
            yield _about.warning(
                "no-effect",
                f"this has no effect: the {name} namespace is not private",
                leaf,
                hint=f'write {name} = "private" in [namespaces], or leave it out',
            )
