"""The line of every key and every array element of a TOML text.

`tomllib` parses but keeps no positions, so this scanner walks a text that `tomllib` has accepted and records, for each
path of keys and array indexes, the line it stands on. It follows the grammar of TOML 1.0 (and the newlines in inline
tables of 1.1) and never validates: `tomllib` is the judge of that.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator

Path = tuple[str | int, ...]

#: What a text is made of, but for white space.
TOKEN = re.compile(
    r"""
    "{3} (?: [^"\\]++ | \\. | "(?!"") )*+ "{3,5}   # one or two quotes of its own may stand before the closing three
    | '{3} (?: [^']++ | '(?!'') )*+ '{3,5}
    | " (?: [^"\\]++ | \\. )*+ "
    | '[^']*'
    | [][{},.=\n]
    | [^]["'{},.=\#\s]++
    | \#[^\n]*
    """,
    re.VERBOSE | re.DOTALL,
)


class TooDeep(ValueError):
    """A path is longer than it may be; ``line`` is where it stands."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


def spans(text: str) -> dict[Path, tuple[int, int]]:
    """Map each path of a valid TOML text with line feeds alone to where it stands: from the beginning of its header, key or
    element to the end of its value, or of the last line before the next header."""
    scanner = _LineScanner(text, 100)
    scanner.scan()
    return scanner.spans


def key_lines(text: str, deepest: int = 100) -> dict[Path, int]:
    """Map each path (``("rootfs", "volumes", 0)``) of a valid TOML text to its line, counted from 1. Raises `TooDeep`
    for one of more than ``deepest`` parts: all that it begins with would have to be kept."""
    return _LineScanner(text.replace("\r\n", "\n"), deepest).scan()


def said_twice(text: str, line: int) -> tuple[str, int, int] | None:
    """Of a text that is valid but for a key at ``line``, which is there already: the key, its line, and that of the first;
    None where the line does not tell."""
    lines = text.replace("\r\n", "\n").split("\n")[:line]
    head = "\n".join(lines)
    scanner = _LineScanner(head, 100)
    first = scanner.scan()
    again = [
        (-number, begin, path)
        for path, (begin, _) in scanner.spans.items()
        if path and first.get(path, number := head.count("\n", 0, begin) + 1) < number
    ]
    if not again:
        return None
    number, _, path = min(again)
    return ".".join(map(str, path)), -number, first[path]


def comments(text: str) -> Iterator[tuple[str, int, int]]:
    """Each comment of a valid TOML text, with its line, and its place where there are line feeds alone."""
    return _tokens(text.replace("\r\n", "\n"), comments=True)


def _tokens(text: str, *, comments: bool = False) -> Iterator[tuple[str, int, int]]:
    """Every token but white space and ``comments``, or these alone, with the line and the place where it begins."""
    line = 1
    for found in TOKEN.finditer(text):
        token = found[0]
        if (token[0] == "#") is comments:
            yield token, line, found.start()
        line += token.count("\n")


class _LineScanner:
    def __init__(self, text: str, deepest: int) -> None:
        self.tokens = _tokens(text)
        self.deepest = deepest
        self.ahead, self.line = "", 1  # the token that comes next; empty at the end of the text
        self.at = self.past = 0  # where it begins, and where the one before ends, but for line feeds
        self.lines: dict[Path, int] = {}
        self.spans: dict[Path, tuple[int, int]] = {}
        self.arrays: dict[Path, int] = {}  # arrays of tables -> index of their newest element
        self._next()

    def scan(self) -> dict[Path, int]:
        prefix: Path = ()
        begins = 0
        while self._skip():
            if self.ahead == "[":
                self.spans[prefix] = begins, self.past
                begins = self.at
                prefix = self._header()
            else:
                self._pair(prefix)
        self.spans[prefix] = begins, self.past
        return self.lines

    def _next(self) -> None:
        if self.ahead != "\n":
            self.past = self.at + len(self.ahead)
        self.ahead, self.line, self.at = next(self.tokens, ("", self.line, self.at + len(self.ahead)))

    def _skip(self) -> str:
        """The next token that is no line feed."""
        while self.ahead == "\n":
            self._next()
        return self.ahead

    def _header(self) -> Path:
        line = self.line
        self._next()
        array = self.ahead == "["
        if array:
            self._next()
        keys = self._keys()
        self._next()
        if array:
            self._next()
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
        path, begins = prefix, self.at
        for key in self._keys():
            path = (*path, key)
            self.lines.setdefault(path, self.line)
        self._next()  # the equals sign
        self._value(path)
        self.spans[path] = begins, self.past

    def _keys(self) -> list[str]:
        keys = [self._key()]
        while self.ahead == ".":
            self._next()
            keys.append(self._key())
            if len(keys) > self.deepest:
                raise TooDeep(self.line)
        return keys

    def _key(self) -> str:
        token = self.ahead
        self._next()
        if token[0] not in "\"'":
            return token
        return str(tomllib.loads(f"k = {token}")["k"]) if "\\" in token else token[1:-1]

    def _value(self, path: Path) -> None:
        if len(path) > self.deepest:
            raise TooDeep(self.line)
        opens = self._skip()
        if opens == "[":
            for index, _ in enumerate(self._each("]")):
                element = (*path, index)
                self.lines[element] = self.line
                begins = self.at
                self._value(element)
                self.spans[element] = begins, self.past
        elif opens == "{":
            for _ in self._each("}"):
                self._pair(path)
        elif opens[0] in "\"'":
            self._next()
        else:
            while self.ahead not in (",", "]", "}", "\n", ""):
                self._next()

    def _each(self, end: str) -> Iterator[None]:
        """Stop at the beginning of each element, which the caller passes over, up to the end."""
        self._next()
        while self._skip() not in (end, ""):
            yield
            if self._skip() == ",":
                self._next()
        self._next()
