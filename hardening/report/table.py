"""A table as data, as aligned plain text, and as records where that has no room."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest

import attrs

from hardening.base.text import printable
from hardening.base.values import frozen
from hardening.mechanism.schema import Leaf

#: Spaces between two columns.
_GAP = 2
#: What a column that is cut or wrapped keeps at least: a narrower one is not read, but spelt out.
LEAST = 12


@frozen
class Table:
    """Rows of cells. ``title`` stands above, and may be empty.

    Where a line has no room, cells are wrapped: with ``last``, the name of a column, those of that one alone. On a terminal
    they are cut instead, unless they are to be ``folded``, and the columns of ``narrow`` are left out before, in this order.

    With ``expands`` it is shown as `records` instead, as psql does (``\\x auto``): its rows are read one by one, and nobody
    leaves out columns of them. So is every other table whose longest words have no room beside each other.
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


@frozen
class FittedTable:
    """A table that a line has room for: the places of its columns, their widths, and of each row the lines of each cell."""

    kept: tuple[int, ...]
    widths: tuple[int, ...]
    rows: tuple[tuple[list[str], ...], ...]


def fitted(table: Table, width: int, gap: int = _GAP) -> FittedTable | None:
    """The table in lines of at most ``width``, no word of it broken, with ``gap`` between two columns; None where that has
    no room."""
    rows = [tuple(map(printable, row)) for row in table.rows]
    kept = shown(table)
    widths = {at: max(len(row[at]) for row in (table.columns, *rows)) for at in kept}

    def missing() -> int:
        return sum(widths[at] + gap for at in kept) - gap - width

    if missing() > 0:
        if table.expands:
            return None
        last = table.columns.index(table.last) if table.last else -1
        least = {at: max(min(widths[at], LEAST), len(table.columns[at])) for at in kept}
        for at in kept:
            if last in kept and at != last:
                least[at] = widths[at]
            elif not at == last == kept[-1]:  # a long word there would widen every row, and disturbs its own alone
                least[at] = max([least[at], *(len(word) for row in rows for word in _BREAK.split(row[at]))])
        widths = {at: min(widths[at], max(width, least[at])) for at in kept}
        while missing() > 0:
            at = max(kept, key=lambda at: (widths[at] > least[at], widths[at]))
            if widths[at] <= least[at]:
                return None
            widths[at] -= 1
    cells = [tuple(wrapped(row[at], "", "", widths[at]) if len(row[at]) > widths[at] else [row[at]] for at in kept)
             for row in rows]  # fmt: skip
    return FittedTable(tuple(kept), tuple(widths[at] for at in kept), tuple(cells))


def in_one(names: Sequence[str]) -> str:
    """Names of leaves in one cell; of those of one family it stands before their members, ``capabilities: KILL, SETUID``."""
    families = {found[0] if (found := re.match(r"[^/]*\.", name)) else "" for name in names}
    family = families.pop() if len(families) == 1 and len(names) > 1 else ""
    listed = ", ".join(name.removeprefix(family) for name in names)
    return f"{family[:-1]}: {listed}" if family else listed


def alike_in_one(leaves: Iterable[tuple[Leaf, tuple[str, ...]]]) -> tuple[tuple[str, ...], ...]:
    """Rows of leaves and what is told of each, in one row those of a family of which the same is told."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for leaf, told in leaves:
        alike.setdefault((leaf.mechanism, leaf.setting if leaf.member else str(leaf), *told), []).append(str(leaf))
    return tuple((in_one(names), *told) for (_, _, *told), names in alike.items())


#: Spaces, and the ends of options before others, ``,``, and of paths in a list, as in ``PATH``; ``oci:/srv/shop`` is none.
_BREAK = re.compile(r"(\s+|(?<=,)(?=\S)|(?:(?<![^\s,])[^\s,/]*|(?<=:))/[^\s,:]*:(?=/(?!/)))")


class _Wrapper(textwrap.TextWrapper):
    """Breaks lines where that may be done."""

    wordsep_simple_re = _BREAK


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


def plain(table: Table, width: int = sys.maxsize, *, heading: bool = True) -> str:
    """The table as aligned columns, for pipes and for people without a terminal; without rows the heading alone, with
    them no empty columns. A row is one line, or where that is longer than ``width`` several, or `records`. Without a
    ``heading`` it goes on from another."""
    whole = fitted(table, width)
    if whole is None:
        return records(table, width)
    lines = [table.title] if table.title and heading else []
    head = tuple([table.columns[at].upper()] for at in whole.kept)
    for row in (head, *whole.rows) if heading else whole.rows:
        for cells in zip_longest(*row, fillvalue=""):
            padded = (cell.ljust(wide) for cell, wide in zip(cells, whole.widths, strict=True))
            lines.append((_GAP * " ").join(padded).rstrip())
    return "\n".join(lines)
