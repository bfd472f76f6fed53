"""``python -m tests.system.denials.table [NAME...]``: what `hardening why` says of each row, as a table."""

from __future__ import annotations

import statistics
import sys

from tests.support.users import ordinary
from tests.system.denials.asking import Answer, ask
from tests.system.denials.rows import ROWS
from tests.system.denials.rows_run import place


def main(names: list[str]) -> None:
    """Ask about all rows, or those that are named, as each caller."""
    answers: list[Answer] = []
    print(
        "| row | caller | outcome | right | named | known fix | loosening | re-runs | s |\n| --- " + "| --- " * 8 + "|"
    )
    for row in ROWS:
        for caller in ("root", "user"):
            if not getattr(row, caller) or (names and row.name not in names):
                continue
            with place(row, ordinary() if caller == "user" else None) as here:
                try:
                    answer = ask(here)
                except AssertionError as error:
                    print(f"| {row.name} | {caller} | FAILED | no | {str(error)[-300:]!r} |", flush=True)
                    continue
            answers.append(answer)
            named = ", ".join(answer.leaves or answer.blamed) or "none"
            cells = (row.name, caller, answer.said["outcome"], "yes" if answer.is_right else "NO", named,
                     row.instead or f"{row.size} of {', '.join(row.leaves)}", answer.size, answer.said["runs"] - 1,
                     f"{answer.seconds:.1f}")  # fmt: skip
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    right = sum(answer.is_right for answer in answers)
    larger = sum(answer.size == "larger" for answer in answers)
    runs = statistics.median(answer.said["runs"] - 1 for answer in answers) if answers else 0
    print(f"\n{right} of {len(answers)} right, {larger} larger, median of {runs} re-runs")


if __name__ == "__main__":
    main(sys.argv[1:])
