"""Tables as plain text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hardening.report.table import LEAST, Table, fitted, plain


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


CELLS = st.lists(st.sampled_from(["a", "name", "--option=1,two", "a-longer-word", "a/path/of/several/names"])).map(
    " ".join
)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1), st.integers(10, 60), st.sampled_from(["", "b"]))
def test_a_table_that_has_room_breaks_no_word(rows: list[tuple[str, str, str]], width: int, last: str) -> None:
    table = Table(("a", "b", "c"), tuple(rows), last=last)
    found = fitted(table, width)
    if found is None:
        words = [word for row in rows for cell in row for word in cell.split()]
        assert last or sum(max(size, LEAST) for size in sorted(map(len, words))[-3:]) + 4 > width
        return
    assert sum(found.widths) + 2 * (len(found.widths) - 1) <= width
    for row, cells in zip(rows, found.rows, strict=True):
        for at, lines in zip(found.kept, cells, strict=True):
            assert " ".join(lines).replace(",", " ").split() == row[at].replace(",", " ").split()


def test_a_row_without_room_is_wrapped_and_else_a_record() -> None:
    table = Table(("name", "what"), (("one", "some words of it"), ("two", "")))
    assert plain(table, 18).splitlines() == ["NAME  WHAT", "one   some words", "      of it", "two"]
    assert plain(table, 18, heading=False).splitlines() == ["one   some words", "      of it", "two"]
    assert plain(table, 17).splitlines()[0] == "one"
    long = Table(("name", "what"), (("one", "some-words-of-it"),))
    assert plain(long, 18).splitlines() == ["one", "  what  some-words-of-it"]
    assert plain(Table(long.columns, long.rows, last="what"), 18).splitlines() == [
        "NAME  WHAT",
        "one   some-words-of-it",
    ]


def test_a_list_of_paths_is_broken_between_them_and_no_name_of_an_image() -> None:
    names = ("oci:/srv/shop/small", "PATH=/usr/bin:/srv/shop/bin")
    assert plain(Table(("what", "in"), (names,)), 24).splitlines() == [
        "oci:/srv/shop/small",
        "  in  PATH=/usr/bin:",
        "      /srv/shop/bin",
    ]
    # A long word disturbs the columns behind it, and none where there is none.
    behind = Table(("image", "digest"), (("oci:/srv/shop/small", "5891"),), last="image")
    assert plain(behind, 24).splitlines() == ["oci:/srv/shop/small", "  digest  5891"]
    assert plain(behind, 27).splitlines() == ["IMAGE                DIGEST", "oci:/srv/shop/small  5891"]
