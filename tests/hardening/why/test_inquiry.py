"""What a search is told of its runs."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

import pytest

from hardening.base.values import frozen
from hardening.compose.composition import Composition
from hardening.trace.tracer import IDLE, TIME, Trace
from hardening.why.inquiry import TriedStack
from hardening.why.trial import Ran
from tests.hardening.why.test_question import composed


@frozen(eq=False)
class Runs:
    """Runs of a command that have come to this."""

    until: str
    ran: Iterator[Ran]
    seconds: float | None = None
    idle: float | None = None

    def run(self, composition: Composition) -> Ran:
        """The next one."""
        return next(self.ran)


@pytest.mark.parametrize(
    ("until", "ends", "goes_on"),
    [
        ("", [(TIME, False)], True),
        ("", [(TIME, False), ("", True)], False),
        ("", [(IDLE, False)], True),
        ("", [("", True), (TIME, False), ("", False)], True),
        ("curl", [("", True), (TIME, False)], False),  # no success while the check fails
    ],
)
def test_the_command_runs_on_where_the_last_run_that_succeeded_did(
    until: str, ends: list[tuple[str, bool]], goes_on: bool
) -> None:
    nothing: Any = None
    ran = iter(
        [
            Ran(Trace((), MappingProxyType({}), 7, 1, ended, 9), nothing, nothing, {}, succeeded)
            for ended, succeeded in ends
        ]
    )
    trials: Any = Runs(until, ran)
    told: list[int] = []
    stack = TriedStack(composed(), trials, tell=told.append)
    for _ in ends:
        stack.run([])
    assert stack.goes_on is goes_on
    assert told == [number + 1 for number in range(len(ends))]
