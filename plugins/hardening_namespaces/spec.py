"""The namespaces' part of the OCI spec (runtime-spec, config-linux.md)."""

from __future__ import annotations

from collections.abc import Collection

from hardening.mechanism.fragment import Fragment
from hardening.mechanism.idmaps import IdMaps, to_oci
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import HOST, PRIVATE
from hardening_namespaces.settings import TYPES, NamespacesSettings, sysctl_namespace


def contribute(settings: NamespacesSettings, context: Context, fragment: Fragment) -> None:
    """Namespaces, id maps, host name, sysctls and clock offsets."""
    others = [name for name in TYPES if settings.where(name) != HOST and not context.lacks(f"namespaces.{name}")]
    private = [name for name in others if settings.where(name) == PRIVATE]
    entries = [entry(name, settings.where(name)) for name in others]
    fragment.put("/linux/namespaces", entries, *(f"namespaces.{name}" for name in TYPES))
    if "user" in private:
        maps = settings.id_maps(context.host)
        if maps is not None:
            put_maps(maps, fragment)
    if "uts" in private:
        fragment.put("/hostname", settings.hostname, "namespaces.hostname")
        if settings.domainname:
            fragment.put("/domainname", settings.domainname, "namespaces.domainname")
    sysctls = stated_sysctls(settings, private)
    if sysctls:
        fragment.put("/linux/sysctl", sysctls, *(f"namespaces.sysctls.{name}" for name in sysctls))
    if "time" in private:
        put_offsets(settings, fragment)


def entry(name: str, where: str) -> dict[str, str]:
    """The entry of ``/linux/namespaces`` for a namespace that is private or joined."""
    return {"type": TYPES[name]} | ({} if where == PRIVATE else {"path": where})


def put_maps(maps: IdMaps, fragment: Fragment) -> None:
    """Contribute the maps of a new user namespace."""
    for pointer, ranges, leaf in (
        ("/linux/uidMappings", maps.uids, "uid_map"),
        ("/linux/gidMappings", maps.gids, "gid_map"),
    ):
        fragment.put(pointer, to_oci(ranges), "namespaces.id_map", f"namespaces.{leaf}")


def stated_sysctls(settings: NamespacesSettings, private: Collection[str]) -> dict[str, str]:
    """The sysctls that have a value, of the namespaces in ``private``: any other would be set for the host."""
    return {
        name: value
        for name, value in sorted(settings.sysctls.named.items())
        if value and sysctl_namespace(name) in private
    }


def put_offsets(settings: NamespacesSettings, fragment: Fragment) -> None:
    """Contribute the clock offsets of a new time namespace (time_namespaces(7))."""
    offsets = {"boottime": settings.boottime_offset, "monotonic": settings.monotonic_offset}
    said = {clock: {"secs": seconds, "nanosecs": 0} for clock, seconds in offsets.items() if seconds}
    if said:
        fragment.put("/linux/timeOffsets", said, *(f"namespaces.time_offsets.{clock}" for clock in said))
