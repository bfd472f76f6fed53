"""Changes of a configuration as tables."""

from __future__ import annotations

from hardening.compare.configuration import Change, changes
from hardening.mechanism.mechanism import Violation
from hardening.report.changes import beyond, table


def test_long_values_are_cut_in_the_table_only() -> None:
    (change,) = changes({}, {"a": "x" * 500}, {})
    assert len(table([change]).rows[0][2]) == 120
    assert change.after == "x" * 500
    violation = Violation("/a", "y" * 500, "z" * 200, "box.size")
    assert [len(cell) for cell in beyond([violation]).rows[0]] == [2, 120, 200, 8]


def test_a_umask_is_shown_in_octal() -> None:
    shown = table([Change("/process/user/umask", None, 18), Change("/process/oomScoreAdj", 18, 0)])
    assert [row[1:3] for row in shown.rows] == [("-", "0022"), ("18", "0")]
