"""Learning, held against commands that are made up."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.errors import HardeningError, ProfileError
from hardening.learn import layer
from hardening.learn.layer import LearntStatements
from hardening.learn.learning import Learnt, PlainRun, RecordedRun, Tables, TracedRun, learn, with_needed
from hardening.learn.recording import Recording, Run
from hardening.mechanism.denial import Caller, SystemCall
from hardening.mechanism.evidence import Evidence, LearntStatement, Usage

BASE = frozenset({"read", "write", "fork"})
#: Of a run that is recorded, and of one that is looked at.
RECORDED, SEEN = (("files", 3), ("tasks", 9)), {"files": 40, "memory": 5, "tasks": 2}


@attrs.frozen
class Command:
    """A command that makes calls in their order, and fails at the first of ``asks`` that is denied; of ``probes`` it does
    without each, and ``complains`` of some, which fail whatever is permitted where they are ``broken``. ``places`` it
    writes to, which no call shows."""

    asks: frozenset[str]
    probes: frozenset[str] = frozenset()
    place: str = ""
    complains: frozenset[str] = frozenset()
    broken: frozenset[str] = frozenset()


class MadeUp:
    """Runs of a made-up command: the base permits `BASE` and holds the capability ``KILL``; ``forbidden`` is a limit's.
    Where it is ``late`` a run that does not succeed is still at work when its time is over."""

    def __init__(self, command: Command, forbidden: Iterable[str] = (), capability: str = "") -> None:
        self.command, self.forbidden, self.capability = command, frozenset(forbidden), capability
        self.tries, self.could, self.late, self.searched_late = 0, frozenset[str](), False, False

    def _permitted(self, layers: Sequence[Tables]) -> tuple[frozenset[str], bool, bool]:
        allowed, held, writable = BASE, True, False
        for tables in layers:
            table = tables.get("calls", {})
            excepted = {item["setting"] for item in tables.get("exceptions", ())}
            named = frozenset(table.get("allow", ()))
            loosened = frozenset(name for name in named if f"calls.{name}" in excepted)
            allowed = (allowed & named if table.get("default") else allowed) | loosened
            if "powers" in tables:
                held = "KILL" in tables["powers"].get("add", ())
            writable |= "places" in tables
        return allowed, held, writable

    def _succeeds(self, layers: Sequence[Tables]) -> bool:
        self.tries += 1
        allowed, held, writable = self._permitted(layers)
        return self.command.asks <= allowed and (held or not self.capability) and (writable or not self.command.place)

    def refusal(self, layers: Sequence[Tables]) -> HardeningError | None:
        named = {name for tables in layers for name in tables.get("calls", {}).get("allow", ())} - BASE
        return ProfileError("it exceeds the limit") if named & self.forbidden else None

    def record(self, layers: Sequence[Tables]) -> RecordedRun:
        assert self.refusal(layers) is None
        succeeded = self._succeeds(layers)
        allowed, *_ = self._permitted(layers)
        seen: list[str] = []
        for name in sorted(self.command.probes) + sorted(self.command.asks):
            seen.append(name)
            if name in self.command.asks and name not in allowed:
                break
        failed = self.command.broken | (frozenset(seen) - allowed)
        uses = frozenset(Usage(SystemCall(name, 0, 0, (), Caller(0), error=int(name in failed))) for name in seen)
        run = Run(f"{self.tries}", "2026-11-29", "made-up", "6.1.0 x86_64", uses, RECORDED)
        return RecordedRun(run, succeeded, unfinished="late" * (self.late and not succeeded))

    def trace(self, layers: Sequence[Tables]) -> TracedRun:
        recorded = self.record(layers)
        failed = frozenset(use for use in recorded.run.uses if use.call.error)
        complaints = frozenset(use for use in failed if use.call.name in self.command.complains)
        return TracedRun(recorded.succeeded, failed, complaints, SEEN, in_time=not recorded.unfinished)

    def run(self, layers: Sequence[Tables], *, patiently: bool = False) -> PlainRun:
        return PlainRun(self._succeeds(layers))

    def search(self, layers: Sequence[Tables], *, is_late: bool) -> Mapping[str, Tables] | None:
        self.searched_late = is_late
        ways: dict[str, Tables] = {}
        if self.command.place:
            exception = {"setting": f"places.{self.command.place}", "reason": "r"}
            ways[exception["setting"]] = {"exceptions": [exception], "places": {"add": [self.command.place]}}
        return ways if self._succeeds([*layers, *ways.values()]) else None

    def spare(self) -> Sequence[str]:
        return ["powers.KILL"]

    def least(self, kept: Collection[str]) -> Tables:
        return {"powers": {"drop": ["ALL"], "add": ["KILL"] if "powers.KILL" in kept else []}}

    def opened(self) -> Tables:
        names = sorted({*self.command.asks, *self.command.probes, "other"} - BASE - self.forbidden)
        exceptions = [{"setting": f"calls.{name}", "reason": "r"} for name in names]
        return {"calls": {"allow": names}, "exceptions": exceptions}

    def possible(self, programs: Collection[str]) -> frozenset[Usage]:
        return frozenset(Usage(SystemCall(name, 0, 0, (), Caller(0)), 0, 0, ("made-up",)) for name in self.could)

    def statements(self, evidence: Evidence) -> LearntStatements:
        calls = [LearntStatement(("default",), "deny", "")]
        for use in evidence.uses:
            loosens = frozenset(() if use.call.name in BASE else [f"calls.{use.call.name}"])
            calls.append(LearntStatement(("allow",), use.call.name, use.seen, element=True, loosens=loosens))
        powers = [] if evidence.needed is None else [LearntStatement(("drop",), "ALL", "", element=True)]
        if evidence.needed and "powers.KILL" in evidence.needed:
            powers.append(LearntStatement(("add",), "KILL", "", element=True))
        return {"calls": calls, "powers": powers}


def learnt(trials: MadeUp) -> Learnt:
    return learn(trials, Recording())


def test_what_a_command_complains_of_although_it_succeeds_is_needed() -> None:
    asked = Command(asks=frozenset({"read"}), probes=frozenset({"mount", "bpf"}), complains=frozenset({"mount"}))
    found = learnt(MadeUp(asked))
    assert found.proved
    assert layer.loosened(found.statements).keys() == {"calls.mount"}
    assert found.spared.keys() == {"calls.bpf"}
    found = learnt(MadeUp(asked, forbidden=["mount"]))
    assert found.proved
    assert not layer.loosened(found.statements)
    assert [item.leaf for item in found.barred] == ["calls.mount"]


def test_of_several_complaints_those_count_that_go_away() -> None:
    both = frozenset({"mount", "bpf"})
    found = learnt(MadeUp(Command(frozenset({"read"}), both, complains=both, broken=frozenset({"bpf"}))))
    assert found.proved
    assert layer.loosened(found.statements).keys() == {"calls.mount"}
    assert found.spared.keys() == {"calls.bpf"}


def test_what_programs_could_call_is_learnt_beside_what_they_have_called() -> None:
    trials = MadeUp(Command(asks=frozenset({"read"})))
    trials.could = frozenset({"read", "write"})
    found = learnt(trials)
    comments = {statement.value: statement.comment for statement in found.statements["calls"] if statement.element}
    assert comments == {"read": "1 call in 1 run", "write": "not seen, but made-up could make it"}
    (again,) = found.recording.evidence().of("write")
    assert again.runs == 0


def test_the_most_of_each_run_is_kept() -> None:
    found = learnt(MadeUp(Command(asks=frozenset({"read"}))))
    assert found.recording.evidence().peaks == {"files": 40, "memory": 5, "tasks": 9}


def loosened(found: Learnt) -> set[str]:
    return set(layer.loosened(found.statements))


def test_what_the_base_permits_needs_no_loosening() -> None:
    found = learnt(MadeUp(Command(frozenset({"read"}), frozenset({"clone3", "uring"}))))
    assert found.proved
    assert loosened(found) == set()
    assert set(found.spared) == {"calls.clone3", "calls.uring"}
    assert [one.value for one in found.statements["calls"] if one.element] == ["read"]


def test_only_what_a_command_cannot_do_without_is_loosened() -> None:
    found = learnt(MadeUp(Command(frozenset({"read", "accept", "bind"}), frozenset({"clone3", "uring", "statx"}))))
    assert found.proved
    assert loosened(found) == {"calls.accept", "calls.bind"}
    assert set(found.spared) == {"calls.clone3", "calls.uring", "calls.statx"}


def test_what_a_limit_forbids_is_told_and_not_written() -> None:
    found = learnt(MadeUp(Command(frozenset({"read"}), frozenset({"bpf"})), forbidden={"bpf"}))
    assert found.proved
    assert loosened(found) == set()
    assert [item.leaf for item in found.barred] == ["calls.bpf"]
    found = learnt(MadeUp(Command(frozenset({"read", "bpf"})), forbidden={"bpf"}))
    assert not found.proved
    assert [item.leaf for item in found.barred] == ["calls.bpf"]


def test_what_no_call_shows_is_found_by_trying() -> None:
    found = learnt(MadeUp(Command(frozenset({"accept"}), place="/var/lib"), capability="KILL"))
    assert found.proved
    assert loosened(found) == {"calls.accept", "places./var/lib"}
    assert {"add"} == {one.key[0] for one in found.statements["places"]}
    assert [one.value for one in found.statements["powers"]] == ["ALL", "KILL"]


class Racing(MadeUp):
    """A command whose first run fails, or complains, for a race of its own."""

    def trace(self, layers: Sequence[Tables]) -> TracedRun:
        is_first = self.tries == 0
        found = super().trace(layers)
        failed = frozenset(use for use in found.failed if use.call.name == "mount")
        return attrs.evolve(found, **self.first(failed)) if is_first else found

    def first(self, failed: frozenset[Usage]) -> dict[str, Any]:
        return {"succeeded": False}


class Complaining(Racing):
    def first(self, failed: frozenset[Usage]) -> dict[str, Any]:
        return {"complaints": failed}


@pytest.mark.parametrize("kind", [Racing, Complaining])
def test_what_the_next_run_does_not_show_is_no_need(kind: type[MadeUp]) -> None:
    found = learnt(kind(Command(frozenset({"read"}), frozenset({"mount"}))))
    assert found.proved
    assert loosened(found) == set()
    assert set(found.spared) == {"calls.mount"}


class Leaky(MadeUp):
    """A command that needs more than its runs show: a filter of what was seen is too tight."""

    def statements(self, evidence: Evidence) -> LearntStatements:
        found = super().statements(evidence)
        return {**found, "calls": [one for one in found["calls"] if one.value != "write"]}


def test_what_proves_too_tight_is_left_as_the_base_has_it() -> None:
    found = learnt(Leaky(Command(frozenset({"write"}))))
    assert found.proved
    assert found.left == ("calls",)
    assert found.statements["calls"] == []
    assert found.statements["powers"]


def test_several_commands_are_learnt_together() -> None:
    first = learnt(MadeUp(Command(frozenset({"accept"}))))
    trials = MadeUp(Command(frozenset({"bind"})))
    found = learn(trials, first.recording)
    assert found.proved
    assert loosened(found) == {"calls.accept", "calls.bind"}
    assert len(found.recording.runs) == 2


CALLS = st.frozensets(st.sampled_from(["read", "write", "accept", "bind", "mount", "clone3", "uring", "bpf"]))


@given(CALLS, CALLS, st.frozensets(st.sampled_from(["bpf", "mount"])), st.booleans(), st.sampled_from(["", "/x"]))
def test_the_smallest_set_is_learnt_or_nothing_is_proved(
    asks: frozenset[str], probes: frozenset[str], forbidden: frozenset[str], held: bool, place: str
) -> None:
    trials = MadeUp(Command(asks, probes - asks, place), forbidden, "KILL" if held else "")
    found = learnt(trials)
    assert found.proved == (not asks & forbidden)
    if found.proved:
        wanted = {f"calls.{name}" for name in asks - BASE} | ({f"places.{place}"} if place else set())
        assert loosened(found) == wanted
        assert found.left == ()
    assert {item.leaf for item in found.barred} <= {f"calls.{name}" for name in forbidden}


def test_what_is_at_work_for_too_long_is_searched_as_what_fails() -> None:
    runs = MadeUp(Command(frozenset({"read", "bind"}), place="/data"))
    runs.late = True
    found = learn(runs, Recording())
    assert found.proved
    assert set(layer.loosened(found.statements)) == {"calls.bind", "places./data"}
    assert runs.searched_late


def test_what_is_at_work_for_too_long_whatever_is_permitted_is_told_as_that() -> None:
    runs = MadeUp(Command(frozenset({"read", "bind"})), forbidden=("bind",))
    runs.late = True
    found = learn(runs, Recording())
    assert (found.proved, found.unfinished) == (False, "late")
    assert found.recording.runs


def test_an_exception_is_for_what_is_loosened_and_not_for_what_denies() -> None:
    """A place in memory below a hidden path is no path that is shown."""
    place = {
        "exceptions": [{"setting": "rootfs.tmpfs./home/me", "reason": "r"}],
        "rootfs": {"tmpfs": {"add": ["/home/me"]}},
    }
    free = {"rootfs": {"tmpfs": {"add": ["/run/me"]}}}
    found = with_needed({}, [place, free])
    assert [(one.value, *one.loosens) for one in found["rootfs"]] == [
        ("/home/me", "rootfs.tmpfs./home/me"),
        ("/run/me",),
    ]
    assert [item["setting"] for item in layer.tables(found, "r")["exceptions"]] == ["rootfs.tmpfs./home/me"]


def test_what_was_excepted_in_a_trial_is_excepted_in_the_layer() -> None:
    """Several exceptions for one line, lines in another order than their exceptions, and a line that was learnt without."""

    def excepting(leaves: Sequence[str], **tables: Any) -> dict[str, Any]:
        return {**tables, "exceptions": [{"setting": leaf, "reason": "r"} for leaf in leaves]}

    shown = excepting(["rootfs.hidden_paths./root", "rootfs.volumes./root"], rootfs={"volumes": {"add": ["/root"]}})
    calls = excepting(["seccomp.b", "seccomp.a"], seccomp={"allow": ["a", "b", "c"]})
    known = {"seccomp": [LearntStatement(("allow",), "c", "seen", element=True)]}
    found = layer.tables(with_needed(known, [shown, calls]), "r")
    leaves = {item["setting"] for item in found.pop("exceptions")}
    assert leaves == {"rootfs.hidden_paths./root", "rootfs.volumes./root", "seccomp.a", "seccomp.b"}
    assert found == {"rootfs": {"volumes": {"add": ["/root"]}}, "seccomp": {"allow": ["c", "a", "b"]}}
    (late,) = with_needed(known, [excepting(["seccomp.c"], seccomp={"allow": ["c"]})])["seccomp"]
    assert (late.comment, *late.loosens) == ("seen", "seccomp.c")
