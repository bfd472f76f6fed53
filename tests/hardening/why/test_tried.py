"""What a search is told of its runs."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

import pytest

from hardening.base.values import frozen
from hardening.compose.composition import Composition
from hardening.trace.tracer import IDLE, TIME, Trace
from hardening.why.trial import Ran
from hardening.why.tried import TriedStack
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
    ("until", "must_end", "ends", "running", "successes"),
    [
        ("", False, [(TIME, False)], TIME, [True]),
        ("", True, [(TIME, False), ("", True)], "", [False, True]),
        ("", False, [(TIME, False), ("", True)], "", [True, True]),
        ("", False, [(IDLE, False)], IDLE, [True]),
        ("", False, [("", True), (TIME, False), ("", False)], "", [True, False, False]),  # it ends where it succeeds
        ("curl", False, [("", True), (TIME, False)], "", [True, False]),  # no success while the check fails
    ],
)
def test_a_run_that_was_ended_counts_as_a_success_until_one_has_ended_as_such(
    until: str, must_end: bool, ends: list[tuple[str, bool]], running: str, successes: list[bool]
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
    stack = TriedStack(composed(), trials, must_end=must_end, tell=told.append)
    assert [stack.run([]).succeeded for _ in ends] == successes
    assert (stack.running.trace.ended if stack.running is not None else "") == running
    assert told == [number + 1 for number in range(len(ends))]
