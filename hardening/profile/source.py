"""TOML text -> nodes that know where they stand.

A `Document` is one profile file, or the command line in the shape of one; a `Node` is a value in it with its path and
origin, and offers typed access whose errors name ``file:line: table.key``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import attrs

from hardening.base import wholefile
from hardening.base.digest import sha256
from hardening.base.text import nearest
from hardening.base.values import freeze, frozen
from hardening.base.wholefile import Owner
from hardening.errors import Gathering, ProfileError, quoted, raise_all
from hardening.profile import toml_lines

MAX_BYTES = 1 << 20
MAX_DEPTH = 16
#: A key of more than 64 parts: nothing else has that many words between dots. No part begins behind a backslash: of quotes
#: that are escaped each would be one, and would be looked at to the end of the line.
_LONG_KEY = re.compile(r"""(?<![\w.\\-])(?:(?:[\w-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){64}""")
#: A value that is shorter tells little where a text or another setting has it, and stands in many.
SHORTEST = 4
_LOWEST, _HIGHEST = -(1 << 63), (1 << 63) - 1
_TOO_WIDE = "an integer of more than 64 bits"
_A_NAME = "check the path and its permissions; a name, without `/` and `.toml`, is looked up (`hardening profile list`)"
#: How tomllib begins what it says of a key that is there already.
_TWICE = ("Cannot overwrite", "Cannot declare", "Duplicate")
_FLATTER = "no setting needs that much: check for unclosed brackets"


@frozen
class Origin:
    """Where a value was said: ``layer`` is the profile's name, ``place`` is ``file:line`` or the command-line option, and
    ``written`` is what stands there, where a placeholder in it was filled in."""

    layer: str
    place: str
    written: str = attrs.field(default="", eq=False)

    def __str__(self) -> str:
        return self.place

    @property
    def elsewhere(self) -> str:
        """What to do where the value cannot be because of where the caller stands: a hint; empty for any other value."""
        from hardening.profile import placeholders  # few profiles have any

        return placeholders.elsewhere(self.written)


def _view(places: Mapping[toml_lines.Path, str]) -> Mapping[toml_lines.Path, str]:
    return MappingProxyType(places)


@frozen(eq=False)
class Document:
    """A parsed profile, of which no part can be changed (`hardening.base.values`). ``places`` maps each path to
    the text that names its position; ``file`` is None for the command line; ``text`` is what was read of the file,
    and ``digest`` its SHA-256. ``home`` is the folder that a copy's paths count from, None for what is no copy."""

    name: str
    file: Path | None
    tables: Mapping[str, object] = attrs.field(converter=freeze)
    places: Mapping[toml_lines.Path, str] = attrs.field(converter=_view)
    digest: str = ""
    text: str = ""
    typed: bool = False
    home: Path | None = None
    _from_folder: list[str] = attrs.field(factory=list)
    _written: dict[toml_lines.Path, str] = attrs.field(factory=dict)

    @cached_property
    def spans(self) -> Mapping[toml_lines.Path, tuple[int, int]]:
        """Where each path stands in the text (`toml_lines.spans`)."""
        return toml_lines.spans(self.text)

    @cached_property
    def elements(self) -> Mapping[str, toml_lines.Path]:
        """The path of each element of an array, by its name as messages have it (`Node.dotted`)."""
        return {Node(None, path, self).dotted: path for path in self.places if path and isinstance(path[-1], int)}

    def origin(self, path: toml_lines.Path) -> Origin:
        """The place of the longest known prefix of ``path``."""
        for end in range(len(path), 0, -1):
            place = self.places.get(path[:end])
            if place is not None:
                return Origin(self.name, place, self._written.get(path, ""))
        return Origin(self.name, f"{self.file}:1" if self.file else "command line")

    def without(self, places: Collection[str]) -> Document:
        """This document without what stands at some places, such as options of the command line."""
        kept: dict[toml_lines.Path, str] = {}

        def copied(value: object, old: toml_lines.Path, new: toml_lines.Path) -> object:
            """What is kept of a value; None, which TOML has not, for nothing."""
            place = self.origin(old).place
            if isinstance(value, dict):
                items = {key: copied(item, (*old, key), (*new, key)) for key, item in value.items()}
                found: object = {key: item for key, item in items.items() if item is not None} or None
            elif isinstance(value, list):
                members: list[object] = []
                for index, item in enumerate(value):
                    member = copied(item, (*old, index), (*new, len(members)))
                    members += [] if member is None else [member]
                found = members or (None if value or place in places else [])
            else:
                found = None if place in places else value
            if found is not None:
                kept[new] = place
            return found

        return attrs.evolve(self, tables=copied(self.tables, (), ()) or {}, places=kept)

    def reached(self, path: str, *, read: bool = False) -> Path:
        """A path that this document says: a relative one counts from the folder of its file, and on the command line from
        the one where that is typed, which decides the stack from then on (`depends_on_folder`). A file that is ``read`` now
        lies beside the copy of a profile, any other where that belongs."""
        if self.file is not None:
            return (self.file.parent if read or self.home is None else self.home) / path
        if not path.startswith("/"):
            self._from_folder.append(path)
        return Path.cwd() / path

    def filled(self, text: str, path: toml_lines.Path, whole: str) -> str:
        """A text of this document, said at ``path`` as ``whole`` or a part of it, with its placeholders filled in. What is
        typed has none: the shell fills it in. Raises `NoPlaceholder`."""
        if self.typed or "{" not in text:
            return text
        from hardening.profile import placeholders  # few profiles have any

        result, used = placeholders.fill(text)
        if used:
            self._written[path] = whole
        if placeholders.CWD in used:
            self._from_folder.append(result)
        return result

    @property
    def depends_on_folder(self) -> bool:
        """Whether the folder where this was typed decides it: a path of the command line has counted from there, or a
        placeholder stands for it."""
        return bool(self._from_folder)

    @cached_property
    def values(self) -> frozenset[str]:
        """Each single value as text, and of one such as ``NAME=VALUE`` what follows as well."""
        texts = list(singles(self.tables))
        return frozenset((*texts, *(text.partition("=")[2] for text in texts)))

    @property
    def root(self) -> Node:
        """The whole document as a node."""
        return Node(self.tables, (), self)


@frozen(eq=False)
class Node:
    """A value inside a document."""

    raw: object
    path: toml_lines.Path
    document: Document

    @property
    def origin(self) -> Origin:
        """Where this value stands."""
        return self.document.origin(self.path)

    @property
    def dotted(self) -> str:
        """The path as people write it: ``rootfs.volumes[0]``."""
        text = ""
        for part in self.path:
            text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
        return text

    def error(self, message: str, hint: str | None = None) -> ProfileError:
        """An error about this value, to be raised by the caller."""
        prefix = f"{self.dotted}: " if self.path else ""
        return ProfileError(prefix + message, origin=self.origin, hint=hint, setting=self.dotted)

    def wrong_type(self, wanted: str) -> ProfileError:
        """The error for a value of another type than ``wanted``."""
        return self.error(f"{_type_name(self.raw)} where {wanted} is expected", hint=_WRITTEN.get(wanted))

    def child(self, key: str | int, raw: object) -> Node:
        """The node of one member."""
        return Node(raw, (*self.path, key), self.document)

    def get(self, key: str) -> Node | None:
        """The member ``key`` of a table, or None."""
        table = self.table()
        return self.child(key, table[key]) if key in table else None

    def table(self) -> Mapping[str, object]:
        """The value as a table; raises `ProfileError` for any other type."""
        if not isinstance(self.raw, dict):
            raise self.wrong_type("a table")
        return self.raw

    def members(self) -> Iterator[tuple[str, Node]]:
        """Key and node of each member of a table."""
        for key, raw in self.table().items():
            yield key, self.child(key, raw)

    def items(self, *, tables: bool = False) -> Iterator[Node]:
        """The elements of an array, of ``tables`` or of anything else. On the command line one value stands for an array of
        one."""
        raw = self.raw
        if not isinstance(raw, list):
            if self.document.typed and not isinstance(raw, dict):
                yield self
                return
            error = self.wrong_type("an array")
            if tables:
                error.hint = f"write [[{self.dotted}]], with two brackets"
            raise error
        for index, item in enumerate(raw):
            yield self.child(index, item)

    def string(self) -> str:
        """The value as a string without NUL; raises `ProfileError` for any other type."""
        if not isinstance(self.raw, str):
            raise self.wrong_type("a string")
        if "\0" in self.raw:
            raise self.error("a string with a NUL character", hint="remove it: no path, name or argument has one")
        return self.raw

    def filled(self, text: str | None = None) -> str:
        """The value as `string` has it, or a ``text`` that is a part of it, with the caller's own places and names in the
        place of their placeholders (`hardening.profile.placeholders`). For values in which a path or a user makes sense,
        and for nothing that decides what is looked up. Raises `ProfileError`."""
        text = self.string() if text is None else text
        try:
            return self.document.filled(text, self.path, self.raw if isinstance(self.raw, str) else text)
        except ValueError as error:
            raise self.error(str(error), hint=getattr(error, "hint", None)) from None

    def boolean(self) -> bool:
        """The value as a boolean; raises `ProfileError` for any other type."""
        if not isinstance(self.raw, bool):
            raise self.wrong_type("true or false")
        return self.raw

    def integer(self, low: int | None = None, high: int | None = None) -> int:
        """The value as an integer in ``low..high``; raises `ProfileError` otherwise."""
        if isinstance(self.raw, bool) or not isinstance(self.raw, int):
            raise self.wrong_type("an integer")
        if (low is not None and self.raw < low) or (high is not None and self.raw > high):
            span = f"at least {low}" if high is None else f"at most {high}" if low is None else f"from {low} to {high}"
            raise self.error(f"{self.raw} is out of range, it must be {span}", hint="choose a number within it")
        return self.raw


def one_or_more(node: Node) -> list[Node]:
    """The elements of an array, for which a string stands that is its only one. Raises `ProfileError`."""
    return [node] if isinstance(node.raw, str) else [*node.items()]


def known_members(table: Node, known: Collection[str], otherwise: str) -> dict[str, Node]:
    """The members of a table whose keys are ``known``. Raises `ProfileError`, or `Problems` with several, for other keys,
    with the hint ``otherwise`` where one is like none of them."""
    found = dict(table.members())
    others = [(node, nearest(key, known)) for key, node in found.items() if key not in known]
    raise_all([node.error("unknown key", hint=hint or otherwise) for node, hint in others])
    return found


def gathered_members(table: Node, known: Collection[str], otherwise: str, each: Gathering) -> dict[str, Node]:
    """The same without other keys, whose errors ``each`` has. Raises `ProfileError` for what is no table."""
    found = dict(table.members())
    with each:
        known_members(table, known, otherwise)
    return {key: node for key, node in found.items() if key in known}


#: How each type is written.
_WRITTEN = MappingProxyType(
    {
        "a string": 'write it in quotes: "text"',
        "true or false": "write true or false, without quotes",
        "an integer": "write a whole number, without quotes",
        "an array": 'write it in brackets: ["one", "two"]',
        "a table": "write keys with values below a [header]",
        "a date": "write expires = 2030-12-31",
    }
)


def _type_name(raw: object) -> str:
    if raw is None:
        return "null"  # of JSON, which TOML does not have
    names = {dict: "a table", list: "an array", str: "a string", bool: "a boolean", int: "an integer", float: "a float"}
    return next((name for kind, name in names.items() if isinstance(raw, kind)), "a date or time")


def read(path: Path, name: str, *, owner: Owner = Owner.ANY, hint: str = _A_NAME) -> Document:
    """Read the profile at ``path``, which is to be called ``name`` in messages; ``hint`` is for one that is not there.

    Raises `ProfileError` for a file that is missing, unreadable, not a regular file, writable by others than its owner
    and root, larger than `MAX_BYTES`, not UTF-8, not TOML, or nested deeper than `MAX_DEPTH`. Who may be its ``owner``
    depends on who has named it: what a name means, nobody but the caller and root may supply.
    """
    data = wholefile.read_trusted(path, "the profile", MAX_BYTES, hint=hint, owner=owner)
    text = decoded(data, path, "save the profile as UTF-8")
    tables = _parse(text, path)
    try:
        places = {key: f"{path}:{line}" for key, line in toml_lines.key_lines(text, MAX_DEPTH).items()}
    except toml_lines.TooDeep as error:
        raise ProfileError(
            f"nested deeper than {MAX_DEPTH} levels", origin=f"{path}:{error.line}", hint=_FLATTER
        ) from None
    return Document(name, path, tables, places, sha256(data), text=text)


def decoded(data: bytes, path: Path, hint: str) -> str:
    """The text of UTF-8 ``data``, read from ``path``. Raises `ProfileError`, with the line, for anything else."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ProfileError(f"byte 0x{data[error.start]:02x} is not UTF-8", origin=f"{path}:{line}", hint=hint) from None


def parse_toml(text: str) -> dict[str, object]:
    """The data of TOML text. Raises `ValueError` for what is no TOML and for an integer of more than 64 bits, which TOML
    does not have, and `RecursionError` for absurd nesting."""
    if _LONG_KEY.search(text):  # of which tomllib keeps every beginning
        raise RecursionError
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:
        raise ValueError(_TOO_WIDE) from None  # Python refuses to convert integers of thousands of digits
    waiting: list[object] = [data]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, int) and not _LOWEST <= value <= _HIGHEST:
            raise ValueError(_TOO_WIDE)
    return data


def _parse(text: str, path: Path) -> dict[str, object]:
    if text.startswith("\ufeff"):
        hint = rf"`sed -i '1s/^\xef\xbb\xbf//' {quoted(str(path))}` takes it out"
        raise ProfileError("not TOML: it begins with a byte order mark", origin=f"{path}:1", hint=hint)
    try:
        return parse_toml(text)
    except tomllib.TOMLDecodeError as error:
        message, _, position = str(error).rpartition(" (at ")
        line, _, column = position.removeprefix("line ").rstrip(")").partition(", ")
        last = text.rstrip("\n").count("\n") + 1  # that there is an end is told behind it
        place = min(int(line), last) if line.isdigit() else last
        if message.startswith(_TWICE) and (found := toml_lines.said_twice(text, place)) is not None:
            key, place, first = found
            hint = f"leave one of them out; the first is at line {first}"
            raise ProfileError(f"not TOML: {key} is there twice", origin=f"{path}:{place}", hint=hint) from None
        raise ProfileError(
            f"not TOML: {message or error}{f', {column}' if column else ''}",
            origin=f"{path}:{place}",
            hint="check the quotes, brackets and keys up to this line",
        ) from None
    except ValueError as error:
        # tomllib does not say where the number stands, and it may be too long to be shown.
        raise ProfileError(f"not TOML: {error}", origin=path, hint="no setting takes such a number") from None
    except RecursionError:
        raise ProfileError(f"nested deeper than {MAX_DEPTH} levels", origin=path, hint=_FLATTER) from None


def singles(value: object) -> Iterator[str]:
    """The values of a document that are no tables or lists, as text."""
    if not isinstance(value, Mapping | list):
        yield str(value)
        return
    for item in value.values() if isinstance(value, Mapping) else value:
        yield from singles(item)


def command_line(tables: Mapping[str, object], places: Mapping[toml_lines.Path, str]) -> Document:
    """The layer that command-line options form; ``places`` names the option behind each path."""
    return Document("command line", None, tables, places, typed=True)
