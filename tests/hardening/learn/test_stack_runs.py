"""What the runs of a learner are composed of, and what it asks mechanisms."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any
from unittest.mock import Mock

import attrs
import pytest

from hardening.base.values import frozen
from hardening.learn.learning import Unfinished
from hardening.learn.stack_runs import StackRuns
from hardening.profile.layers import parse_layer
from hardening.profile.source import command_line
from hardening.trace.tracer import IDLE, INTERRUPT, TIME, Idle, Trace
from hardening.why import smallest
from hardening.why.loosening import Loosening
from hardening.why.runner import Ran
from hardening.why.stack_world import StackWorld
from hardening.why.world import Conclusion, Result, TrialOutcome
from tests.hardening.why.test_question import HOST, composed

LEARNT = {"seccomp": {"deny": ["getpid"]}}


@frozen(eq=False)
class Runs:
    """Runs of a command that all come to the same."""

    run_unseen: Callable[[object], Ran]
    host: Any = HOST
    until: str = ""
    seconds: float | None = None
    idle: Idle | None = None
    in_place: bool = False

    def run(self, composition: object, *, shown: bool = False, on_call: object = None) -> Ran:
        """One that is looked at."""
        return self.run_unseen(composition)


def stack_runs(
    *tables: dict[str, Any], ended: str = "", status: int = 0, tell: Callable[[int], None] = lambda number: None
) -> StackRuns:
    """Runs under a base of these tables, each of which ends like this."""
    attempt, nothing = composed(*tables), None

    def ran(_: object) -> Ran:
        trace = Trace((), MappingProxyType({}), 7, status, ended, 9)
        return Ran(trace, attempt.composition, nothing, {}, succeeded=not ended and not status, seconds=2.0)  # type: ignore[arg-type]

    runs: Any = Runs(ran)
    return StackRuns(attempt.composition, attempt.composition, attempt.today, runs, tell=tell)


def test_what_was_learnt_stands_between_the_profiles_and_what_was_typed() -> None:
    under = stack_runs({"seccomp": {"allow": ["getppid"]}})
    typed = parse_layer(command_line({"rootfs": {"sys": "none"}}, {}))
    stack = attrs.evolve(under.base.stack, layers=(*under.base.stack.layers, typed))
    under.base = attrs.evolve(under.base, stack=stack)
    layers = under.composed([LEARNT, {}]).stack.layers
    assert ["seccomp" in layer.tables for layer in layers] == [False, True, True, False]
    assert layers[-1] is typed


def test_what_a_limit_forbids_is_refused_before_it_is_run() -> None:
    under = stack_runs({"limits": {"seccomp": {"deny": ["bpf"]}}})
    assert under.refusal([LEARNT]) is None
    refused = under.refusal(
        [{"seccomp": {"allow": ["bpf"]}, "exceptions": [{"setting": "seccomp.bpf", "reason": "r"}]}]
    )
    assert refused is not None
    assert "limit" in refused.message


def test_a_run_that_somebody_interrupts_says_nothing() -> None:
    assert stack_runs().run([LEARNT]).succeeded
    with pytest.raises(Unfinished):
        stack_runs(ended=INTERRUPT).run([LEARNT])


def test_only_a_run_shows_that_a_capability_is_not_needed() -> None:
    under = stack_runs({"capabilities": {"add": ["KILL", "CHOWN"]}})
    assert set(under.spare()) == {"capabilities.KILL", "capabilities.CHOWN"}
    assert under.least(["capabilities.KILL"]) == {"capabilities": {"drop": ["ALL"], "root": [], "add": ["KILL"]}}


def test_a_search_tells_of_each_of_its_runs() -> None:
    told: list[int] = []
    under = stack_runs(status=1, tell=told.append)
    under.trace([LEARNT])  # which shows what the command prints
    assert under.search([LEARNT], is_late=False) is None
    assert told == [2, 3]  # what it is denied, and that it fails again


@pytest.mark.parametrize("is_ended", [False, True])
def test_what_was_enough_is_tried_although_the_search_has_not_confirmed_it(
    is_ended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that took longer than those before confirms nothing; who presses Ctrl-C wants no further run."""
    under = stack_runs(status=1)
    member: Any = Mock(suspect=Mock(leaf="rootfs.sys"), way=Mock(leaf="rootfs.sys"))
    result = Result(Conclusion.STOPPED, (member,), 9, is_ended=is_ended)
    monkeypatch.setattr(smallest, "search", lambda first, stack: result)
    monkeypatch.setattr(StackWorld, "loosening", lambda stack, member: Loosening(tables=LEARNT))
    if is_ended:
        with pytest.raises(Unfinished):
            under.search([LEARNT], is_late=False)
    else:
        assert under.search([LEARNT], is_late=False) == {"rootfs.sys": LEARNT}


@pytest.mark.parametrize(
    ("ended", "is_late", "until", "late"),
    [
        (IDLE, True, "", True),
        (TIME, False, "", True),
        (IDLE, True, "curl", False),  # its check says what is a success
        ("", True, "", False),
        (IDLE, False, "", None),  # it waits for others: a search would take that for a success
    ],
)
def test_what_only_waits_is_as_late_as_it_was_before(
    ended: str, is_late: bool, until: str, late: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    under = stack_runs(ended=ended, status=1)
    under.runner = attrs.evolve(under.runner, until=until)
    firsts: list[TrialOutcome] = []

    def search(first: TrialOutcome, stack: object) -> Result:
        firsts.append(first)
        return Result(Conclusion.NOT_FOUND)

    monkeypatch.setattr(smallest, "search", search)
    assert under.search([LEARNT], is_late=is_late) is None
    assert [first.late for first in firsts] == ([] if late is None else [late])
    assert [first.waits for first in firsts] == ([] if late is None else [ended == IDLE and not late])
