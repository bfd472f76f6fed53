"""Recordings: merged in any order, kept whole, and read strictly."""

from __future__ import annotations

import errno
import json
import signal
from datetime import date
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.base.linux import abi
from hardening.errors import UsageError
from hardening.learn.recording import Recording, Run, read, write
from hardening.learn.software import Software
from hardening.mechanism.denial import Caller, Seen, SystemCall
from hardening.mechanism.evidence import Usage, counted, normal
from hardening.trace import calls

X86_64 = 0xC000003E
SOFTWARE = Software(("dash 0.5",), (("/opt/a", f"sha256:{'0' * 64}"),))
CHOWN = "capabilities.CHOWN"
KILL = ("capabilities.KILL", '{"capabilities":{"add":["KILL"]}}')
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "name": st.sampled_from(["openat", "socket", "ioctl", "clone"]),
    "number": st.integers(0, 400),
    "architecture": st.just(X86_64),
    "arguments": st.lists(st.integers(0, (1 << 64) - 1), min_size=6, max_size=6).map(tuple),
    "caller": st.builds(Caller, pid=st.integers(1, 99), command=st.sampled_from(["sh", "make", "a\nb"])),
    "error": st.sampled_from([0, errno.EPERM]),
    "signal": st.sampled_from([0, signal.SIGSYS]),
    "path": st.sampled_from(["", "/tmp/a", "/etc/passwd", "/x\udc80"]),
    "target": st.sampled_from(["", "/tmp/b"]),
    "way": st.sampled_from([(), (Seen("/", 0, 0, 0o40755),)]),
    "access": st.frozensets(st.sampled_from(["read", "write", "create"])),
    "address": st.sampled_from(["", "tcp 0.0.0.0:80"]),
    "request": st.sampled_from([0, 16]),
    "ids": st.sampled_from([(), (0, 7)]),
    "capabilities": st.frozensets(st.sampled_from(["KILL", "CHOWN"])),
    "attribute": st.sampled_from(["", "user.a"]),
    "namespaces": st.sampled_from([0, abi.CLONE_NEWUSER]),
    "limit": st.sampled_from([(), (7, 8)]),
    "text": st.sampled_from(["", "openat /tmp/a"]),
    "output": st.sampled_from(["", "no"]),
    "words": st.sampled_from([(), ("sh", "-c")]),
    "order": st.integers(0, 9),
    "any_arguments": st.booleans(),
}
CALLS = st.builds(SystemCall, **FIELDS)


def test_these_calls_have_all_that_a_call_may_have() -> None:
    assert FIELDS.keys() == {field.name for field in attrs.fields(SystemCall)}


def _run(calls: list[SystemCall], name: str, needed: tuple[tuple[str, str], ...] | None = None) -> Run:
    uses = counted((call, 1, (call.caller.command,)) for call in calls)
    return Run(name, "2026-11-29", "sh", "6.1.0 x86_64", uses, (("files", len(calls)),), needed, SOFTWARE)


RUNS = st.lists(
    st.builds(
        _run,
        st.lists(CALLS, max_size=5),
        st.sampled_from("abc"),
        st.sampled_from([None, (), ((CHOWN, "{}"),), ((CHOWN, "{}"), KILL)]),
    ),
    max_size=3,
).map(lambda runs: Recording(frozenset(runs)))


@given(RUNS, RUNS, RUNS)
def test_merging_is_associative_commutative_and_idempotent(one: Recording, two: Recording, three: Recording) -> None:
    assert one.merged(two) == two.merged(one)
    assert one.merged(two).merged(three) == one.merged(two.merged(three))
    assert one.merged(one) == one
    evidence = one.merged(two).evidence()
    assert evidence.uses == two.merged(one).evidence().uses
    assert evidence.runs == len(one.runs | two.runs)


@given(RUNS)
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, recording: Recording) -> None:
    path = tmp_path_factory.mktemp("kept") / "seen.json"
    write(path, recording)
    assert read(path) == recording


@given(st.lists(CALLS, max_size=8))
def test_each_call_is_counted_once(calls: list[SystemCall]) -> None:
    uses = _run(calls, "a").uses
    assert sum(use.often for use in uses) == len(calls)
    assert {use.call for use in uses} == set(map(normal, calls))


def test_what_differs_from_time_to_time_is_left_out() -> None:
    one = SystemCall("ioctl", 16, X86_64, (3, 0x5401, 0x7FFF0000, 0, 0, 0), Caller(7, "sh"), order=3, output="no")
    two = SystemCall("ioctl", 16, X86_64, (4, 0x5401, 0x7FFE0000, 0, 0, 0), Caller(8, "cat"), order=9)
    (use,) = _run([one, two], "a").uses
    assert (use.often, use.programs, use.call.arguments[1]) == (2, ("cat", "sh"), 0x5401)
    assert use.seen == "2 calls in 1 run, by cat, sh"


def test_what_is_needed_is_known_where_each_run_was_tried() -> None:
    tried, untried = _run([], "a", ((CHOWN, '{"capabilities":{}}'),)), _run([], "b")
    assert Recording(frozenset({tried})).evidence().needed == frozenset({CHOWN})
    assert Recording(frozenset({tried, untried})).evidence().needed is None
    assert Recording(frozenset({tried, untried})).needed() == {CHOWN: {"capabilities": {}}}


def test_what_was_called_is_told_by_the_numbers_of_this_machine_and_of_no_other() -> None:
    getresgid, clone = SystemCall("getresgid", 120, calls.own(), (0,) * 6, Caller(1)), 120
    of_others = SystemCall("clone", clone, abi.AUDIT_ARCH_I386, (0,) * 6, Caller(1))
    unseen = Usage(SystemCall("getpid", 39, calls.own(), (0,) * 6, Caller(0)), 0, 0, ("b",))
    run = _run([], "a")
    uses = {Usage(getresgid, programs=("a", "b")), Usage(of_others, programs=("old",)), unseen}
    assert Recording(frozenset({attrs.evolve(run, uses=frozenset(uses))})).called() == {"a": {120}, "b": {120}}


@pytest.mark.parametrize(
    ("flags", "counts"),
    [
        (abi.CLONE_VM | abi.CLONE_THREAD, True),
        (abi.CLONE_VM | abi.CLONE_VFORK | abi.SIGCHLD, True),
        (abi.SIGCHLD, False),
    ],
    ids=["pthread_create", "posix_spawn", "fork"],
)
def test_a_child_with_memory_of_its_own_is_no_clone(tmp_path: Path, flags: int, counts: bool) -> None:
    number = calls.native("clone", 1).number
    call = SystemCall("clone", number, calls.own(), (flags, 0, 0, 0, 0, 0), Caller(7, "sh"))
    write(tmp_path / "seen.json", Recording(frozenset({_run([call], "a")})))
    assert read(tmp_path / "seen.json").called() == ({"sh": {number}} if counts else {})


def test_names_that_each_run_makes_anew_are_their_directory() -> None:
    def made(name: str, path: str) -> Run:
        calls = [
            SystemCall("openat", 257, X86_64, (0,) * 6, Caller(1), path=path, access=frozenset({"write", "create"})),
            SystemCall("openat", 257, X86_64, (0,) * 6, Caller(1), path=path, access=frozenset({"read"})),
            SystemCall("openat", 257, X86_64, (0,) * 6, Caller(1), path="/etc/x", access=frozenset({"read"}), error=2),
        ]
        return _run(calls, name)

    paths = Recording(frozenset({made("a", "/tmp/1"), made("b", "/tmp/2")})).paths()
    assert paths == {"read": frozenset(), "written": {"/tmp"}, "executed": frozenset()}


def test_what_is_executed_is_programs_and_not_their_libraries() -> None:
    calls = [
        SystemCall(name, 0, X86_64, (0,) * 6, Caller(1), path=path, access=frozenset({"execute"}))
        for name, path in (("execve", "/usr/bin/id"), ("mmap", "/usr/lib/libc.so.6"))
    ]
    assert Recording(frozenset({_run(calls, "a")})).paths()["executed"] == {"/usr/bin/id"}


def test_a_fingerprint_has_what_all_runs_were_seen_on() -> None:
    earlier = attrs.evolve(_run([], "a"), day="2026-11-28", kernel="5.10.0 x86_64")
    changed = Software(("dash 0.6",), (("/opt/a", f"sha256:{'1' * 64}"),))
    found = Recording(frozenset({earlier, attrs.evolve(_run([], "b"), software=changed)})).fingerprint()
    assert found.on == date(2026, 11, 29)
    assert found.kernels == ("5.10.0 x86_64", "6.1.0 x86_64")
    assert found.packages == ("dash 0.5", "dash 0.6")
    assert found.files == {"/opt/a": f"sha256:{'1' * 64}"}


def test_a_file_that_is_not_there_has_no_runs(tmp_path: Path) -> None:
    assert read(tmp_path / "none.json") == Recording()


@pytest.mark.parametrize(
    "changed",
    [
        {"version": 2},
        {"runs": {}},
        {"more": 1},
        {"runs": [{}]},
        {"runs": [{"day": 1}]},
        {"uses": [{"name": "open"}]},
        {"uses": [{"often": -1}]},
        {"uses": [{"arguments": ["a"]}]},
        {"uses": [{"caller": {}}]},
        {"peaks": {"files": True}},
        {"uses": [{"arguments": []}]},
        {"uses": [{"static": 1}]},
        {"uses": [{"name": "read\n[limits]"}]},
        {"uses": [{"path": "etc"}]},
        {"uses": [{"access": ["own"]}]},
        {"day": "today\n[limits]"},
        {"day": "2026-99-99"},
        {"kernel": "6.1"},
        {"packages": ["dash"]},
        {"files": {"a": f"sha256:{'0' * 64}"}},
        {"files": {"/a": "sha256:0"}},
        {"needed": {"a.b": 1}},
        {"needed": {"a\n[limits]": "{}"}},
        {"needed": {"seccomp.x": '"text"'}},
        {"needed": {"seccomp.x": '{"seccomp":"text"}'}},
        {"needed": {"seccomp.x": '{"seccomp":{"allow":[null]}}'}},
        {"needed": {"seccomp.x": "{"}},
    ],
)
def test_what_is_not_understood_is_refused(tmp_path: Path, changed: dict[str, object]) -> None:
    path = tmp_path / "seen.json"
    call = SystemCall("read", 0, X86_64, (0,) * 6, Caller(1))
    write(path, Recording(frozenset({_run([call], "a")})))
    data = json.loads(path.read_text())
    assert read(path).runs
    if "uses" in changed:
        data["runs"][0]["uses"][0] |= changed["uses"][0]  # type: ignore[index]
        if changed["uses"] == [{"name": "open"}]:
            del data["runs"][0]["uses"][0]["number"]
    elif changed.keys() & {"peaks", "needed", "day", "kernel", "packages", "files"}:
        data["runs"][0] |= changed
    else:
        data |= changed
    path.write_text(json.dumps(data))
    with pytest.raises(UsageError):
        read(path)


def test_what_is_no_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "seen.json"
    path.write_text("{")
    with pytest.raises(UsageError):
        read(path)
    with pytest.raises(UsageError):
        read(tmp_path)
    assert Usage(SystemCall("read", 0, X86_64, (), Caller(1))).seen == "1 call in 1 run"
