"""What a configuration leaves open, an item a setting, for ``hardening score``: in the manner of systemd-analyze(1),
``security``.

An item is scored from an OCI configuration alone, whoever wrote it: a composed stack, another engine, or this program, of
what the kernel says of a process. So one score means the same of all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hardening.base.pointer import items
from hardening.base.values import frozen
from hardening.mechanism.schema import REQUIREMENT, WILDCARD, Scalar, Schema

if TYPE_CHECKING:
    from hardening.mechanism.kinds import Kind

#: Of a setting of which its mechanism says nothing else, on the scale of systemd's weights, which go up to 2500.
USUAL_WEIGHT = 100.0


@frozen
class Exposure:
    """How exposed one setting leaves a command. ``name`` is that of the setting below its mechanism's table, ``meaning``
    says in a few words what an exposed command can do, ``weight`` is what that counts for among all items, ``share`` how
    much of it is so, from 0 (tight) to 1, and ``found`` what was found, where that says more."""

    name: str
    meaning: str
    weight: float
    share: float
    found: str = ""


def by_leaves(schema: Schema, leaves: Mapping[tuple[str, str], Any], without: Collection[str]) -> Iterator[Exposure]:
    """The settings of a composition against their strict defaults, but for those ``without``: tight where nothing is looser
    than its default, exposed in full where a value restricts nothing, else by half."""
    for setting in schema.settings.values():
        values = {member: value for (name, member), value in leaves.items() if name == setting.name}
        if (
            not values
            or setting is REQUIREMENT
            or setting.kind.unordered
            or not {setting.name, WILDCARD}.isdisjoint(without)
        ):
            continue
        defaults = {"": setting.default} if isinstance(setting, Scalar) else {WILDCARD: setting.rest, **setting.default}
        shares = {
            member: _share(setting.kind, value, defaults.get(member, defaults.get(WILDCARD)))
            for member, value in values.items()
        }
        looser = [member for member, share in shares.items() if share]
        yield Exposure(
            setting.name or WILDCARD, setting.help.partition(".")[0], USUAL_WEIGHT, max(shares.values()),
            ", ".join(f"{member} {setting.kind.show(values[member])}".strip() for member in looser[:3]),
        )  # fmt: skip


def _share(kind: Kind[Any], value: Any, default: Any) -> float:
    if kind.is_no_looser_than(value, default):
        return 0.0
    return 1.0 if kind.is_loosest(value) else 0.5


def shares_namespace(document: Mapping[str, Any], kind: str) -> float:
    """How much of a type of namespace, as the specification names it, a configuration shares with others: 1 for the host's,
    a half for one that it joins by a path, 0 for one of its own."""
    entries = [entry for entry in items(document, "/linux/namespaces") if entry.get("type") == kind]
    return 1.0 if not entries else 0.5 if any(entry.get("path") for entry in entries) else 0.0


def maps_root(document: Mapping[str, Any], side: str = "uid") -> bool:
    """Whether id 0 of the host is in a configuration's user namespace: without one of its own, and where it is mapped."""
    ranges = items(document, f"/linux/{side}Mappings")
    return shares_namespace(document, "user") > 0 or any(not item.get("hostID") for item in ranges)
