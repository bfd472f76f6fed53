"""Tables as plain text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hardening.report.table import Table, plain


def test_columns_are_aligned_and_empty_ones_left_out() -> None:
    table = Table(("a", "unused", "long name"), (("x", "", "1"), ("yyyy", "", "")), "title")
    assert plain(table).splitlines() == ["title", "A     LONG NAME", "x     1", "yyyy"]


def test_a_table_without_rows_is_its_title() -> None:
    assert plain(Table(("a",), (), "title")) == "title\nA"
    assert plain(Table(("a", "b"), ())) == "A  B"


@given(st.lists(st.tuples(st.text(), st.text()), min_size=1, max_size=5))
def test_a_row_is_always_one_printable_line(rows: list[tuple[str, str]]) -> None:
    lines = plain(Table(("a", "b"), tuple(rows))).split("\n")
    assert len(lines) in (0, 1, len(rows) + 1)
    assert all(line.isprintable() for line in lines)
