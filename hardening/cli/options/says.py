"""What options of the command line say, in the shape of a profile.

``--set TABLE.KEY=VALUE`` and the options of mechanisms become one document, the last layer of the stack, in which every
value keeps the option that it came from.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from hardening.base.values import frozen
from hardening.errors import UsageError, quoted
from hardening.profile.exemption import REASON
from hardening.profile.layers import HEADER
from hardening.profile.source import MAX_DEPTH, Document, command_line, parse_toml
from hardening.profile.toml_text import flat

_QUOTED = r'"(?:[^"\\]|\\.)*"|\'[^\']*\''
_PART = rf'{_QUOTED}|[^.="\']+'

# Of a profile's header only these make sense on the command line: `-p` is what extends.
_SETTABLE = ("exceptions", "limits", "findings")


@frozen
class Said:
    """One value that an option says. ``place`` is the option as it was written."""

    path: tuple[str, ...]
    value: Any
    place: str


def parse_set(text: str) -> Said:
    """The say of ``--set TABLE.KEY=VALUE``. Keys are written as in TOML, quoted where they hold a dot. VALUE is read as
    TOML, else it is a plain string. Raises `UsageError`."""
    place = f"--set {text}"
    path, rest = _read_key(text)
    if not rest.startswith("="):
        raise UsageError("no TABLE.KEY=VALUE", origin=place, hint="write --set rootfs.read_only=true")
    if path[0] in HEADER and path[0] not in _SETTABLE:
        raise UsageError(f"{path[0]} cannot be set on the command line", origin=place, hint="name profiles with -p")
    if len(path) < 2 and path[0] != "exceptions":
        raise UsageError(
            f"{path[0]} is a whole table", origin=place, hint=f"name a key: --set {quoted(path[0])}.KEY=VALUE"
        )
    return Said(path, _read_value(rest[1:].strip(), place), place)


def parse_exception(text: str) -> Said:
    """The say of ``--exception SETTING=REASON``: one entry of ``exceptions``. Raises `UsageError`."""
    place = f"--exception {text}"
    setting, _, reason = (part.strip() for part in text.partition("="))
    if not setting or not reason:
        setting = setting or "rootfs.read_only"
        hint = f"write --exception {quoted(f'{setting}={REASON}')}"
        raise UsageError(f"no SETTING={REASON}", origin=place, hint=hint)
    return Said(("exceptions",), [{"setting": setting, "reason": reason}], place)


def unquoted(name: str) -> str:
    """The name of a setting without the quotes that TOML wants around a key. Raises `UsageError`."""
    return re.sub(rf"(?:(?<=\.)|^)(?:{_QUOTED})(?=[.(]|$)", lambda part: _unquote(part[0], name), name)


def _read_key(text: str) -> tuple[tuple[str, ...], str]:
    parts: list[str] = []
    position = 0
    while True:
        match = re.compile(_PART).match(text, position)
        part = match[0].strip() if match else ""
        if match is None or not part:
            raise UsageError("no TABLE.KEY=VALUE", origin=f"--set {text}", hint="write --set rootfs.read_only=true")
        parts.append(_unquote(part, f"--set {text}") if part[0] in "\"'" else part)
        if len(parts) > MAX_DEPTH:
            raise UsageError(
                f"nested deeper than {MAX_DEPTH} levels", origin="--set", hint="no setting needs that much"
            )
        position = match.end()
        if not text.startswith(".", position):
            return tuple(parts), text[position:].lstrip()
        position += 1


def _unquote(part: str, place: str) -> str:
    try:
        return str(tomllib.loads(f"key = {part}")["key"])
    except tomllib.TOMLDecodeError as error:
        raise UsageError(
            f"{part} is not a quoted key: {error}", origin=place, hint="quote a key as TOML does"
        ) from None


def _read_value(text: str, place: str) -> Any:
    if "\n" in text or "\r" in text:
        return text
    try:
        return parse_toml(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        if text[:1] + text[-1:] in ("[]", "{}"):
            raise UsageError(
                f"not TOML: {error}",
                origin=place,
                hint="""quote each string inside, and the whole for the shell: 'capabilities.add=["CHOWN"]'""",
            ) from None
        return text
    except ValueError as error:
        raise UsageError(str(error), origin=place, hint="write a smaller number, or a string in quotes") from None


def document(says: Iterable[Said]) -> Document | None:
    """The layer that options form, or None where there are none. Arrays are concatenated; another value that is said
    twice raises `UsageError`."""
    tables: dict[str, Any] = {}
    places: dict[tuple[str | int, ...], str] = {}
    for said in says:
        for path, value in flat({said.path[-1]: said.value}, said.path[:-1]):
            _merge(tables, places, path, value, said.place)
    return command_line(tables, places) if places else None


def _merge(
    table: dict[str, Any], places: dict[tuple[str | int, ...], str], path: tuple[str, ...], value: Any, place: str
) -> None:
    """Add one value to the tables, whose ``places`` name the option behind each path."""
    for depth, key in enumerate(path[:-1], 1):
        places.setdefault(path[:depth], place)
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise _clash(path[:depth], place, places)
    earlier: list[Any] = []
    if path[-1] in table:
        before = table[path[-1]]
        if isinstance(before, dict) or not (isinstance(before, list) or isinstance(value, list)):
            raise _clash(path, place, places)
        if not isinstance(before, list):
            places[(*path, 0)] = places[path]
        earlier = before if isinstance(before, list) else [before]
        value = value if isinstance(value, list) else [value]
    places.setdefault(path, place)
    if isinstance(value, list):
        places.update({(*path, index): place for index, _ in enumerate(value, len(earlier))})
        value = [*earlier, *value]
    table[path[-1]] = value


def _clash(path: tuple[str, ...], place: str, places: Mapping[tuple[str | int, ...], str]) -> UsageError:
    return UsageError(
        f"{'.'.join(path)} is already set by {places[path]}",
        origin=place,
        hint="set it once; arrays may be set in several parts",
    )
