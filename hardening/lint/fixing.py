"""`--fix`: takes out of a profile what needs no decision. What is left keeps its comments, its order and its line ends.

Whatever a text is after an edit is read again, and nothing is written unless it says what the profile said without the part
that was taken out.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hardening.base import wholefile
from hardening.errors import ProfileError
from hardening.launch.record import behalf
from hardening.lint.linter import Linter
from hardening.lint.result import COMMENT, LintResult
from hardening.profile import toml_lines

#: Each round takes out what the one before has left without a purpose, such as the table of an only key.
_ROUNDS = 5


def fix(lint: Linter, path: str) -> Iterator[str]:
    """Mend a file; a line for each thing that was taken out. Raises `ProfileError` where it cannot be written."""
    for _ in range(_ROUNDS):
        results = [result for result in lint.lint(path) if result.drop and not result.suppressed]
        if not results:
            return
        data = Path(path).read_bytes().decode()
        text, done = _without(data.replace("\r\n", "\n"), results)
        if not done:
            return
        with wholefile.errors_as(
            ProfileError, "cannot be mended", origin=path, hint="make the file writable, or mend it by hand"
        ):
            behalf.save(path, (text.replace("\n", "\r\n") if "\r\n" in data else text).encode())
        lint.forget(path)
        yield from (
            f"{result.file}:{result.line}: {result.ident}: taken out: {result.finding.message}" for result in done
        )


def _without(text: str, results: Sequence[LintResult]) -> tuple[str, list[LintResult]]:
    """A text without the parts that results name, the last ones first, and which of them could be taken out."""
    done: list[LintResult] = []
    for result in sorted(results, key=lambda item: tuple(map(_sortable, item.drop)), reverse=True):
        edited = _comment_out(text, result.line) if result.drop == COMMENT else _cut(text, result.drop)
        if edited is not None:
            text = edited
            done.append(result)
    return text, done[::-1]


def _sortable(part: str | int) -> tuple[int, str]:
    return (part, "") if isinstance(part, int) else (0, part)


def _comment_out(text: str, line: int) -> str | None:
    for comment, number, start in toml_lines.comments(text):
        if number == line and re.match(r"#\s*hardening:", comment):
            kept = text[:start].rstrip(" \t")
            rest = text[start + len(comment) :]
            # A line of its own goes as a whole.
            return kept + (rest[1:] if kept.endswith("\n") or not kept else rest)
    return None


def _cut(text: str, path: toml_lines.Path) -> str | None:
    """A text without what stands at a path; None where that would change anything else, or has no lines of its own."""
    span = toml_lines.spans(text).get(path)
    if span is None:
        return None
    start, end = span
    if isinstance(path[-1], int) and text[start] != "[":
        edited = _without_element(text, start, end)
    else:
        before, after = text.rfind("\n", 0, start) + 1, text.find("\n", end)
        if text[before:start].strip():
            return None
        edited = text[:before] + (text[after + 1 :] if after >= 0 else "")
    try:
        return edited if tomllib.loads(edited) == _pruned(tomllib.loads(text), path) else None
    except tomllib.TOMLDecodeError:
        return None


def _without_element(text: str, start: int, end: int) -> str:
    before, after = text[:start], text[end:]
    alone = re.match(r"[ \t]*,?[ \t]*(#[^\n]*)?\n", after)
    indent = before.rfind("\n") + 1
    if alone is not None and not before[indent:].strip():
        return before[:indent] + after[alone.end() :]
    comma = re.match(r"\s*,[ \t]*", after)
    if comma is not None:
        return before + after[comma.end() :]
    return re.sub(r",\s*$", "", before) + after


def _pruned(data: Mapping[str, Any], path: toml_lines.Path) -> object:
    value: Any = data
    for part in path[:-1]:
        value = value[part]
    del value[path[-1]]
    if path[0] == "exceptions" and not data.get("exceptions", True):
        return {key: item for key, item in data.items() if key != "exceptions"}
    return data
