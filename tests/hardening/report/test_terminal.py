"""Tables on terminals of several widths."""

from __future__ import annotations

import os
import pty

import attrs
import pytest

from hardening.report.table import Table
from hardening.report.terminal import draw
from tests.support.terminals import Screen

ROW = ("0123456789ab", "a-name-of-some-length", "sh -c 'a command of many words; " + 80 * "x", "strict", "native",
       "10 minutes ago", "exited (143) 3 seconds ago")  # fmt: skip
COLUMNS = ("id", "name", "command", "profiles", "runtime", "started", "status")
CONTAINERS = Table(
    COLUMNS, (ROW, ("cdef01234567", *ROW[1:])), last="command", narrow=("runtime", "profiles", "started")
)


def shown(table: Table, size: tuple[int, int], *, heading: bool = True) -> list[str]:
    """The lines that a terminal of so many rows and columns gets."""
    master, slave = pty.openpty()
    screen = Screen(master)
    screen.resize(*size)
    with os.fdopen(slave, "w") as stream:
        draw(table, stream, heading=heading)
        print("END", file=stream, flush=True)
        lines = screen.expect("END").split("\n")
    os.close(master)
    return [line.rstrip() for line in lines if line.strip(" ─")]


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.mark.parametrize("size", [(24, 80), (0, 0), (24, 100), (24, 132), (24, 40), (24, 300)])
@pytest.mark.parametrize("heading", [True, False])
def test_a_row_is_one_line_in_which_only_the_command_is_cut(size: tuple[int, int], heading: bool) -> None:
    lines = shown(CONTAINERS, size, heading=heading)
    assert len(lines) == 2 + heading
    columns = size[1] or 80
    for line, identity in zip(lines[heading:], ("0123456789ab", "cdef01234567"), strict=True):
        for word in (identity, ROW[1], "sh -c 'a ", ROW[6]):
            assert word in line
        assert ("…" in line) == (columns < 300)
        assert (ROW[4] in line) == (columns >= 132)
        # Where the rest alone is wider, the line is folded by the terminal.
        assert len(line) <= max(columns, 84)


def test_a_column_may_be_folded_instead() -> None:
    lines = shown(attrs.evolve(CONTAINERS, folded=True), (24, 100))
    assert sum(line.replace("exited", "").count("x") for line in lines) == 160
    assert [ROW[6] in line for line in lines].count(True) == 2
    assert max(map(len, lines[1:])) <= 100  # the heading is bold


def test_other_tables_fold() -> None:
    lines = shown(Table(("a", "b"), (("x", 100 * "y"),)), (24, 80))
    assert sum(line.count("y") for line in lines) == 100
