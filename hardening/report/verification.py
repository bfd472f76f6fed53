"""A receipt held against its composition, line by line."""

from __future__ import annotations

from collections.abc import Iterable

from hardening.compose import Composition
from hardening.enforcement import refusal
from hardening.mechanism import Check, Shortfall
from hardening.report.table import Table
from hardening.values import frozen

HOLDS, FAILS, NOT_ENFORCED = "holds", "does not hold", "not enforced"


@frozen
class Line:
    """One comparison. ``result`` is ``holds``, ``does not hold``, or ``not enforced`` where a best-effort mechanism asked
    for what this host is known to lack."""

    leaf: str
    expected: str
    kernel: str
    result: str


def judge(composition: Composition, checks: Iterable[Check], shortfalls: Iterable[Shortfall]) -> list[Line]:
    """The result of each check."""
    excused = {item.leaf for item in shortfalls if refusal(composition, item) is None}
    return [
        Line(
            check.leaf,
            check.expected,
            check.kernel,
            HOLDS if check.holds else NOT_ENFORCED if check.leaf in excused else FAILS,
        )
        for check in checks
    ]


def table(lines: Iterable[Line]) -> Table:
    """The comparisons as a table."""
    rows = tuple((line.leaf, _shown(line.expected), _shown(line.kernel), line.result) for line in lines)
    return Table(("leaf", "composed", "kernel says", "result"), rows)


def _shown(text: str) -> str:
    return "-" if text in ("", "None") else text
