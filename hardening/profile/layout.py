"""The canonical layout of a profile's text: how it is spaced, and nothing of what it says. Comments, the order of tables and
of keys, and how a value is written stay, for they are for readers.

One space on either side of an equals sign, none around the dots and brackets of names; one blank line before each table,
with the comment above it, and never two; no blanks at the ends of lines, and one line feed at the end of the file.
"""

from __future__ import annotations

from collections.abc import Iterator

from hardening.errors import LaunchError
from hardening.profile.source import parse_toml
from hardening.profile.toml_lines import TOKEN


def formatted(text: str) -> str:
    """A valid TOML text in the canonical layout; the same data, and the same again if it is formatted once more."""
    text = text.replace("\r\n", "\n")
    lines: list[str] = []
    for line in map(_line, _logical(text)):
        blank = not lines or not lines[-1]
        if line.startswith("[") and not blank:
            start = len(lines)
            while start and lines[start - 1].startswith("#"):  # the comment above it is its own
                start -= 1
            if start and lines[start - 1]:
                lines.insert(start, "")
        if line or not blank:
            lines.append(line)
    result = "\n".join(lines).rstrip("\n") + "\n" if any(lines) else ""
    if parse_toml(result) != parse_toml(text):
        raise LaunchError("the layout would change what the profile says", hint="please report it, with the profile")
    return result


def _logical(text: str) -> Iterator[str]:
    """The lines of a text, of which a value of several lines makes one."""
    start = depth = 0
    for found in TOKEN.finditer(text):
        piece = found[0]
        depth += (piece in "[{") - (piece in "]}") if len(piece) == 1 else 0
        if piece == "\n" and not depth:
            yield text[start : found.start()]
            start = found.end()
    if text[start:].strip():
        yield text[start:]


def _line(line: str) -> str:
    """One logical line in its layout."""
    line = line.strip(" \t")
    if not line or line[0] == "#":
        return line
    if line[0] == "[":
        return _header(line)
    names: list[str] = []
    for found in TOKEN.finditer(line):
        if found[0] == "=":
            return f"{''.join(names)} = {_value(line[found.end() :])}"
        names.append(found[0])
    return line


def _header(line: str) -> str:
    names: list[str] = []
    comment = ""
    for found in TOKEN.finditer(line):
        if found[0][0] == "#":
            comment = f"  {found[0].rstrip()}"
        else:
            names.append(found[0])
    return "".join(names) + comment


def _value(text: str) -> str:
    """A value, and what follows it, without the blanks at the ends of its lines; those of a string of several lines are its
    own."""
    pieces: list[str] = []
    end = 0
    for found in TOKEN.finditer(text):
        between = text[end : found.start()]
        piece = found[0].rstrip(" \t") if found[0][0] == "#" else found[0]
        pieces += ["" if piece == "\n" else between, piece]
        end = found.end()
    return "".join(pieces).strip(" \t")
