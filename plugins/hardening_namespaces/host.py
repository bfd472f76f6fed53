"""What this host cannot give of what was composed."""

from __future__ import annotations

import os
from collections.abc import Iterable

from hardening.errors import ProfileError
from hardening.host import Host
from hardening.mechanism import Context, Shortfall
from hardening_namespaces import idmaps
from hardening_namespaces.facts import NamespaceFacts
from hardening_namespaces.idmaps import IdMaps
from hardening_namespaces.settings import HOST, PRIVATE, TYPES, NamespacesSettings, sysctl_namespace


def check(settings: NamespacesSettings, context: Context) -> Iterable[Shortfall]:
    """What this host cannot give of the settings."""
    _require_consistent(settings)
    facts = context.host.of(NamespaceFacts)
    for name in TYPES:
        where = settings.where(name)
        if where == PRIVATE and name not in facts.supported:
            yield Shortfall(f"namespaces.{name}", f"this kernel has no {name} namespaces", f'say {name} = "host"')
        if where not in (PRIVATE, HOST) and not os.path.exists(where):
            yield Shortfall(f"namespaces.{name}", f"{where} does not exist", "name a namespace that exists")
    if settings.user == PRIVATE and facts.user_blocked:
        yield Shortfall(
            "namespaces.user", facts.user_blocked, "ask the administrator to permit user namespaces, or run as root"
        )
    elif settings.user == HOST and not context.host.root:
        yield Shortfall(
            "namespaces.user",
            "without root, every other namespace needs a private user namespace",
            'say user = "private"',
        )
    maps = idmaps.resolve(settings, context.host)
    if maps is not None:
        yield from _check_maps(maps, context.host, facts)


def _require_consistent(settings: NamespacesSettings) -> None:
    for name, value in settings.sysctls.named.items():
        namespace = sysctl_namespace(name)
        if value and namespace is not None and settings.where(namespace) == HOST:
            raise ProfileError(
                f"namespaces.sysctls.{name} needs a private {namespace} namespace, and the host's is shared",
                hint=f'say namespaces.{namespace} = "private"',
            )


def _check_maps(maps: IdMaps, host: Host, facts: NamespaceFacts) -> Iterable[Shortfall]:
    if not idmaps.needs_helpers(maps, host):
        return
    if not facts.newuidmap:
        yield Shortfall("namespaces.uid_map", "newuidmap is not installed", "install uidmap (shadow-utils)")
    for leaf, ranges, own, allowed, file in (
        ("uid_map", maps.uids, host.uid, facts.subuids, "/etc/subuid"),
        ("gid_map", maps.gids, host.gid, facts.subgids, "/etc/subgid"),
    ):
        for item in ranges:
            held = any(start <= item.outside and item.outside + item.size <= start + size for start, size in allowed)
            if not held and not (item.size == 1 and item.outside == own):
                yield Shortfall(
                    f"namespaces.{leaf}",
                    f"{item} is outside the caller's ranges in {file}",
                    "have the range added: usermod --add-subuids START-END --add-subgids START-END USER",
                )
