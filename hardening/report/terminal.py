"""Tables and trees drawn on a terminal with rich, which honours ``NO_COLOR`` by itself."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Literal, TextIO

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as Drawn
from rich.text import Text
from rich.tree import Tree

from hardening.base.text import printable
from hardening.report.table import LEAST, Table, fitted, records, shown
from hardening.report.tree import TreeNode

_STYLES = {
    "ok": "green",
    "enforced": "green",
    "holds": "green",
    "warn": "yellow",
    "warning": "yellow",
    "partly": "yellow",
    "fail": "bold red",
    "error": "bold red",
    "refused": "bold red",
    "not enforced": "bold red",
    "does not hold": "bold red",
    "loosened by exception": "yellow",
}


_GAP = 3  # cells between two columns: a space on each side of a separator
_EDGES = 2


def draw(table: Table, stream: TextIO, *, heading: bool = True) -> None:
    """Draw a table. Long cells are wrapped, and cut only where the table says so."""
    console = Console(file=stream, highlight=False, width=_columns(stream))
    whole = None if table.last else fitted(table, console.width - _EDGES, _GAP)
    if whole is None and not table.last:
        print(records(table, console.width), file=stream)
        return
    drawn = Drawn(
        title=printable(table.title) or None,
        title_justify="left",
        title_style=_STYLES.get(table.title, "bold"),
        box=box.SIMPLE_HEAD if heading else None,
        show_header=heading,
        padding=(0, 1) if heading else (0, _GAP - 1, 0, 1),
        pad_edge=False,
    )
    if whole is None:
        kept = shown(table)
        _fit(table, kept, drawn, console)
        rows = [tuple(printable(row[index]) for index in kept) for row in table.rows]
    else:
        for index, wide in zip(whole.kept, whole.widths, strict=True):
            drawn.add_column(table.columns[index], width=wide, no_wrap=True)
        rows = [tuple(map("\n".join, row)) for row in whole.rows]
    for row in rows:
        drawn.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    console.print(drawn)


def draw_parts(lines: Iterable[Sequence[tuple[str, str]]], stream: TextIO) -> None:
    """Write lines of parts with their styles, as long as they are."""
    console = Console(file=stream, highlight=False, soft_wrap=True)
    for line in lines:
        console.print(Text.assemble(*((printable(text, keep="\t"), style) for text, style in line)))


def draw_tree(node: TreeNode, stream: TextIO) -> None:
    """Draw a tree."""
    console = Console(file=stream, highlight=False, width=_columns(stream))
    drawn = Tree(_line(node))
    _grow(drawn, node)
    console.print(drawn)


def _grow(drawn: Tree, node: TreeNode) -> None:
    for below in node.below:
        _grow(drawn.add(_line(below)), below)


def _line(node: TreeNode) -> Text:
    return Text(printable(node.text), style=_STYLES.get(node.style, ""))


def _columns(stream: TextIO) -> int | None:
    """The width of a terminal; None where it has none, or a variable says another. rich itself asks standard input first,
    which may be another terminal."""
    if os.environ.get("COLUMNS"):
        return None
    return os.get_terminal_size(stream.fileno()).columns or None


def _fit(table: Table, kept: list[int], drawn: Drawn, console: Console) -> None:
    """Add the columns so that only the last to be narrowed is cut or folded. Those without room leave ``kept``."""
    widths = {
        index: max(cell_len(printable(cell)) for cell in (table.columns[index], *(row[index] for row in table.rows)))
        for index in kept
    }
    last = table.columns.index(table.last)
    least = min(LEAST, widths.get(last, 0))

    def taken() -> int:
        """The width of all the others."""
        return sum(widths[index] for index in kept if index != last) + _GAP * (len(kept) - 1) + _EDGES

    for name in table.narrow:
        index = table.columns.index(name)
        if index in kept and taken() + least > console.width:
            kept.remove(index)
    # Where even that is too wide, the terminal folds the line, and nothing that tells one row from another is lost.
    if last in widths:
        widths[last] = min(widths[last], max(least, console.width - taken()))
    console.width = max(console.width, taken() + widths.get(last, 0))
    for index in kept:
        folds = table.folded and index == last
        overflow: Literal["fold", "ellipsis"] = "fold" if folds else "ellipsis"
        drawn.add_column(table.columns[index], width=widths[index], no_wrap=not folds, overflow=overflow)
