"""What an inquiry comes to, and in how many runs: a made-up command under the real mechanisms."""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any

import pytest

from hardening.assemble.pipeline import examine
from hardening.base.values import frozen
from hardening.compose.composition import Composition
from hardening.mechanism.denial import Caller, SystemCall
from hardening.trace import calls
from hardening.trace.tracer import IDLE, INTERRUPT, TIME, Trace, TracedProcess
from hardening.why.inquiry import Explanation, inquire
from hardening.why.runner import CommandRunner, Ran
from hardening.why.world import Conclusion
from tests.hardening.why.test_question import HOST, composed
from tests.support import bundles

DOCUMENT = bundles.config("x")
NOTHING: Any = None


@frozen(eq=False)
class Program(CommandRunner):
    """A command that asks for system calls in their order, and complains of the first that it ``needs`` and is refused.
    ``ends`` says why a run of this number was ended, and its exit code where all is well. ``traces``: it traces a process,
    and fails where it is traced itself. ``under`` are its runs."""

    asks: Collection[str] = ()
    needs: Collection[str] = ()
    ends: Callable[[int], tuple[str, int]] = lambda number: ("", 0)
    traces: bool = False
    under: list[Composition] = NOTHING

    def _run(self, composition: Composition, start: object, *, shown: bool) -> Ran:
        self.under.append(composition)
        refused: list[SystemCall] = []
        missed = False
        for name in self.asks:
            if not missed and not _permits(composition, name):
                missed = name in self.needs
                refused.append(_refused(name, len(refused), speaks=missed))
        if self.traces and start != self._untraced:  # a process has one tracer
            missed = True
            refused.append(_refused("ptrace", len(refused), speaks=True))
        ended, status = ("", 1) if missed else self.ends(len(self.under))
        process = TracedProcess(7, ("x",), "/bin/x", status << 8)
        trace = Trace(tuple(refused), MappingProxyType({7: process}), 7, status, ended, 9)
        return Ran(trace, composition, examine(composition, HOST), DOCUMENT, not (status or ended), 1.0)


def _permits(composition: Composition, name: str) -> bool:
    rule = composition.settings["seccomp"].syscalls[name]
    return str(rule.value((0,) * 6)) == "allow"


def _refused(name: str, order: int, *, speaks: bool) -> SystemCall:
    return SystemCall(
        name, calls.number(name) or 0, calls.own(), (0,) * 6, Caller(7, executable="/bin/x"), error=errno.EPERM, text=name,
        order=order, output=f"x: {name}: Operation not permitted\n" if speaks else "",
    )  # fmt: skip


def asked(*tables: Mapping[str, Any], until: str = "", once: bool = False, **command: Any) -> tuple[Explanation, int]:
    """The answer for a command under these tables, and how often it was run."""
    under: list[Composition] = []
    program = Program(NOTHING, NOTHING, HOST, ("x",), NOTHING, until=until, under=under, **command)
    return inquire(composed(*tables), program, once=once), len(under)


def leaves(found: Explanation) -> list[tuple[str, bool]]:
    return [(item.cause.leaf, item.confirmed) for item in found.attributions]


@pytest.mark.parametrize(
    ("command", "runs"),
    [
        ({}, 1),  # it succeeds
        ({"ends": lambda number: ("", 1)}, 2),  # it fails again
        ({"asks": ["add_key"], "ends": lambda number: ("", 1)}, 3),  # what it was denied makes no difference
        ({"asks": ["add_key", "semget", "personality"], "ends": lambda number: ("", 1)}, 6),
    ],
)
def test_a_command_that_the_stack_is_no_reason_for_blames_nobody_in_few_runs(command: Any, runs: int) -> None:
    found, count = asked(**command)
    assert found.conclusion is (Conclusion.NOT_FOUND if runs > 1 else Conclusion.NOT_NEEDED)
    assert (leaves(found), found.loosening, found.elsewhere) == ([], None, ())
    assert (found.runs, count) == (runs, runs)


def test_what_it_needs_is_confirmed_and_what_it_does_without_is_a_probe() -> None:
    found, count = asked(asks=["add_key", "semget"], needs=["semget"])
    assert (found.conclusion, leaves(found), found.runs) == (Conclusion.FOUND, [("seccomp.semget", True)], count)
    assert found.is_good
    assert found.loosening is not None
    assert "semget" in found.loosening.toml
    assert [item.call.name for item in found.probes] == ["add_key"]
    assert count == 4  # its first one, two with the loosening, and one without


@pytest.mark.parametrize("once", [True, False])
@pytest.mark.parametrize("ended", [INTERRUPT, IDLE, TIME])
def test_who_was_ended_before_its_end_is_not_tried_for_what_it_may_need(ended: str, once: bool) -> None:
    found, count = asked(ends=lambda number: (ended, 0), once=once)
    assert (found.conclusion, found.runs, count, found.is_good) == (Conclusion.STOPPED, 1, 1, False)


def test_once_is_one_run_and_names_who_is_suspected() -> None:
    found, count = asked(asks=["semget"], needs=["semget"], once=True)
    assert (found.conclusion, leaves(found), count) == (Conclusion.STOPPED, [("seccomp.semget", False)], 1)
    assert found.attributions[0].loosening is not None
    assert found.loosening is None


def test_a_success_the_second_time_blames_nobody() -> None:
    found, _ = asked(ends=lambda number: ("", int(number == 1)))
    assert (found.conclusion, leaves(found), found.is_good) == (Conclusion.FLAKY, [], False)


def test_who_has_no_more_to_complain_of_and_waits_needs_what_it_was_given() -> None:
    found, _ = asked(asks=["semget"], needs=["semget"], ends=lambda number: (IDLE, 0))
    assert (found.conclusion, leaves(found)) == (Conclusion.FOUND, [("seccomp.semget", True)])
    assert found.running is not None
    assert found.is_good


def test_who_is_at_work_until_its_time_is_over_may_fail_later() -> None:
    found, _ = asked(asks=["semget"], needs=["semget"], ends=lambda number: (TIME, 0))
    assert leaves(found) == [("seccomp.semget", False)]
    assert (found.is_out_of_time, found.is_good) == (True, False)


def test_what_a_limit_forbids_is_named_with_the_limit() -> None:
    found, _ = asked({"limits": {"seccomp": {"deny": ["semget"]}}}, asks=["semget"], needs=["semget"])
    assert (found.conclusion, leaves(found)) == (Conclusion.NOT_FOUND, [("seccomp.semget", False)])
    assert "limit" in found.attributions[0].barrier


def test_who_complains_no_more_and_fails_all_the_same_was_not_failed_by_that() -> None:
    found, _ = asked(asks=["semget"], needs=["semget"], ends=lambda number: ("", 1))
    assert found.conclusion is Conclusion.NOT_FOUND
    assert (leaves(found), found.loosening) == ([], None)


def test_who_traces_others_is_judged_by_a_run_that_nobody_looks_at() -> None:
    found, count = asked(traces=True)
    assert (found.conclusion, count) == (Conclusion.NOT_NEEDED, 2)
