"""A receipt as a table."""

from __future__ import annotations

from hardening.mechanism.mechanism import State
from hardening.report.verification import ReceiptLine, table


def test_what_is_not_there_is_a_dash() -> None:
    shown = table(
        [ReceiptLine("box.size", "None", "", State.HOLDS), ReceiptLine("box.label", "x", "None given", State.HOLDS)]
    )
    assert shown.rows == (("box.size", "-", "-", State.HOLDS), ("box.label", "x", "None given", State.HOLDS))
