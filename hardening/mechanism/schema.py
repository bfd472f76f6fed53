"""What a mechanism's table may say: scalars and families, declared once in an attrs class.

A *scalar* is one leaf (``rootfs.read_only``). A *family* is a mapping of members to values, where ``*`` stands for
every member that is not named (``rootfs.volumes./data``, ``seccomp.ptrace``). In TOML a family is written as a table of
members, or as a list: ``x = [..]`` names its members and makes all others absent, ``x.add`` and ``x.drop`` speak only
of the members that they name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import attrs

from hardening.base.pointer import escape
from hardening.base.text import nearest
from hardening.base.values import frozen
from hardening.errors import HardeningError, raise_all
from hardening.mechanism.kinds import Choice, Flag, Kind
from hardening.profile.source import Node, Origin

T = TypeVar("T")

WILDCARD = "*"
#: An array of names, and a list that is replaced by one or changed with ``add`` and ``drop``, as JSON Schema
#: (`Mechanism.forms`).
STRINGS: Mapping[str, Any] = {"type": "array", "items": {"type": "string"}}
CHANGED: Mapping[str, Any] = {"anyOf": [STRINGS, {"type": "object", "propertyNames": {"enum": ["add", "drop"]}}]}


@frozen(order=True)
class Leaf:
    """The name of one composed value; ``setting`` or ``member`` may be empty."""

    mechanism: str
    setting: str
    member: str = ""

    def __str__(self) -> str:
        return ".".join(part for part in (self.mechanism, self.setting, self.member) if part)


@frozen
class Statement:
    """What a layer says of one leaf. ``is_upper_bound`` makes it one: it never loosens, it intersects.
    ``word`` is what the layer wrote instead of the leaf's own name, such as a group; an exception can be for all of it."""

    setting: str
    member: str
    value: Any
    origin: Origin
    is_upper_bound: bool = False
    word: str = ""


def _unchanged(value: Any) -> Any:
    return value


@frozen(eq=False)
class ConfigField(Generic[T]):
    """Where the value of a scalar stands in the OCI configuration, a JSON pointer: such a setting is plain
    (`Mechanism`). ``write`` makes JSON data of the value, and ``read`` makes of JSON data what the setting's
    kind parses; it raises `ValueError` for what cannot be a value. ``unset`` is the value that the specification gives a
    configuration which has nothing there; None where it gives none."""

    pointer: str
    write: Callable[[T], object] = _unchanged
    read: Callable[[Any], object] = _unchanged
    unset: T | None = None


#: What annotations have of values, which are text.
_TEXTS: Mapping[type, Callable[[Any], str]] = {bool: lambda value: str(value).lower()}
_VALUES: Mapping[type, Callable[[str], object]] = {bool: lambda text: {"true": True, "false": False}.get(text)}


def annotation(name: str, of: type = str) -> ConfigField[Any]:
    """The field of a setting that somebody else enforces, who reads it from an annotation of the container: its name, and
    the Python type of the value (`str`, `int`, `bool`), which stands there as text."""
    return ConfigField("/annotations/" + escape(name), _TEXTS.get(of, str), _VALUES.get(of, of))


@frozen(eq=False)
class Scalar(Generic[T]):
    """A setting that is one value. ``default`` is the strict one; ``lenient`` says why, where stricter values exist.
    ``field`` makes it a plain one."""

    name: str
    kind: Kind[T]
    default: T
    help: str
    lenient: str = ""
    field: ConfigField[T] | None = None


@frozen(eq=False)
class Family(Generic[T]):
    """A setting that maps members to values.

    ``default`` and ``rest`` are the strict values of named and unnamed members; ``absent`` is what a list says of
    members that it leaves out or drops. ``read_item`` turns one list element into member and value, ``read_member``
    checks a member's name; a family without ``read_item`` is written as a table. ``examples`` are names of members for
    the property tests, where ``default`` has none. ``lenient`` is as for `Scalar`.

    ``above`` makes members stand below one another: it names the members above one, nearest first, without ``*``, which
    is above them all. What those above a member have above them is the rest of its own list. A member that nobody
    names has the value of the nearest named one above it (`hardening.compose.descent`).

    ``bound_by`` names another family of the mechanism whose limits say which members this one may have at all.
    """

    name: str
    kind: Kind[T]
    rest: T
    help: str
    default: Mapping[str, T]
    absent: T
    read_member: Callable[[Node], str]
    read_item: Callable[[Node], tuple[str, T]] | None = None
    examples: tuple[str, ...] = ()
    lenient: str = ""
    above: Callable[[str], Sequence[str]] | None = None
    bound_by: str = ""

    @property
    def listed(self) -> bool:
        """Whether the family is written as a list."""
        return self.read_item is not None

    def chain(self, member: str) -> tuple[str, ...]:
        """Where the value of a member is looked for: its own name, those above it, and ``*``."""
        if member == WILDCARD:
            return (WILDCARD,)
        return (member, *(self.above(member) if self.above is not None else ()), WILDCARD)


Setting = Scalar[Any] | Family[Any]


@frozen
class Members(Generic[T]):
    """The composed value of a family."""

    named: Mapping[str, T]
    rest: T

    def __getitem__(self, member: str) -> T:
        return self.named.get(member, self.rest)

    def having(self, value: T) -> tuple[str, ...]:
        """The named members with this value, sorted."""
        return tuple(sorted(member for member, item in self.named.items() if item == value))


def scalar(
    kind: Kind[T],
    default: T,
    help: str,  # noqa: A002
    *,
    name: str = "",
    lenient: str = "",
    field: ConfigField[Any] | str | None = None,
) -> Any:
    """Declare a scalar as a field of a mechanism's settings class (see `Scalar`); ``name`` is its key where it differs (dots
    allowed). A ``field`` that is only a JSON pointer has the value as it is."""
    stands = ConfigField[Any](field) if isinstance(field, str) else field
    return attrs.field(metadata={"setting": Scalar(name, kind, default, help, lenient, stands)}, kw_only=True)


def family(
    kind: Kind[T],
    *,
    rest: T,
    absent: T,
    help: str,  # noqa: A002
    default: Mapping[str, T] = MappingProxyType({}),
    read_member: Callable[[Node], str] = Node.string,
    read_item: Callable[[Node], tuple[str, T]] | None = None,
    name: str | None = None,
    examples: tuple[str, ...] = (),
    lenient: str = "",
    above: Callable[[str], Sequence[str]] | None = None,
    bound_by: str = "",
) -> Any:
    """Declare a family as a field of a mechanism's settings class (see `Family`); ``name=""`` makes the mechanism's own
    table the family, for mechanisms that read their table themselves."""
    key = name if name is not None else "\0"
    setting = Family(key, kind, rest, help, default, absent, read_member, read_item, examples, lenient, above, bound_by)
    return attrs.field(metadata={"setting": setting}, kw_only=True)


def listing(
    read_member: Callable[[Node], str],
    help: str,  # noqa: A002
    *,
    restricts: bool = False,
    default: Iterable[str] = (),
    examples: tuple[str, ...] = (),
    lenient: str = "",
) -> Any:
    """Declare a family that lists names, ``default`` where nothing is said: a name in the list is looser than one that is
    not, and stricter where the list ``restricts``."""
    return family(
        Flag(strict=restricts),
        rest=False,
        absent=False,
        help=help,
        default=dict.fromkeys(default, True),
        read_member=read_member,
        read_item=lambda node: (read_member(node), True),
        examples=examples,
        lenient=lenient,
    )


REQUIREMENT = Scalar(
    "requirement",
    Choice(("required", "best-effort")),
    "required",
    "`required` stops a launch that this host cannot enforce; `best-effort` goes on and says so.",
)


@frozen(eq=False)
class Schema:
    """The settings of one mechanism: ``fields`` maps attribute names of its settings class to settings."""

    fields: Mapping[str, Setting]

    @classmethod
    def of(cls, settings_type: type) -> Schema:
        """Read the declarations of an attrs class. Raises `TypeError` for a field that declares no setting."""
        fields: dict[str, Setting] = {}
        for field in attrs.fields(settings_type):
            setting: Setting | None = field.metadata.get("setting")
            if setting is None:
                raise TypeError(
                    f"{settings_type.__name__}.{field.name} is declared by none of scalar, family and listing"
                )
            if (isinstance(setting, Scalar) and not setting.name) or setting.name == "\0":
                setting = attrs.evolve(setting, name=field.name)
            fields[field.name] = setting
        return cls(MappingProxyType(fields))

    @cached_property
    def settings(self) -> Mapping[str, Setting]:
        """All settings by name, the core's ``requirement`` included."""
        return MappingProxyType({setting.name: setting for setting in (*self.fields.values(), REQUIREMENT)})

    def find(self, name: str) -> tuple[Setting, str] | None:
        """The setting and the member that a name such as ``volumes./data`` means, or None."""
        settings = self.settings
        if name in settings and (name or isinstance(settings[name], Family)):
            return settings[name], ""
        best: tuple[Setting, str] | None = None
        for setting in settings.values():
            prefix = f"{setting.name}." if setting.name else ""
            fits = isinstance(setting, Family) and name.startswith(prefix) and name != prefix
            if fits and (best is None or len(setting.name) > len(best[0].name)):
                best = (setting, name[len(prefix) :])
        return best


def read_table(schema: Schema, table: Node, own: Collection[str] = ()) -> Iterator[Statement]:
    """The says of a table by the declared grammar, but for the keys that its mechanism reads on its ``own``; raises
    `ProfileError`, or `Problems` with several, for unknown keys and wrong types."""
    return _read(schema.settings, table, "", own)


def _read(settings: Mapping[str, Setting], table: Node, prefix: str, own: Collection[str] = ()) -> Iterator[Statement]:
    problems: list[HardeningError] = []
    for key, node in table.members():
        if key in own:
            continue
        name = prefix + key
        setting = settings.get(name) if key else None  # the family of a whole table has no name that could be written
        try:
            if isinstance(setting, Scalar):
                yield Statement(name, "", setting.kind.parse(node), node.origin)
            elif isinstance(setting, Family):
                yield from read_family(setting, node)
            elif any(other.startswith(name + ".") for other in settings):
                yield from _read(settings, node, name + ".")
            else:
                raise unknown_key(node, key, (*settings, *own), prefix)
        except HardeningError as error:
            problems.append(error)
    raise_all(problems)


def unknown_key(node: Node, key: str, settings: Iterable[str], prefix: str = "") -> Exception:
    """The error for a key that none of the ``settings`` has; these are names."""
    known = sorted({name[len(prefix) :].split(".")[0] for name in settings if name.startswith(prefix)} - {""})
    return node.error("unknown key", hint=nearest(key, known) or f"the keys here are {', '.join(known)}")


def read_family(setting: Family[T], node: Node) -> Iterator[Statement]:
    """The says of one family's value in its list or table form. Raises `ProfileError`, or `Problems` with several."""
    statements: dict[str, Statement] = {}
    problems: list[HardeningError] = []
    for item, read in _readers(setting, node):
        try:
            _once(statements, Statement(setting.name, *read(item), item.origin), item)
        except HardeningError as error:
            problems.append(error)
    raise_all(problems)
    yield from statements.values()


def _readers(setting: Family[T], node: Node) -> Iterator[tuple[Node, Callable[[Node], tuple[str, T]]]]:
    """The items of a family's value, each with what reads a member and its value of it."""

    def member(entry: Node) -> tuple[str, T]:
        key = str(entry.path[-1])
        name = key if key == WILDCARD else setting.read_member(Node(key, entry.path, entry.document))
        value = setting.kind.parse(entry)
        if key == WILDCARD:
            require_absent(setting, value, entry)
        return name, value

    def dropped(item: Node) -> tuple[str, T]:
        return setting.read_member(item), setting.absent

    if setting.read_item is None:
        yield from ((entry, member) for _, entry in node.members())
    elif isinstance(node.raw, dict):
        for key, edits in node.members():
            if key not in ("add", "drop"):
                raise edits.error(
                    "unknown key", hint="a list is changed with `add` and `drop`, or replaced by an array"
                )
            yield from ((item, setting.read_item if key == "add" else dropped) for item in edits.items())
    else:
        yield node, lambda node: (WILDCARD, setting.absent)
        yield from ((item, setting.read_item) for item in node.items())


def require_absent(setting: Family[T], value: T, node: Node) -> None:
    """Refuse a value for every member that is not named, unless it is that there are none: it would mean nothing."""
    if value != setting.absent:
        raise node.error(f"{setting.kind.show(value)} for every {setting.name} there is", hint="name each member")


def _once(statements: dict[str, Statement], statement: Statement, item: Node) -> None:
    earlier = statements.get(statement.member)
    if earlier is not None and earlier.value != statement.value:
        raise item.error(f"{statement.member} is already set at {earlier.origin}", hint="name it once")
    statements[statement.member] = statement


def dump_table(schema: Schema, values: Mapping[tuple[str, str], Any]) -> dict[str, object]:
    """TOML data for `read_table` that says exactly ``values``."""
    table: dict[str, object] = {}
    for setting in schema.settings.values():
        if isinstance(setting, Scalar):
            if (setting.name, "") in values:
                _place(table, setting.name, setting.kind.dump(values[setting.name, ""]))
            continue
        stated = {member: value for (name, member), value in values.items() if name == setting.name}
        if stated:
            _place(table, setting.name, _dump_family(setting, stated))
    return table


def _dump_family(setting: Family[Any], stated: Mapping[str, Any]) -> object:
    if not setting.listed:
        return {member: setting.kind.dump(value) for member, value in sorted(stated.items())}
    present = [setting.kind.dump(value) if not isinstance(value, bool) else member
               for member, value in sorted(stated.items()) if member != WILDCARD and value != setting.absent]  # fmt: skip
    if WILDCARD in stated:
        return present
    dropped = [member for member, value in sorted(stated.items()) if value == setting.absent]
    return {key: items for key, items in (("add", present), ("drop", dropped)) if items}


def sample_says(schema: Schema) -> list[tuple[str, str, Any]]:
    """Setting, member and value of the samples that the declarations of a schema give."""
    statements: list[tuple[str, str, Any]] = []
    for setting in schema.settings.values():
        if isinstance(setting, Scalar):
            statements += [(setting.name, "", value) for value in setting.kind.samples()]
            continue
        values = setting.kind.samples()
        for member in [*setting.examples, *list(setting.default)[:3]]:
            statements += [(setting.name, member, value) for value in values]
        statements.append((setting.name, WILDCARD, setting.absent))
    return statements


def _place(table: dict[str, object], name: str, value: object) -> None:
    *parents, last = name.split(".")
    for parent in parents:
        inner = table.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise TypeError(f"{name}: {parent} is a value and a table at once")
        table = inner
    table[last] = value
