"""What came of the attempts of one run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs
import pytest

from tests.escape.attempt import STANCES, Attempt, Outcome

WIDEST = 44


@attrs.define
class Results:
    """The outcomes, off and on, by attempt and stance."""

    found: dict[tuple[str, str], tuple[Outcome, Outcome]] = attrs.field(factory=dict)

    def lines(self, attempts: Sequence[Attempt]) -> Iterator[str]:
        """A table: attempt, defence, and what came of it with the defence off and on, for each stance."""
        head = ("attempt", "defence", *(f"{stance}, {word}" for stance in STANCES for word in ("off", "on")))
        rows = [head]
        for attempt in attempts:
            cells = [cell for stance in STANCES for cell in self._cells(attempt, stance)]
            rows.append((attempt.name, attempt.defence.replace("`", ""), *cells))
        widths = [min(max(len(row[column]) for row in rows), WIDEST) for column in range(len(head))]
        for row in rows:
            yield " | ".join(cell[:WIDEST].ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()

    def _cells(self, attempt: Attempt, stance: str) -> tuple[str, str]:
        outcomes = self.found.get((attempt.name, stance))
        if outcomes is None:
            return "not run", "not run"
        off, on = (_shown(outcome) for outcome in outcomes)
        return off, on


def _shown(outcome: Outcome) -> str:
    first = outcome.said.splitlines()[0] if outcome.said else ""
    # A launch that is refused says where and why; the place is the same for all.
    words = first.removeprefix("not launched: ").removeprefix("hardening: ")
    return f"{'ESCAPED' if outcome.escaped else 'refused'}: {words}"


RESULTS = pytest.StashKey[Results]()
