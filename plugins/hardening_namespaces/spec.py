"""The namespaces' part of the OCI spec, and how a foreign configuration is tightened to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hardening.mechanism import Context, Excess
from hardening.spec import Fragment
from hardening_namespaces import idmaps
from hardening_namespaces.settings import HOST, PRIVATE, TYPES, IdRange, NamespacesSettings


def contribute(settings: NamespacesSettings, context: Context, fragment: Fragment) -> None:
    """Namespaces, id maps, host name, sysctls and clock offsets."""
    private = [name for name in TYPES if settings.where(name) != HOST and not context.lacks(f"namespaces.{name}")]
    entries = []
    for name in private:
        where = settings.where(name)
        entries.append({"type": TYPES[name]} | ({} if where == PRIVATE else {"path": where}))
    fragment.put("/linux/namespaces", entries, *(f"namespaces.{name}" for name in TYPES))
    if "user" in private:
        _contribute_maps(settings, context, fragment)
    if settings.uts == PRIVATE and "uts" in private:
        fragment.put("/hostname", settings.hostname, "namespaces.hostname")
        if settings.domainname:
            fragment.put("/domainname", settings.domainname, "namespaces.domainname")
    sysctls = {name: value for name, value in sorted(settings.sysctls.named.items()) if value}
    if sysctls:
        fragment.put("/linux/sysctl", sysctls, *(f"namespaces.sysctls.{name}" for name in sysctls))
    if settings.time == PRIVATE and "time" in private:
        _contribute_offsets(settings, fragment)


def _contribute_maps(settings: NamespacesSettings, context: Context, fragment: Fragment) -> None:
    maps = idmaps.resolve(settings, context.host)
    if maps is None:
        return
    for pointer, ranges, leaf in (
        ("/linux/uidMappings", maps.uids, "uid_map"),
        ("/linux/gidMappings", maps.gids, "gid_map"),
    ):
        fragment.put(pointer, to_oci(ranges), "namespaces.id_map", f"namespaces.{leaf}")


def to_oci(ranges: Iterable[IdRange]) -> list[dict[str, int]]:
    """Ranges as the OCI spec writes them."""
    return [{"containerID": item.inside, "hostID": item.outside, "size": item.size} for item in ranges]


def _contribute_offsets(settings: NamespacesSettings, fragment: Fragment) -> None:
    offsets = {"boottime": settings.boottime_offset, "monotonic": settings.monotonic_offset}
    said = {clock: {"secs": seconds, "nanosecs": 0} for clock, seconds in offsets.items() if seconds}
    if said:
        fragment.put("/linux/timeOffsets", said, *(f"namespaces.time_offsets.{clock}" for clock in said))


def tighten(
    settings: NamespacesSettings, document: Mapping[str, Any], context: Context, fragment: Fragment
) -> Iterable[Excess]:
    """Add the private namespaces that a foreign configuration lacks; keep those it has, and its own id maps."""
    linux = document.get("linux", {})
    asked = {entry["type"]: entry for entry in linux.get("namespaces", [])}
    entries = []
    for name, kind in TYPES.items():
        where = settings.where(name)
        entry = asked.get(kind)
        found = HOST if entry is None else entry.get("path", PRIVATE)
        if found not in (PRIVATE, where) and not context.lacks(f"namespaces.{name}"):
            yield Excess("/linux/namespaces", f"{name}: {found}", where, f"namespaces.{name}")
            found = where
        if found != HOST:
            entries.append({"type": kind} | ({} if found == PRIVATE else {"path": found}))
    fragment.put("/linux/namespaces", entries, *(f"namespaces.{name}" for name in TYPES))
    if any(entry["type"] == "user" and "path" not in entry for entry in entries) and not linux.get("uidMappings"):
        _contribute_maps(settings, context, fragment)
    yield from _tighten_sysctls(settings, linux, fragment)
    if settings.uts == PRIVATE and "uts" not in asked:
        fragment.put("/hostname", settings.hostname, "namespaces.hostname")


def _tighten_sysctls(settings: NamespacesSettings, linux: Mapping[str, Any], fragment: Fragment) -> Iterable[Excess]:
    kept = {}
    for name, value in linux.get("sysctl", {}).items():
        dotted = name.replace("/", ".")
        if settings.sysctls[dotted] == value:
            kept[name] = value
        else:
            yield Excess(
                f"/linux/sysctl/{name.replace('/', '~1')}", value, "kernel default", f"namespaces.sysctls.{dotted}"
            )
    said = {name: value for name, value in settings.sysctls.named.items() if value}
    fragment.put("/linux/sysctl", {**kept, **said} or None, "namespaces.sysctls")
