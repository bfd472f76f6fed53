"""A table as data, as aligned plain text, and as records where that has no room."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence

import attrs

from hardening.base.text import printable
from hardening.base.values import frozen


@frozen
class Table:
    """Rows of cells. ``title`` stands above, and may be empty.

    With ``last``, the name of a column, no other cell is cut or folded on a narrow terminal: ``narrow`` are columns that
    are left out there, in this order, and then the cells of ``last`` are cut, or ``folded``.

    With ``expands`` it is shown as `records` where a line has no room, as psql does (``\\x auto``): its rows are read one by
    one, and nobody cuts columns out of them.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    last: str = ""
    narrow: tuple[str, ...] = ()
    folded: bool = False
    expands: bool = False

    def mapped(self, function: Callable[[str], str]) -> Table:
        """The same table with what a function makes of its cells."""
        return attrs.evolve(self, rows=tuple(tuple(map(function, row)) for row in self.rows))


def shown(table: Table) -> list[int]:
    """The places of the columns that something is shown of."""
    return [at for at, _ in enumerate(table.columns) if not table.rows or any(row[at] for row in table.rows)]


def in_one(names: Sequence[str]) -> str:
    """Names of leaves in one cell; of those of one family it stands before their members, ``capabilities: KILL, SETUID``."""
    families = {found[0] if (found := re.match(r"[^/]*\.", name)) else "" for name in names}
    family = families.pop() if len(families) == 1 and len(names) > 1 else ""
    listed = ", ".join(name.removeprefix(family) for name in names)
    return f"{family[:-1]}: {listed}" if family else listed


class _Wrapper(textwrap.TextWrapper):
    """Breaks lines at spaces, and after the commas of options."""

    wordsep_simple_re = re.compile(r"(\s+|(?<=,)(?=\S))")


def wrapped(text: str, first: str, following: str, width: int) -> list[str]:
    """The lines of a text behind a ``first`` and a ``following`` indentation; no word is broken."""
    wrapper = _Wrapper(width, initial_indent=first, subsequent_indent=following,
                       break_long_words=False, break_on_hyphens=False)  # fmt: skip
    return wrapper.wrap(printable(text)) or [first.rstrip()]


def clipped(text: str, width: int) -> str:
    """A text of at most ``width`` characters, whose end is left out."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def records(table: Table, width: int) -> str:
    """A row after the other, its first cell above the others, which have their columns' names beside them: no line is
    longer than ``width`` unless a word is."""
    kept = shown(table)[1:]
    names = max((len(table.columns[at]) for at in kept), default=0)
    parts = [[table.title]] if table.title else []
    for row in table.rows:
        lines = wrapped(row[0], "", "    ", width)
        for at in kept:
            if row[at]:
                lines += wrapped(row[at], f"  {table.columns[at].ljust(names)}  ", (names + 4) * " ", width)
        parts.append(lines)
    return "\n\n".join(map("\n".join, parts))


def plain(table: Table) -> str:
    """The table as aligned columns, for pipes and for people without a terminal; without rows the heading alone, with
    them no empty columns."""
    rows = [tuple(printable(cell) for cell in row) for row in table.rows]
    kept = shown(table)
    lines = [table.title] if table.title else []
    heading = tuple(name.upper() for name in table.columns)
    widths = [max(len(row[index]) for row in (heading, *rows)) for index in kept]
    for row in (heading, *rows):
        cells = [row[index].ljust(width) for index, width in zip(kept, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
