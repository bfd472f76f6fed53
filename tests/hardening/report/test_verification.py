"""A receipt as a table."""

from __future__ import annotations

from hardening.mechanism.mechanism import State
from hardening.report.verification import ReceiptLine, tables


def test_what_has_to_be_looked_at_stands_first_and_what_is_not_there_is_a_dash() -> None:
    shown = tables(
        [
            ReceiptLine("box.size", "None", "", State.HOLDS),
            ReceiptLine("box.label", "x", "None given", State.HOLDS),
            ReceiptLine("box.closed", "yes", "no", State.DIFFERS),
        ]
    )
    assert [(table.title, table.rows) for table in shown] == [
        ("does not hold", (("box.closed", "yes", "no"),)),
        ("holds", (("box.size", "-", "-"), ("box.label", "x", "None given"))),
    ]
