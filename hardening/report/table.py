"""A table as data, and as aligned plain text."""

from __future__ import annotations

from hardening.base.text import printable
from hardening.base.values import frozen


@frozen
class Table:
    """Rows of cells. ``title`` stands above, and may be empty.

    With ``last``, the name of a column, no other cell is cut or folded on a narrow terminal: ``narrow`` are columns that
    are left out there, in this order, and then the cells of ``last`` are cut, or ``folded``.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    last: str = ""
    narrow: tuple[str, ...] = ()
    folded: bool = False


def shown(table: Table) -> list[int]:
    """The places of the columns that something is shown of."""
    return [at for at, _ in enumerate(table.columns) if not table.rows or any(row[at] for row in table.rows)]


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
