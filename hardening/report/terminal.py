"""Tables and trees drawn on a terminal with rich, which honours ``NO_COLOR`` by itself."""

from __future__ import annotations

from typing import TextIO

from rich import box
from rich.console import Console
from rich.table import Table as Drawn
from rich.text import Text

from hardening.report.table import Table, clean

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


def draw(table: Table, stream: TextIO) -> None:
    """Draw a table; long cells are folded, never cut."""
    console = Console(file=stream, highlight=False)
    drawn = Drawn(
        title=clean(table.title) or None, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
    )
    kept = [index for index, _ in enumerate(table.columns) if any(row[index] for row in table.rows)]
    for index in kept:
        drawn.add_column(table.columns[index], overflow="fold")
    for row in table.rows:
        drawn.add_row(*(Text(clean(row[index]), style=_STYLES.get(row[index], "")) for index in kept))
    console.print(drawn)
