"""Where the command line writes: tables on a terminal, plain text in pipes, JSON on request."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from click import style

from hardening.base.text import printable
from hardening.errors import HardeningError, UsageError

if TYPE_CHECKING:
    from hardening.report.table import Table
    from hardening.report.tree import TreeNode

#: Columns that text is wrapped to where there are fewer.
_NARROWEST = 40


def escape(text: str) -> str:
    """``text`` without control characters other than newlines: what a file or an argument holds must not drive the
    reader's terminal."""
    return printable(text, keep="\n\N{NO-BREAK SPACE}")


def harmless(data: bytes) -> bytes:
    """Output of a container as a terminal may show it: colours, tabs and carriage returns stay, any other control sequence
    is escaped, for it could move the reader's cursor, or make the terminal answer."""
    parts = re.split(r"(\x1b\[[0-9;:]*m|[\t\r\n]+)", data.decode("utf-8", "surrogateescape"))
    return "".join(part if number % 2 else escape(part) for number, part in enumerate(parts)).encode()


def is_terminal(stream: TextIO) -> bool:
    """Whether ``stream`` is a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def in_colour(stream: TextIO) -> bool:
    """Whether to colour what goes to ``stream`` (https://no-color.org)."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def show(text: str) -> None:
    """Write text to standard output."""
    print(escape(text))


def show_result(name: str, result: str, colour: str, more: str = "") -> None:
    """Write what came of one thing to standard output, the result in a colour of click's where there are colours."""
    word = style(result, fg=colour) if in_colour(sys.stdout) else result
    print(f"{escape(name)}: {word}{escape(more)}")


def show_raw(data: bytes) -> None:
    """Write the bytes of a document to standard output."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def save(target: Path, data: bytes) -> None:
    """Write the bytes of a document to the file that somebody has named for it, as `behalf.save` does. Raises
    `UsageError`."""
    from hardening.base import wholefile
    from hardening.launch.record import behalf

    with wholefile.errors_as(UsageError, "cannot write it", origin=target, hint="name a file that you can write to"):
        behalf.save(str(target), data)


def show_json(data: object) -> None:
    """Write data to standard output as JSON; what a terminal would act on is escaped."""
    text = json.dumps(data, indent=2, ensure_ascii=False, default=str)
    print(re.sub(r"[^ -~\n]", lambda found: found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1], text))


def note(text: str) -> str:
    """Write one line to standard error, after what went to standard output before it: the line as it was written."""
    sys.stdout.flush()
    line = escape(" ".join(text.split()))
    print(line, file=sys.stderr)
    return line


@contextmanager
def status() -> Iterator[Callable[[str], None]]:
    """What shows one line of what is going on at a time on a terminal at standard error, and erases it in the end."""
    shown: list[str] = []

    def show_status(line: str) -> None:
        if is_terminal(sys.stderr):
            shown[:] = [line]
            print(f"\r\x1b[K{escape(line)}", end="", file=sys.stderr, flush=True)

    try:
        yield show_status
    finally:
        if shown:  # else what a command wrote last, without a newline, would go
            show_status("")


def tell(problems: Iterable[HardeningError]) -> None:
    """Write what does not stop the command to standard error, as what stops one is written."""
    for problem in problems:
        for line in f"hardening: {problem}".splitlines():
            note(line)


def show_table(table: Table, *, to_stderr: bool = False, heading: bool = True, as_lines: bool = False) -> None:
    """Write a table: drawn on a terminal, aligned text elsewhere, and records where it has no room. Without a ``heading``
    it goes on from another; ``as_lines`` leaves each row of what is no terminal's on one line, for grep(1)."""
    stream = sys.stderr if to_stderr else sys.stdout
    if is_terminal(stream):
        from hardening.report.terminal import draw

        draw(table, stream, heading=heading)
    else:
        from hardening.report.table import plain

        print(plain(table, sys.maxsize if as_lines else width(stream), heading=heading), file=stream)


def width(stream: TextIO | None = None) -> int:
    """How many columns what goes to a stream, to standard output without one, has room in: those of a terminal, or what
    ``COLUMNS`` says, else 80."""
    said = os.environ.get("COLUMNS", "")
    stream = stream or sys.stdout
    found = os.get_terminal_size(stream.fileno()).columns if is_terminal(stream) else 0
    return max(int(said) if said.isascii() and said.isdecimal() else found or 80, _NARROWEST)


def show_wrapped(text: str, indentation: str = "") -> None:
    """Write text to standard output in lines that have room, behind an indentation."""
    from hardening.report.table import wrapped

    print("\n".join(wrapped(text, indentation, indentation, width())))


def show_tree(node: TreeNode) -> None:
    """Draw a tree on the terminal at standard output."""
    from hardening.report.terminal import draw_tree

    draw_tree(node, sys.stdout)


def show_either(data: object, table: Table, *, as_json: bool) -> None:
    """Write data as JSON where that was asked for, and otherwise the table that shows the same."""
    if as_json:
        show_json(data)
    else:
        show_table(table)


def show_parts(lines: Iterable[Sequence[tuple[str, str]]]) -> None:
    """Write lines of parts, each with a style of rich's that it has where there are colours; control characters escaped."""
    if in_colour(sys.stdout):
        from hardening.report.terminal import draw_parts

        draw_parts(lines, sys.stdout)
        return
    for line in lines:
        print(printable("".join(text for text, _ in line), keep="\t"))


def show_tables(first: Table, *more: Table) -> None:
    """Write tables, each of ``more`` that has rows below an empty line."""
    show_table(first)
    for table in more:
        if table.rows:
            show("")
            show_table(table)
