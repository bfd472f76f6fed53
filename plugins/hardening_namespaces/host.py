"""What this host cannot give of what was composed."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from hardening.errors import ProfileError
from hardening.mechanism.host import Host
from hardening.mechanism.idmaps import IdMaps, IdRange
from hardening.mechanism.mechanism import Context, Shortfall
from hardening.mechanism.roles import HOST, PRIVATE
from hardening_namespaces import idmaps
from hardening_namespaces.facts import NamespaceFacts, Ranges, wrong_namespace
from hardening_namespaces.settings import TYPES, NamespacesSettings, sysctl_namespace


def check(settings: NamespacesSettings, context: Context) -> Iterable[Shortfall]:
    """What this host cannot give of the settings; raises `ProfileError` for settings that do not go together."""
    _require_consistent(settings)
    for shortfall in _check_namespaces(settings, context):
        yield attrs.evolve(shortfall, also=_gone_with(settings, shortfall.leaf.partition(".")[2]))
    maps = idmaps.resolve(settings, context.host)
    if maps is not None:
        yield from _check_maps(maps, context.host, context.host.of(NamespaceFacts))


def _check_namespaces(settings: NamespacesSettings, context: Context) -> Iterable[Shortfall]:
    facts = context.host.of(NamespaceFacts)
    for name in TYPES:
        yield from _check_one(name, settings.where(name), facts)
    if settings.user == PRIVATE and facts.user_blocked:
        yield Shortfall(
            "namespaces.user", facts.user_blocked, "ask the administrator to permit user namespaces, or run as root"
        )
    elif settings.user == HOST and not context.host.root:
        yield Shortfall(
            "namespaces.user",
            "without root, every other namespace needs a private user namespace",
            'set user = "private"',
        )


def _gone_with(settings: NamespacesSettings, name: str) -> tuple[str, ...]:
    """The leaves of what is only ever done in a namespace of the command's own: maps of ids, and sysctls."""
    maps = ("id_map", "uid_map", "gid_map") if name == "user" and settings.user == PRIVATE else ()
    sysctls = (f"sysctls.{key}" for key in settings.sysctls.named if sysctl_namespace(key) == name)
    return tuple(f"namespaces.{leaf}" for leaf in (*maps, *sysctls))


def _check_one(name: str, where: str, facts: NamespaceFacts) -> Iterable[Shortfall]:
    leaf = f"namespaces.{name}"
    if where == PRIVATE:
        if name not in facts.supported:
            yield Shortfall(leaf, f"this kernel has no {name} namespaces", f'set {name} = "host"')
        elif name in facts.exhausted and name != "user":
            yield Shortfall(
                leaf, f"this host permits not one new {name} namespace", "raise it in /proc/sys/user/max_*_namespaces"
            )
    elif where != HOST:
        reason = wrong_namespace(name, where)
        if reason:
            yield Shortfall(leaf, reason, "name a namespace that exists and that you may join: /proc/PID/ns/…")


def _require_consistent(settings: NamespacesSettings) -> None:
    """What no setting shows alone."""
    if settings.mount == HOST and settings.user != HOST:
        raise ProfileError(
            'namespaces.mount = "host" does not go with a user namespace: it has no rights over the host\'s mounts',
            hint='set namespaces.mount = "private", or namespaces.user = "host" as root',
        )
    if bool(settings.uid_map) != bool(settings.gid_map):
        said, missing = ("uid_map", "gid_map") if settings.uid_map else ("gid_map", "uid_map")
        raise ProfileError(
            f"namespaces.{said} needs a namespaces.{missing} beside it", hint=f'set {missing} = ["0:100000:65536"]'
        )
    for name, value in settings.sysctls.named.items():
        namespace = sysctl_namespace(name)
        if value and namespace is not None and settings.where(namespace) != PRIVATE:
            raise ProfileError(
                f"namespaces.sysctls.{name} needs a private {namespace} namespace: another is not only the command's",
                hint=f'set namespaces.{namespace} = "private"',
            )


def _check_maps(maps: IdMaps, host: Host, facts: NamespaceFacts) -> Iterable[Shortfall]:
    if host.root:
        yield from _check_own("uid_map", maps.uids, facts.own_uids)
        yield from _check_own("gid_map", maps.gids, facts.own_gids)
        return
    if not maps.needs_helpers(host):
        return
    if not facts.newuidmap:
        yield Shortfall(
            "namespaces.uid_map",
            "newuidmap and newgidmap are not installed, or lack their setuid bit",
            "install uidmap (shadow-utils)",
        )
    for leaf, ranges, own, allowed, file in (
        ("uid_map", maps.uids, host.uid, facts.subuids, "/etc/subuid"),
        ("gid_map", maps.gids, host.gid, facts.subgids, "/etc/subgid"),
    ):
        for item in ranges:
            if not idmaps.within(item, allowed) and not (item.size == 1 and item.outside == own):
                yield Shortfall(
                    f"namespaces.{leaf}",
                    f"{item} is outside the caller's ranges in {file}",
                    "have the range added: usermod --add-subuids START-END --add-subgids START-END USER",
                )


def _check_own(leaf: str, ranges: Iterable[IdRange], own: Ranges) -> Iterable[Shortfall]:
    for item in ranges:
        if not idmaps.within(item, own):
            yield Shortfall(
                f"namespaces.{leaf}",
                f"{item} names ids that the caller's own user namespace does not have",
                "name outside ids of /proc/self/uid_map and gid_map",
            )
