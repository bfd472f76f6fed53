"""The line of every key and every array element of a TOML text.

`tomllib` parses but keeps no positions, so this scanner walks a text that `tomllib` has accepted and records, for each
path of keys and array indexes, the line it stands on. It follows the grammar of TOML 1.0 (and the newlines in inline
tables of 1.1) and never validates: `tomllib` is the judge of that.
"""

from __future__ import annotations

import tomllib

Path = tuple[str | int, ...]

_BARE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


class TooDeep(ValueError):
    """A path is longer than it may be; ``line`` is where it stands."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


def key_lines(text: str, deepest: int = 100) -> dict[Path, int]:
    """Map each path (``("rootfs", "volumes", 0)``) of a valid TOML text to its line, counted from 1. Raises `TooDeep`
    for one of more than ``deepest`` parts: all that it begins with would have to be kept."""
    return _LineScanner(text.replace("\r\n", "\n"), deepest).scan()


class _LineScanner:
    def __init__(self, text: str, deepest: int) -> None:
        self.text = text
        self.deepest = deepest
        self.pos = 0
        self.line = 1
        self.lines: dict[Path, int] = {}
        self.arrays: dict[Path, int] = {}  # arrays of tables -> index of their newest element

    def scan(self) -> dict[Path, int]:
        prefix: Path = ()
        while self._skip():
            if self._at("["):
                prefix = self._header()
            else:
                self._pair(prefix)
        return self.lines

    def _at(self, mark: str) -> bool:
        return self.text.startswith(mark, self.pos)

    def _move(self, count: int) -> None:
        self.line += self.text.count("\n", self.pos, self.pos + count)
        self.pos += count

    def _skip(self) -> bool:
        """Pass over white space, newlines and comments; false at the end of the text."""
        while self.pos < len(self.text):
            char = self.text[self.pos]
            if char in " \t\n":
                self._move(1)
            elif char == "#":
                end = self.text.find("\n", self.pos)
                self.pos = len(self.text) if end < 0 else end
            else:
                return True
        return False

    def _header(self) -> Path:
        array = self._at("[[")
        self._move(2 if array else 1)
        line = self.line
        keys = self._keys()
        self._move(2 if array else 1)
        path = (*self._place(keys[:-1]), keys[-1])
        if array:
            index = self.arrays.get(path, -1) + 1
            self.arrays[path] = index
            self.lines.setdefault(path, line)
            path = (*path, index)
        elif path in self.arrays:
            path = (*path, self.arrays[path])
        self.lines.setdefault(path, line)
        return path

    def _place(self, keys: list[str]) -> Path:
        """The path of a header's parents: a name that stands for an array of tables means its newest element."""
        path: Path = ()
        for key in keys:
            path = (*path, key)
            if path in self.arrays:
                path = (*path, self.arrays[path])
            self.lines.setdefault(path, self.line)
        return path

    def _pair(self, prefix: Path) -> None:
        self._skip()
        path = prefix
        for key in self._keys():
            path = (*path, key)
            self.lines.setdefault(path, self.line)
        self._skip()
        self._move(1)  # the equals sign
        self._value(path)

    def _keys(self) -> list[str]:
        keys = []
        while True:
            self._skip()
            keys.append(self._key())
            if len(keys) > self.deepest:
                raise TooDeep(self.line)
            self._skip()
            if not self._at("."):
                return keys
            self._move(1)

    def _key(self) -> str:
        start = self.pos
        if self.text[start] in "\"'":
            self._string()
            quoted = self.text[start : self.pos]
            return str(tomllib.loads(f"k = {quoted}")["k"]) if "\\" in quoted else quoted[1:-1]
        while self.pos < len(self.text) and self.text[self.pos] in _BARE:
            self.pos += 1
        return self.text[start : self.pos]

    def _value(self, path: Path) -> None:
        if len(path) > self.deepest:
            raise TooDeep(self.line)
        self._skip()
        char = self.text[self.pos]
        if char in "\"'":
            self._string()
        elif char == "[":
            self._array(path)
        elif char == "{":
            self._inline(path)
        else:
            while self.pos < len(self.text) and self.text[self.pos] not in ",]}\n#":
                self.pos += 1

    def _array(self, path: Path) -> None:
        self._move(1)
        index = 0
        while self._skip() and not self._at("]"):
            self.lines[(*path, index)] = self.line
            self._value((*path, index))
            index += 1
            self._skip()
            if self._at(","):
                self._move(1)
        self._move(1)

    def _inline(self, path: Path) -> None:
        self._move(1)
        while self._skip() and not self._at("}"):
            self._pair(path)
            self._skip()
            if self._at(","):
                self._move(1)
        self._move(1)

    def _string(self) -> None:
        quote = self.text[self.pos]
        end = quote * 3 if self._at(quote * 3) else quote
        pos = self.pos + len(end)
        stop = self.text.index(end, pos)
        if quote == '"':
            while (escape := self.text.find("\\", pos, stop)) >= 0:
                pos = escape + 2
                if pos > stop:  # the end was an escaped quote
                    stop = self.text.index(end, pos)
        pos = stop
        pos += len(end)
        # A multi-line string may end in one or two quotes of its own before the closing three.
        while len(end) == 3 and self.text.startswith(quote, pos):
            pos += 1
        self._move(pos - self.pos)
