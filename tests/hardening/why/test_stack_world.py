"""What a search is told of its runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Any

import attrs
import pytest

from hardening.base.values import frozen
from hardening.compose.composition import Composition
from hardening.mechanism.denial import Caller, Size, SystemCall, Way
from hardening.trace.tracer import IDLE, TIME, Idle, Trace
from hardening.why import loosen
from hardening.why.causes import FailedCall
from hardening.why.loosening import Loosening
from hardening.why.runner import CommandRunner, Ran
from hardening.why.stack_world import StackWorld
from hardening.why.world import Member, Suspect
from hardening_process.kinds import User
from tests.hardening.why.test_question import composed


@frozen(eq=False)
class Runs:
    """Runs of a command that have come to this."""

    until: str
    ran: Iterator[Ran]
    seconds: float | None = None
    idle: Idle | None = None
    made: SystemCall | None = None

    def run(self, composition: Composition, on_call: Callable[[SystemCall], None] | None = None) -> Ran:
        """The next one."""
        if self.made is not None and on_call is not None:
            on_call(self.made)
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
    runner: Any = Runs(until, ran)
    told: list[int] = []
    stack = StackWorld(composed(), runner, is_late=must_end, tell=told.append)
    assert [stack.run([]).succeeded for _ in ends] == successes
    assert (stack.running.trace.ended if stack.running is not None else "") == running
    assert told == [number + 1 for number in range(len(ends))]


@pytest.mark.parametrize(
    ("offers", "is_out"),
    [
        ((), True),
        ((Loosening(barrier="the host", is_out_of_reach=True),), True),
        ((Loosening(barrier="the host", is_out_of_reach=True), Loosening(barrier="a limit")), False),
        ((Loosening(barrier="the host", is_out_of_reach=True), Loosening(shown="yes")), False),
    ],
)
def test_what_the_host_lets_nobody_have_is_out_of_reach_and_what_a_limit_forbids_is_not(
    offers: tuple[Loosening, ...], is_out: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing: Any = None
    found = {f"a.{number}": offer for number, offer in enumerate(offers)}
    monkeypatch.setattr(loosen, "first", lambda attempt, leaf, ways: found[ways[0].leaf])
    runner: Any = Runs("", nothing)
    stack = StackWorld(composed(), runner)
    assert stack.is_out_of_reach(Suspect("call", "EPERM", "a", tuple(map(Way, found)), False, True)) is is_out


def test_who_does_without_a_call_as_another_user_makes_it_no_more() -> None:
    """A file that a user gives to itself is given to nobody."""
    nothing: Any = None
    given = SystemCall("chown", 92, 0, (0,) * 6, Caller(9), text="chown /data 999")
    way = Way("process.user", User("999", "999"), Size.PLACE, spares_call=True)
    member = Member(Suspect(FailedCall(given, 1, (), True, 2).key, "EPERM", way.leaf, (way,)), way)
    ran = Ran(Trace((), MappingProxyType({}), 7, 0, "", 9), nothing, nothing, {}, True)
    for made, succeeds in ((given, False), (attrs.evolve(given, text="chown /other 999"), True)):
        runner: Any = Runs("", iter([ran, ran]), made=made)
        stack = StackWorld(composed(), runner)
        assert [stack.run([member]).succeeded, stack.run_unseen([member]).succeeded] == [succeeds] * 2


@pytest.mark.parametrize(("ends", "given"), [(True, [60, 3, 60]), (False, [60, 3])])
def test_who_has_ended_by_itself_is_given_all_of_its_time_before_it_is_taken_for_one_that_does_not(
    ends: bool, given: list[float]
) -> None:
    """After a run that has succeeded others have less; a machine may be slower by then."""
    nothing: Any = None
    allowed: list[float | None] = []

    @frozen(eq=False)
    class Timed(Runs):
        def run(self, composition: Composition, on_call: Callable[[SystemCall], None] | None = None) -> Ran:
            allowed.append(self.seconds)
            return Runs.run(self, composition, on_call)

    ran = [
        Ran(Trace((), MappingProxyType({}), 7, 1, ended, 9), nothing, nothing, {}, not ended)
        for ended in ("", TIME, "")
    ]
    runner: Any = Timed("", iter(ran), 60.0)
    stack = StackWorld(composed(), runner, ends=ends)
    assert [stack.run([]).succeeded for _ in range(2)] == [True, ends]
    assert allowed == given


@pytest.mark.parametrize(
    ("is_late", "idles"), [(True, [Idle(5.0, for_anything=True)] * 3), (False, [Idle(3.0), Idle(3.0), Idle(2.0)])]
)
def test_how_long_a_run_may_wait(is_late: bool, idles: list[Idle], monkeypatch: pytest.MonkeyPatch) -> None:
    """For its next try, what was at work until its first run was ended; for others, what serves them, no longer than a run
    takes that has succeeded. Of that one somebody looks whether it waits once one has waited."""
    nothing: Any = None
    given: list[Idle | None] = []

    @frozen(eq=False)
    class Waiting(Runs):
        def run(self, composition: Composition, on_call: Callable[[SystemCall], None] | None = None) -> Ran:
            given.append(self.idle)
            return Runs.run(self, composition, on_call)

    ran = [
        Ran(Trace((), MappingProxyType({}), 7, 0, ended, 9), nothing, nothing, {}, not ended, seconds=2.0)
        for ended in (IDLE, "", "", "")
    ]
    runner: Any = Waiting("", iter(ran), 60.0, Idle(3.0))
    stack = StackWorld(composed(), runner, is_late=is_late)
    assert [stack.run([]).succeeded for _ in idles] == [not is_late, True, True]
    assert given == idles
    monkeypatch.setattr(CommandRunner, "run_unseen", lambda runner, composition: next(runner.ran))
    assert stack.run_unseen([]).succeeded
    assert len(given) == (3 if is_late else 4)
