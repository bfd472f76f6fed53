"""JSON text -> a document whose nodes know their lines (RFC 8259, strictly: no duplicate key, no NaN).

`json` keeps no positions, so this reads by itself: a policy.json is a file that people write, and its errors have to name
the line.
"""

from __future__ import annotations

import re
from json.decoder import JSONDecodeError, scanstring  # type: ignore[attr-defined]
from pathlib import Path

from hardening.base.digest import sha256
from hardening.errors import ProfileError
from hardening.profile import toml_lines
from hardening.profile.source import Document, decoded

MAX_DEPTH = 16
_SPACE = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORDS = {"true": True, "false": False, "null": None}
_LONGEST = 32


def document(data: bytes, path: Path, name: str = "") -> Document:
    """The document that UTF-8 ``data``, read from ``path``, holds; its root is an object.

    Raises `ProfileError` with ``path:line`` for anything malformed, a duplicate key, and absurd nesting.
    """
    text = decoded(data, path, "save it as UTF-8")
    scanner = _TextScanner(text, path)
    tables = scanner.whole()
    if not isinstance(tables, dict):
        raise ProfileError("JSON object expected", origin=f"{path}:1", hint='write {"default": [{"type": "reject"}]}')
    places = {key: f"{path}:{line}" for key, line in scanner.lines.items()}
    return Document(name or str(path), path, tables, places, sha256(data), text=text)


class _TextScanner:
    def __init__(self, text: str, path: Path) -> None:
        self.text = text
        self.path = path
        self.at = 0
        self.line = 1
        self.counted = 0
        self.lines: dict[toml_lines.Path, int] = {}

    def whole(self) -> object:
        self._space()
        value = self._value(())
        self._space()
        if self.at != len(self.text):
            raise self._error("more text after the value", "remove it")
        return value

    def _value(self, path: toml_lines.Path) -> object:
        mark = self.text[self.at : self.at + 1]
        if mark in ("{", "["):
            if len(path) > MAX_DEPTH:
                raise self._error(f"nested deeper than {MAX_DEPTH} levels", "check for unclosed brackets")
            self.at += 1
            return self._object(path) if mark == "{" else self._array(path)
        if mark == '"':
            return self._string()
        for word, value in _WORDS.items():
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return value
        return self._number()

    def _object(self, path: toml_lines.Path) -> dict[str, object]:
        table: dict[str, object] = {}
        self._space()
        if self._take("}"):
            return table
        while True:
            if self.text[self.at : self.at + 1] != '"':
                raise self._error("a key in quotes is expected here", "check the commas and quotes up to this line")
            line = self._line()
            key = self._string()
            here = (*path, key)
            if key in table:
                raise self._error(f'Duplicate key "{key}"', f"it is already on line {self.lines[here]}", line)
            self.lines[here] = line
            self._space()
            if not self._take(":"):
                raise self._error("a colon is expected after a key", "check the quotes up to this line")
            self._space()
            table[key] = self._value(here)
            if self._end("}"):
                return table

    def _array(self, path: toml_lines.Path) -> list[object]:
        items: list[object] = []
        self._space()
        if self._take("]"):
            return items
        while True:
            here = (*path, len(items))
            self.lines[here] = self._line()
            items.append(self._value(here))
            if self._end("]"):
                return items

    def _end(self, mark: str) -> bool:
        """Pass the end of an object or array, or the comma before its next member."""
        self._space()
        if self._take(mark):
            return True
        if not self._take(","):
            raise self._error(f"a comma or {mark} is expected here", "check the commas and brackets up to this line")
        self._space()
        return False

    def _string(self) -> str:
        text: str
        try:
            text, self.at = scanstring(self.text, self.at + 1, True)
        except JSONDecodeError as error:
            self.at = error.pos
            raise self._error(f"a string is malformed: {error.msg}", "check the quotes and backslashes") from None
        if any(0xD800 <= ord(char) < 0xE000 for char in text):
            raise self._error("half of a surrogate pair in a string", "write the character itself")
        return text

    def _number(self) -> int | float:
        match = _NUMBER.match(self.text, self.at)
        if match is None:
            raise self._error("a value is expected here", "check the commas and quotes up to this line")
        if len(match[0]) > _LONGEST:
            raise self._error("a number of absurd length", "no member takes such a number")
        self.at = match.end()
        return float(match[0]) if match[1] or match[2] else int(match[0])

    def _space(self) -> None:
        match = _SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def _take(self, mark: str) -> bool:
        taken = self.text.startswith(mark, self.at)
        self.at += taken
        return taken

    def _line(self) -> int:
        self.line += self.text.count("\n", self.counted, self.at)
        self.counted = self.at
        return self.line

    def _error(self, message: str, hint: str, line: int = 0) -> ProfileError:
        where = line or self.text.count("\n", 0, self.at) + 1
        return ProfileError(message, origin=f"{self.path}:{where}", hint=hint)
