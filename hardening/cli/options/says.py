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
from hardening.profile.layers import HEADER, REASON
from hardening.profile.source import MAX_DEPTH, Document, command_line, parse_toml

_PART = r'"(?:[^"\\]|\\.)*"|\'[^\']*\'|[^.="\']+'

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


def _read_key(text: str) -> tuple[tuple[str, ...], str]:
    parts: list[str] = []
    position = 0
    while True:
        match = re.compile(_PART).match(text, position)
        part = match[0].strip() if match else ""
        if match is None or not part:
            raise UsageError("no TABLE.KEY=VALUE", origin=f"--set {text}", hint="write --set rootfs.read_only=true")
        parts.append(_unquote(part, text) if part[0] in "\"'" else part)
        if len(parts) > MAX_DEPTH:
            raise UsageError(
                f"nested deeper than {MAX_DEPTH} levels", origin="--set", hint="no setting needs that much"
            )
        position = match.end()
        if not text.startswith(".", position):
            return tuple(parts), text[position:].lstrip()
        position += 1


def _unquote(part: str, text: str) -> str:
    try:
        return str(tomllib.loads(f"key = {part}")["key"])
    except tomllib.TOMLDecodeError as error:
        raise UsageError(
            f"{part} is not a quoted key: {error}", origin=f"--set {text}", hint="quote a key as TOML does"
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
    merged = _Merged()
    for said in says:
        merged.add(said.path, said.value, said.place)
    return command_line(merged.tables, merged.places) if merged.places else None


class _Merged:
    def __init__(self) -> None:
        self.tables: dict[str, Any] = {}
        self.places: dict[tuple[str | int, ...], str] = {}

    def add(self, path: tuple[str, ...], value: Any, place: str) -> None:
        if isinstance(value, Mapping) and value:
            for key, inner in value.items():
                self.add((*path, key), inner, place)
            return
        table = self._table(path, place)
        if path[-1] not in table:
            table[path[-1]] = list(value) if isinstance(value, list) else value
            self._place(path, place, 0, value)
            return
        earlier = table[path[-1]]
        if not (isinstance(earlier, list) or isinstance(value, list)) or isinstance(earlier, dict):
            self._clash(path, place)
        before = earlier if isinstance(earlier, list) else [earlier]
        after = value if isinstance(value, list) else [value]
        if not isinstance(earlier, list):
            self.places[(*path, 0)] = self.places[path]
        table[path[-1]] = [*before, *after]
        self._place(path, place, len(before), after)

    def _table(self, path: tuple[str, ...], place: str) -> dict[str, Any]:
        table = self.tables
        for depth, key in enumerate(path[:-1], 1):
            self.places.setdefault(path[:depth], place)
            inner = table.setdefault(key, {})
            if not isinstance(inner, dict):
                self._clash(path[:depth], place)
            table = inner
        return table

    def _place(self, path: tuple[str, ...], place: str, start: int, value: Any) -> None:
        self.places.setdefault(path, place)
        for index, _ in enumerate(value if isinstance(value, list) else (), start):
            self.places[(*path, index)] = place

    def _clash(self, path: tuple[str, ...], place: str) -> None:
        raise UsageError(
            f"{'.'.join(path)} is already set by {self.places[path]}",
            origin=place,
            hint="set it once; arrays may be set in several parts",
        )
