"""The `[scan]` table: of each kind of thing that a root can have, whether it stops a run, and where it does not.

Each kind is a family of paths of which `*` is the default: ``setuid = "deny"``, ``setuid.allow = ["/usr/bin/passwd"]``. A
path stands below its directories, and what is said of a directory holds for all below it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from hardening.base.text import nearest
from hardening.base.values import frozen
from hardening.mechanism import scanner
from hardening.mechanism.kinds import Flag, Kind
from hardening.mechanism.schema import (
    STRINGS,
    WILDCARD,
    Family,
    Members,
    Schema,
    Statement,
    family,
    scalar,
    unknown_key,
)
from hardening.profile.source import Node

ALLOW, DENY, DEFAULT = "allow", "deny", "default"
COMMAND = "command"
#: What stands for the root in the command of an external scanner.
PLACE = "{root}"
#: What each kind is, for people.
WHAT: Mapping[str, str] = MappingProxyType(
    {
        scanner.SETUID: "Programs that run with the rights of their owner.",
        scanner.SETGID: "Programs that run with the rights of their group.",
        scanner.CAPABILITIES: "Programs with capabilities of their own (capabilities(7)).",
        scanner.WORLD_WRITABLE: "What everybody can write to; not directories with the sticky bit.",
        scanner.DEVICES: "Device nodes.",
        scanner.CREDENTIALS: "Private keys, passwords and tokens. Only their kind and path is ever told.",
        scanner.EXTERNAL: "What scanners of other packages, and `command`, find.",
        scanner.UNREAD: "What could not be looked at: it may be whatever is denied there.",
    }
)
LENIENT = "a gate costs a walk through the whole root at each run of a directory: it applies where a layer asks for it"


@frozen(eq=False)
class Permission(Flag):
    """Whether something may be there; that it may not is stricter."""

    strict: bool = False

    def parse(self, node: Node) -> bool:
        value = node.string()
        if value not in (ALLOW, DENY):
            raise node.error(
                f'"{value}" is neither "{ALLOW}" nor "{DENY}"',
                hint=nearest(value, (ALLOW, DENY)) or "write one of them",
            )
        return value == ALLOW

    def grammar(self) -> str:
        return '`"deny"` \\| `"allow"`'

    def show(self, value: bool) -> str:
        return ALLOW if value else DENY

    def dump(self, value: bool) -> object:
        return self.show(value)


@frozen(eq=False)
class CommandKind(Kind[tuple[str, ...]]):
    """The arguments of an external scanner. None at all is the loosest; two different ones cannot be compared."""

    def parse(self, node: Node) -> tuple[str, ...]:
        words = tuple(item.string() for item in node.items())
        if words and (not words[0] or PLACE in words[0] or not any(PLACE in word for word in words[1:])):
            raise node.error(f"names no program, or no {PLACE} among its arguments", hint='["SCANNER", "{root}"]')
        if words and "/" in words[0] and not words[0].startswith("/"):
            raise node.error(
                f'"{words[0]}" is another program in each directory', hint="write the whole path, or a name"
            )
        return words

    def is_no_looser_than(self, a: tuple[str, ...], b: tuple[str, ...]) -> bool:
        return a == b or not b

    def intersect(self, a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, ...] | None:
        return a if not b or a == b else b if not a else None

    def grammar(self) -> str:
        return "array of a program and its arguments, of which `{root}` is the root"

    def json_schema(self) -> Mapping[str, object]:
        return dict(STRINGS)

    def samples(self) -> Sequence[tuple[str, ...]]:
        return ((), ("scanner", PLACE), ("other", "--sarif", PLACE))

    def show(self, value: tuple[str, ...]) -> str:
        return " ".join(value) or "none"

    def dump(self, value: tuple[str, ...]) -> object:
        return list(value)


def read_path(node: Node) -> str:
    """A path in a root."""
    text = node.string()
    if text in (WILDCARD, DEFAULT):
        return WILDCARD
    if not text.startswith("/") or "\0" in text or ".." in text.split("/") or text.strip("/") == "":
        raise node.error(f'"{text}" is not a path in a root', hint='it begins with / and has no ..: "/usr/bin/passwd"')
    return "/" + posixpath.normpath(text).lstrip("/")


def above(path: str) -> Sequence[str]:
    """The directories above a path, nearest first, without the root."""
    found = []
    while (path := posixpath.dirname(path)) not in ("/", ""):
        found.append(path)
    return found


def _family(kind: str, *, nested: bool = False) -> Any:
    return family(
        Permission(),
        rest=True,
        absent=False,
        read_member=read_path,
        examples=("/usr", "/usr/bin/passwd") if nested else ("/usr/bin/passwd",),
        help=f"{WHAT[kind]} An array of paths denies all others; tables have `default`, `allow` and `deny`.",
        lenient=LENIENT,
        above=above,
    )


@frozen
class ScanSettings:
    """Composed `[scan]`."""

    setuid: Members[bool] = _family(scanner.SETUID, nested=True)
    setgid: Members[bool] = _family(scanner.SETGID)
    file_capabilities: Members[bool] = _family(scanner.CAPABILITIES)
    world_writable: Members[bool] = _family(scanner.WORLD_WRITABLE)
    devices: Members[bool] = _family(scanner.DEVICES)
    credentials: Members[bool] = _family(scanner.CREDENTIALS)
    external: Members[bool] = _family(scanner.EXTERNAL)
    command: tuple[str, ...] = scalar(
        CommandKind(),
        (),
        "An external scanner, a program of the host's. It says what it finds as SARIF, or by its exit code.",
        lenient="no scanner is part of every host",
    )

    def of(self, kind: str) -> Members[bool]:
        """The permissions of a kind."""
        found: Members[bool] = getattr(self, kind)
        return found

    @property
    def gated(self) -> tuple[str, ...]:
        """The kinds of which something is denied; none: there is no gate."""
        return tuple(
            kind for kind in scanner.DENIABLE if not (self.of(kind).rest and all(self.of(kind).named.values()))
        )

    def permits(self, kind: str, path: str) -> bool:
        """Whether something of a kind may be at a path."""
        members = self.of(kind)
        return next((members.named[name] for name in (path, *above(path)) if name in members.named), members.rest)

    def permits_all(self, kind: str, path: str) -> bool:
        """Whether something of a kind may be at a path, and everywhere below it."""
        below = "/" if path == "/" else f"{path}/"
        named = self.of(kind).named.items()
        return self.permits(kind, path) and all(permitted for name, permitted in named if name.startswith(below))


def read(schema: Schema, table: Node) -> Iterator[Statement]:
    """The says of a layer's table. Raises `ProfileError`."""
    settings = schema.settings
    for key, node in table.members():
        setting = settings.get(key)
        if setting is None:
            raise unknown_key(node, key, settings)
        if isinstance(setting, Family):
            yield from _kind(setting, node)
        else:
            yield Statement(key, "", setting.kind.parse(node), node.origin)


def _kind(setting: Family[bool], node: Node) -> Iterator[Statement]:
    if isinstance(node.raw, str):
        yield Statement(setting.name, WILDCARD, setting.kind.parse(node), node.origin)
    elif isinstance(node.raw, dict):
        yield from _table(setting, node)
    else:
        yield Statement(setting.name, WILDCARD, False, node.origin)
        for path in dict.fromkeys(_paths(node)):
            yield Statement(setting.name, path, True, node.origin)


def _table(setting: Family[bool], node: Node) -> Iterator[Statement]:
    said: dict[str, str] = {}
    for key, value in node.members():
        if key == DEFAULT:
            yield Statement(setting.name, WILDCARD, setting.kind.parse(value), value.origin)
        elif key in (ALLOW, DENY):
            for path in dict.fromkeys(_paths(value)):
                if said.setdefault(path, key) != key:
                    raise value.error(f"{path} is allowed and denied at once", hint="name it once")
                yield Statement(setting.name, path, key == ALLOW, value.origin)
        else:
            keys = (DEFAULT, ALLOW, DENY)
            raise value.error("unknown key", hint=nearest(key, keys) or f"the keys here are {', '.join(keys)}")


def _paths(node: Node) -> Iterator[str]:
    for item in node.items():
        path = read_path(item)
        if path == WILDCARD:
            raise item.error(f'"{item.raw}" is not a path in a root', hint='for all others write "allow" or "deny"')
        yield path


def dump(schema: Schema, values: Mapping[tuple[str, str], Any]) -> dict[str, object]:
    """TOML data for `read` that says exactly ``values``."""
    table: dict[str, Any] = {}
    for (name, member), value in sorted(values.items(), key=lambda item: item[0]):
        setting = schema.settings[name]
        if not isinstance(setting, Family):
            table[name] = setting.kind.dump(value)
        elif member == WILDCARD:
            table.setdefault(name, {})[DEFAULT] = setting.kind.dump(value)
        else:
            table.setdefault(name, {}).setdefault(ALLOW if value else DENY, []).append(member)
    return table
