"""A receipt as a table."""

from __future__ import annotations

from hardening.report.verification import HOLDS, Line, table


def test_what_is_not_there_is_a_dash() -> None:
    shown = table([Line("box.size", "None", "", HOLDS), Line("box.label", "x", "None given", HOLDS)])
    assert shown.rows == (("box.size", "-", "-", HOLDS), ("box.label", "x", "None given", HOLDS))
