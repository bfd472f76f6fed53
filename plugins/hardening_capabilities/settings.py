"""What the table ``[capabilities]`` says: ``drop``, then ``root`` and ``add``, over all capabilities; and
``no_new_privileges``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hardening.base.text import nearest
from hardening.base.values import frozen
from hardening.errors import HardeningError, ProfileError, raise_all
from hardening.mechanism.kinds import Choice, Flag
from hardening.mechanism.roles import Privileges
from hardening.mechanism.schema import WILDCARD, ConfigField, Members, Schema, Statement, family, read_table, scalar
from hardening.profile.source import Node
from hardening_capabilities.table import BY_NAME

#: The name of the family: it has none, its members stand in the mechanism's own table (``capabilities.NET_RAW``).
FAMILY = ""
DROPPED, ROOT, ADDED = "dropped", "root", "added"
#: What an array of the table says of its capabilities; all but the first give them.
_ARRAYS = {"drop": DROPPED, "root": ROOT, "add": ADDED}


def normal(name: str) -> str:
    """A capability's name in its short form: ``cap_net_raw`` -> ``NET_RAW``, ``all`` -> ``*``."""
    upper = name.upper().removeprefix("CAP_")
    return WILDCARD if upper == "ALL" else upper


def read_capability(node: Node) -> str:
    """A capability's short name, or ``*`` for ``ALL``; raises `ProfileError` for an unknown one, with the nearest."""
    name = node.string()
    short = normal(name)
    if short != WILDCARD and short not in BY_NAME:
        hint = nearest(short, list(BY_NAME)) or "capabilities(7) lists the names; ALL means all of them"
        raise node.error(f'unknown capability "{name}"', hint=hint)
    return short


def _read_item(node: Node) -> tuple[str, str]:
    return read_capability(node), ADDED


@frozen(eq=False)
class CapabilityChoice(Choice):
    """Who holds a capability: nobody, root of the container, or whatever user the command runs as."""

    values: tuple[str, ...] = (DROPPED, ROOT, ADDED)

    def grammar(self) -> str:
        return "a name in `drop`, `root` or `add`"

    def show(self, value: str) -> str:
        return "root only" if value == ROOT else value


@frozen
class CapabilitiesSettings(Privileges):
    """Composed settings of `capabilities`."""

    members: Members[str] = family(
        CapabilityChoice(),
        name=FAMILY,
        default=dict.fromkeys(BY_NAME, DROPPED),
        rest=DROPPED,
        absent=DROPPED,
        read_member=read_capability,
        read_item=_read_item,
        help="The capabilities that the command may have: `drop` takes away, then `root` gives them to a command that runs "
        "as root, and `add` to any; all take names with or without `CAP_` in any case, and `ALL`.",
    )
    no_new_privileges: bool = scalar(
        Flag(strict=True),
        True,
        "Whether set-user-ID programs and file capabilities are kept from giving privileges.",
        field=ConfigField("/process/noNewPrivileges"),
    )

    @property
    def added(self) -> frozenset[str]:
        """The short names of the capabilities that root of the container may have, before the host's bounding set cuts
        them."""
        return frozenset(name for name in BY_NAME if self.members[name] != DROPPED)

    def opened_by(self, capability: str) -> frozenset[str]:
        from hardening_capabilities.checks import opened_by  # no launch asks

        return opened_by(capability) if BY_NAME[capability].risk else frozenset()

    def has_other_uses(self, capability: str) -> bool:
        from hardening_capabilities.checks import has_other_uses  # no launch asks

        return has_other_uses(capability)

    @property
    def kept(self) -> frozenset[str]:
        """Those of them that any other user has, too."""
        return frozenset(name for name in BY_NAME if self.members[name] == ADDED)


def read(schema: Schema, table: Node) -> Iterator[Statement]:
    """The says of one layer's table. Raises `ProfileError`, or `Problems` with several: an unknown key or name, a name
    dropped and added at once."""
    yield from read_table(schema, table, own=_ARRAYS)
    statements: dict[str, Statement] = {}
    problems: list[HardeningError] = []
    for key, node in table.members():
        for item in node.items() if key in _ARRAYS else ():
            try:
                _say(statements, item, _ARRAYS[key])
            except HardeningError as error:
                problems.append(error)
    raise_all(problems)
    yield from statements.values()


def _say(statements: dict[str, Statement], item: Node, value: str) -> None:
    name = read_capability(item)
    earlier = statements.get(name)
    if earlier is not None and earlier.value != value:
        arrays = {found: array for array, found in _ARRAYS.items()}
        raise item.error(
            f"{item.raw} is in both `{arrays[earlier.value]}` and `{arrays[value]}` of one layer, see {earlier.origin}",
            hint="name it in one of them",
        )
    statements.setdefault(name, Statement(FAMILY, name, value, item.origin))


def read_limits(schema: Schema, table: Node) -> Iterator[Statement]:
    """The ceilings of one layer. Raises `ProfileError` as `read` does, and where `add` or `root` permits members of a
    ceiling that is open for all others."""
    statements = list(read(schema, table))
    closed = any(
        statement.setting == FAMILY and statement.member == WILDCARD and statement.value == DROPPED
        for statement in statements
    )
    for key in ("add", "root"):
        given = table.get(key)
        if given is not None and not closed:
            raise ProfileError(
                f'{given.dotted}: this limits nothing while `drop` does not name "ALL"',
                origin=given.origin,
                hint=f'write drop = ["ALL"] beside it: then nothing but what `{key}` names may ever be added',
            )
    yield from statements


def dump(values: Mapping[tuple[str, str], Any]) -> dict[str, object]:
    """TOML data that says exactly ``values``, keyed by setting and member."""
    table: dict[str, object] = {name: value for (name, _), value in values.items() if name != FAMILY}
    said = {member: value for (name, member), value in values.items() if name == FAMILY}
    rest = said.pop(WILDCARD, None)
    lists: dict[str, list[str]] = {
        key: sorted(member for member, value in said.items() if value == allowed and rest != allowed)
        for key, allowed in _ARRAYS.items()
    }
    if rest is not None:
        lists[next(key for key, allowed in _ARRAYS.items() if allowed == rest)] = ["ALL"]
    return {key: names for key, names in lists.items() if names} | table
