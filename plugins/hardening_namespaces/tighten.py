"""A foreign OCI configuration, made nowhere looser than the settings.

What the configuration isolates stays as it is. A namespace that it shares with the host, or joins, becomes what the
settings say. Its id maps stay as long as they reach no id on the caller's side that the settings would not reach, or
that is not set aside for containers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hardening.base.pointer import escape, lookup
from hardening.base.values import frozen
from hardening.errors import SpecError
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.idmaps import IdMaps, IdRange, outside
from hardening.mechanism.mechanism import Context, Violation
from hardening.mechanism.roles import HOST, PRIVATE
from hardening.mechanism.schema import Leaf
from hardening_namespaces import idmaps, spec
from hardening_namespaces.facts import NamespaceFacts
from hardening_namespaces.settings import TYPES, NamespacesSettings, sysctl_name, sysctl_namespace

_NAMESPACES = "/linux/namespaces"


@frozen
class _Found:
    """Where a namespace is in the foreign configuration, and in the result."""

    name: str
    before: str
    after: str


def tighten(
    settings: NamespacesSettings, document: Mapping[str, Any], context: Context, fragment: Fragment
) -> Iterable[Violation]:
    """Contribute the tightened parts; yield what was asked for beyond the settings. Raises `SpecError` for a
    configuration that is malformed, or whose user the new maps do not hold."""
    found = list(_compare(settings, document, context))
    entries = [spec.entry(item.name, item.after) for item in found if item.after != HOST]
    fragment.put(_NAMESPACES, entries, *(f"namespaces.{name}" for name in TYPES))
    for item in found:
        if item.before != item.after and item.name != "user":
            yield Violation(_NAMESPACES, f"{item.name}: {item.before}", item.after, f"namespaces.{item.name}")
    after = {item.name: item for item in found}
    yield from _tighten_maps(settings, document, context, fragment, after["user"])
    private = [item.name for item in found if item.after == PRIVATE]
    yield from _tighten_sysctls(settings, document, private, fragment)
    yield from _tighten_names(settings, document, "uts" in private, fragment)
    if "time" not in private:
        fragment.put("/linux/timeOffsets", None, "namespaces.time")
    elif after["time"].before != PRIVATE:
        spec.put_offsets(settings, fragment)


def _compare(settings: NamespacesSettings, document: Mapping[str, Any], context: Context) -> Iterator[_Found]:
    asked = _asked(document)
    for name in TYPES:
        before, wanted = asked.get(name, HOST), settings.where(name)
        limit = context.limit(Leaf("namespaces", name), before)
        if wanted == HOST and before not in (PRIVATE, HOST, limit):
            wanted = PRIVATE  # that of somebody else may be anybody's, where that of the host is permitted
        kept = before in (PRIVATE, wanted) or wanted == HOST or context.lacks(f"namespaces.{name}")
        yield _Found(name, before, before if kept else wanted)


def _asked(document: Mapping[str, Any]) -> dict[str, str]:
    """The namespaces that a configuration asks for, by TOML name: private, or a path."""
    names = {kind: name for name, kind in TYPES.items()}
    asked: dict[str, str] = {}
    for index, item in enumerate(lookup(document, _NAMESPACES) or ()):
        pointer, kind = f"{_NAMESPACES}/{index}", item.get("type")
        if kind not in names:
            raise SpecError(f"unknown namespace {kind!r}", origin=f"{pointer}/type")
        if names[kind] in asked:
            raise SpecError(f"the {kind} namespace is listed twice", origin=pointer)
        asked[names[kind]] = item.get("path") or PRIVATE
    return asked


def _tighten_maps(
    settings: NamespacesSettings, document: Mapping[str, Any], context: Context, fragment: Fragment, user: _Found
) -> Iterator[Violation]:
    """The id maps of the result: its own, those of the settings, or none where no user namespace is made."""
    own = {side: _maps(document, f"/linux/{side}Mappings") for side in ("uid", "gid")}
    if user.after != PRIVATE:
        for side in own:
            fragment.put(f"/linux/{side}Mappings", None, "namespaces.user")
    wanted = settings.id_maps(context.host)
    # Where the settings make no user namespace, any that the configuration makes is stricter.
    if user.after != PRIVATE or (wanted is None and all(own.values())):
        if user.before != user.after:
            yield Violation(_NAMESPACES, f"user: {user.before}", user.after, "namespaces.user")
        return
    if wanted is None:
        raise SpecError("a new user namespace needs id maps", origin="/linux/uidMappings")
    if user.before != PRIVATE:
        change = f"private, {wanted}: the root's files keep their owners, ids outside these show as 65534"
        yield Violation(_NAMESPACES, f"user: {user.before}", change, "namespaces.user")
    elif all(own.values()):
        beyond = list(_beyond(settings, own, wanted, context))
        if not beyond:
            return
        for side, item in beyond:
            yield Violation(f"/linux/{side}Mappings", str(item), str(wanted), f"namespaces.{side}_map")
    _require_mapped(document, wanted)
    spec.put_maps(wanted, fragment)


def _beyond(
    settings: NamespacesSettings, own: Mapping[str, tuple[IdRange, ...]], wanted: IdMaps, context: Context
) -> Iterator[tuple[str, IdRange]]:
    """The ranges that reach ids on the caller's side which the settings do not give, nor the host to containers."""
    facts = context.host.of(NamespaceFacts)
    limits = {side: context.limit(Leaf("namespaces", f"{side}_map"), ()) for side in own}
    said = settings.id_map == "one-id" or bool(settings.uid_map)
    exact = said or any(limits.values())
    for side, given, subordinate in (("uid", wanted.uids, facts.subuids), ("gid", wanted.gids, facts.subgids)):
        allowed = [(item.outside, item.size) for item in (*given, *(() if said else limits[side]))]
        if not exact:
            allowed += subordinate
        if not exact and context.host.root:
            allowed += idmaps.free(facts.given)
        # Only `root` makes an ordinary caller root inside.
        caller = context.host.uid if side == "uid" else context.host.gid
        as_root = (
            None if context.host.root or context.limit(Leaf("namespaces", "id_map"), "root") == "root" else (0, caller)
        )
        yield from (
            (side, item) for item in own[side] if not _covered(item, allowed) or (item.inside, item.outside) == as_root
        )


def _covered(item: IdRange, allowed: Iterable[tuple[int, int]]) -> bool:
    """Whether every id on the caller's side of a range lies in one of ``allowed``, which may touch and overlap."""
    reached, end = item.outside, item.outside + item.size
    for start, size in sorted(allowed):
        if start <= reached < start + size:
            reached = start + size
    return reached >= end


def _require_mapped(document: Mapping[str, Any], maps: IdMaps) -> None:
    """Raise `SpecError` where the user of the process does not exist under new maps: it could not start."""
    user = lookup(document, "/process/user") or {}
    ids = [("uid", user.get("uid", 0), maps.uids), ("gid", user.get("gid", 0), maps.gids)]
    groups = enumerate(user.get("additionalGids") or ())
    ids += [(f"additionalGids/{index}", gid, maps.gids) for index, gid in groups]
    for key, number, ranges in ids:
        if outside(ranges, number) is None:
            raise SpecError(
                f"{number} is not mapped in the user namespace that the profile asks for ({maps})",
                origin=f"/process/user/{key}",
                hint='set namespaces.uid_map and gid_map, another id_map, or user = "host" with an exception',
            )


def _tighten_sysctls(
    settings: NamespacesSettings, document: Mapping[str, Any], private: list[str], fragment: Fragment
) -> Iterator[Violation]:
    pointer = "/linux/sysctl"
    asked = lookup(document, pointer) or {}
    kept = {}
    for name, value in asked.items():
        dotted = sysctl_name(name)
        if sysctl_namespace(dotted) in private and settings.sysctls[dotted] == value:
            kept[dotted] = value
        else:
            allowed = settings.sysctls[dotted] or "the kernel's default"
            yield Violation(f"{pointer}/{escape(name)}", str(value), allowed, f"namespaces.sysctls.{dotted}")
    fragment.put(pointer, {**kept, **spec.stated_sysctls(settings, private)} or None, "namespaces.sysctls")


def _tighten_names(
    settings: NamespacesSettings, document: Mapping[str, Any], private: bool, fragment: Fragment
) -> Iterator[Violation]:
    """Host and domain name: the configuration's own in a private namespace, none where they would rename another."""
    for key, default in (("hostname", settings.hostname), ("domainname", settings.domainname)):
        asked = document.get(key)
        fragment.put(f"/{key}", (asked or default or None) if private else None, f"namespaces.{key}")
        if asked and not private:
            yield Violation(
                f"/{key}", str(asked), "unset: it would rename a namespace that is shared", f"namespaces.{key}"
            )


def _maps(document: Mapping[str, Any], pointer: str) -> tuple[IdRange, ...]:
    ranges = []
    for index, item in enumerate(lookup(document, pointer) or ()):
        numbers = [item.get(key, -1) for key in ("containerID", "hostID", "size")]
        if not all(0 <= number < 2**32 for number in numbers) or not numbers[2]:
            raise SpecError("an id map is containerID, hostID and size", origin=f"{pointer}/{index}")
        ranges.append(IdRange(*numbers))
    return tuple(ranges)
