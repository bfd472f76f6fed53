"""The examples of the documentation, as CONTRIBUTING.md describes them: fenced blocks of a page, in their order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^(\s*)```(.*)$")


@attrs.frozen
class Block:
    """One fenced block: its language, the marks after it (``file=team.toml``), its text, the line that opens it."""

    page: Path
    line: int
    language: str
    marks: dict[str, str]
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@attrs.frozen
class Command:
    """One command of a ``console`` block, what it is shown to print, and its exit code."""

    text: str
    output: tuple[str, ...]
    code: int


def pages() -> list[Path]:
    """Every page of the documentation."""
    return sorted([*ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md")])


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page."""
    opened: tuple[int, str, str] | None = None
    lines: list[str] = []
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence = _FENCE.match(line)
        if opened is None and fence:
            opened, lines = (number, fence[1], fence[2].strip()), []
        elif opened is not None and fence and not fence[2].strip():
            start, indent, info = opened
            language, *marks = info.split() or [""]
            pairs = {key: value for key, _, value in (mark.partition("=") for mark in marks)}
            text = "".join(f"{line.removeprefix(indent)}\n" for line in lines)
            yield Block(page, start, language, pairs, text)
            opened = None
        elif opened is not None:
            lines.append(line)
    assert opened is None, f"{page}: a block is never closed"


def commands(block: Block) -> Iterator[Command]:
    """The commands of a ``console`` block."""
    text, output = "", list[str]()
    for line in [*block.text.splitlines(), "$ "]:
        if line.startswith("$ "):
            if text:
                yield _command(text, output)
            text, output = line[2:], []
        elif line.startswith("> ") and not output:
            text += "\n" + line[2:]
        else:
            output.append(line)


def _command(text: str, output: list[str]) -> Command:
    while output and not output[-1]:
        output.pop()
    code = 0
    if output and (match := re.fullmatch(r"\[exit (\d+)\]", output[-1])):
        code = int(match[1])
        output.pop()
    return Command(text, tuple(output), code)


def differs(expected: tuple[str, ...], printed: str) -> str | None:
    """The first line that is not as shown, or None. A line ``...`` stands for any lines, ``…`` for any text in a line."""
    lines = [line.rstrip() for line in printed.rstrip("\n").split("\n")] if printed.strip() else []
    pattern = "".join(r"(?:.*\n)*?" if line.strip() == "..." else _line(line.rstrip()) + r"\n" for line in expected)
    if re.fullmatch(pattern, "".join(f"{line}\n" for line in lines)):
        return None
    for count in range(len(expected), 0, -1):
        start = "".join(
            r"(?:.*\n)*?" if line.strip() == "..." else _line(line.rstrip()) + r"\n" for line in expected[:count]
        )
        if re.match(start, "".join(f"{line}\n" for line in lines)):
            return expected[count] if count < len(expected) else "the end"
    return expected[0]


def _line(line: str) -> str:
    return ".*".join(re.escape(part) for part in line.split("…"))
