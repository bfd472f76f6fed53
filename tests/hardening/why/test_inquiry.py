"""What a search is told of its runs."""

from __future__ import annotations

from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest

from hardening.trace.tracer import TIME, Trace
from hardening.why.inquiry import TriedStack
from hardening.why.trial import Ran
from tests.hardening.why.test_question import composed


@pytest.mark.parametrize(
    ("until", "ends", "goes_on"),
    [
        ("", [(TIME, False)], True),
        ("", [(TIME, False), ("", True)], False),
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
    trials: Any = SimpleNamespace(run=lambda composition: next(ran), until=until)
    told: list[int] = []
    stack = TriedStack(composed(), trials, tell=told.append)
    for _ in ends:
        stack.run([])
    assert stack.goes_on is goes_on
    assert told == [number + 1 for number in range(len(ends))]
