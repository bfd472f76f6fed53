"""Which failures a limit, or who runs the command, takes itself for the reason of."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from hardening.mechanism.denial import Caller, Cause, Size, SystemCall
from hardening.mechanism.host import Host
from hardening.mechanism.schema import Members
from hardening_process.facts import ProcessFacts
from hardening_process.kinds import NO_CEILING, UNLIMITED, ResourceLimit, User
from hardening_process.settings import ProcessSettings
from tests.plugins.process.stacks import PROCESS, context, host, root_with, strict
from tests.support.features import require
from tests.support.runs import workplace

ROOT = host(0)


@pytest.fixture
def as_root() -> None:
    """An ordinary user gives no file away."""
    require("root")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user may enter: those above pytest's own are not for a test to open."""
    with workplace() as folder:
        yield folder


def call(name: str, *arguments: int, error: int, uid: int = 0, has: Sequence[str] = (), **more: Any) -> SystemCall:
    caller = Caller(7, "cmd", "/bin/cmd", uid, uid, frozenset(has), 1)
    return SystemCall(name, -1, 0, (*arguments, *[0] * (6 - len(arguments))), caller, error, **more)


def settings(rlimits: Mapping[str, ResourceLimit] | None = None, **values: Any) -> ProcessSettings:
    """The strict settings with other limits, by name, and other values, by attribute."""
    own = strict(ProcessSettings)
    return attrs.evolve(own, rlimits=Members({**own.rlimits.named, **(rlimits or {})}, own.rlimits.rest), **values)


def causes(asked: SystemCall, own: ProcessSettings | None = None, on: Host = ROOT, **within: Any) -> dict[str, Cause]:
    own = own or settings()
    where = context(on, own, **{"user": "host", **within})
    return {cause.leaf: cause for cause in PROCESS.denied(own, where, asked)}


def leaves(asked: SystemCall, own: ProcessSettings | None = None, on: Host = ROOT, **within: Any) -> list[str]:
    return [leaf.removeprefix("process.") for leaf in causes(asked, own, on, **within)]


def limit(value: int) -> ResourceLimit:
    return ResourceLimit(value, value)


LIMITS = {"nproc": limit(8), "fsize": limit(100), "as": limit(1 << 20), "sigpending": limit(4), "stack": limit(1 << 16)}
LIMITED = [
    (call("openat", error=errno.EMFILE), "nofile"),
    (call("socket", error=errno.EMFILE), "nofile"),
    (call("mq_open", error=errno.EMFILE), "msgqueue"),
    (call("clone", error=errno.EAGAIN), "nproc"),
    (call("setresuid", error=errno.EAGAIN), "nproc"),
    (call("mlock", error=errno.ENOMEM), "memlock"),
    (call("mlockall", error=errno.EPERM), "memlock"),
    (call("io_uring_setup", error=errno.ENOMEM), "memlock"),
    (call("mmap", 0, 1 << 16, 3, 0x2022, error=errno.EAGAIN), "memlock"),
    (call("write", error=errno.EFBIG), "fsize"),
    (call("timer_create", error=errno.EAGAIN), "sigpending"),
    (call("mmap", error=errno.ENOMEM), "as"),
    (call("execve", error=errno.E2BIG), "stack"),
    (call("setpriority", 0, 0, (1 << 64) - 5, error=errno.EACCES), "nice"),
    (call("sched_setscheduler", error=errno.EPERM), "rtprio"),
    (call("prlimit64", 0, 7, error=errno.EPERM), "nofile"),
    (call("setrlimit", 4, error=errno.EPERM), "core"),
]  # fmt: skip
OTHERS = [
    call("openat", error=errno.ENFILE),
    call("openat", error=errno.ENOENT),
    call("inotify_init1", error=errno.EMFILE),
    call("read", error=errno.EAGAIN),
    call("mlock", error=errno.EINVAL),
    call("mmap", error=errno.EAGAIN, text="mmap (64K)"),
    call("mmap", error=errno.EPERM, text="mmap /lib/x.so (PROT_EXEC)"),
    call("setpriority", 0, 0, 5, error=errno.ESRCH),
    call("io_uring_setup", error=errno.ENOSYS),
    call("prlimit64", 0, 99, error=errno.EPERM),
]


@pytest.mark.parametrize(("asked", "name"), LIMITED, ids=lambda item: getattr(item, "name", item))
def test_a_limit_of_the_settings_is_named_and_raised_step_by_step(asked: SystemCall, name: str) -> None:
    cause = causes(asked, settings(LIMITS))[f"process.rlimits.{name}"]
    assert cause.ways
    assert not cause.certain, "the program may have set a limit of its own"
    values = [way.value for way in cause.ways]
    kind = PROCESS.schema.settings["rlimits"].kind
    before = settings(LIMITS).rlimits[name]
    for value in values:
        assert kind.is_no_looser_than(before, value)
        assert not kind.is_no_looser_than(value, before)
        before = value
    assert {way.size for way in cause.ways} == {Size.CALL}


@pytest.mark.parametrize("asked", OTHERS, ids=lambda item: f"{item.name} {item.outcome}")
def test_what_no_limit_answers_is_not_its_doing(asked: SystemCall) -> None:
    assert leaves(asked, settings(LIMITS)) == []


@pytest.mark.parametrize(("asked", "name"), LIMITED, ids=lambda item: getattr(item, "name", item))
def test_a_limit_that_nobody_said_is_the_caller_s_own(asked: SystemCall, name: str) -> None:
    assert leaves(asked, settings({name: UNLIMITED})) == []


@pytest.mark.parametrize(
    ("number", "own", "named"),
    [
        (signal.SIGXCPU, {"rlimits": {"cpu": limit(1)}}, ["rlimits.cpu"]),
        (signal.SIGKILL, {"rlimits": {"cpu": limit(1)}, "memory": 1 << 20}, ["rlimits.cpu", "resources.memory"]),
        (signal.SIGSEGV, {"rlimits": {"stack": limit(1 << 16)}}, ["rlimits.stack"]),
        (signal.SIGSEGV, {}, []),
        (signal.SIGTERM, {"rlimits": {"cpu": limit(1)}}, []),
    ],
)
def test_a_limit_that_the_kernel_ends_a_process_for(number: int, own: dict[str, Any], named: list[str]) -> None:
    assert leaves(call("", error=0, signal=number), settings(**own)) == named


def test_a_variable_that_a_process_names_at_its_end_and_the_caller_has() -> None:
    has = attrs.evolve(ROOT.of(ProcessFacts), environment={"SITE": "x", "LANG": "C"})
    on = attrs.evolve(ROOT, facts={**ROOT.facts, ProcessFacts: has})
    end = call("", error=0, output="error: SITE and OTHER are not set, LANG is (WEBSITE)\n")
    assert leaves(end, on=on) == ["environment.SITE"]
    assert not leaves(attrs.evolve(end, signal=signal.SIGSEGV), on=on)


def test_a_variable_that_its_words_name_or_its_program(tmp_path: Path) -> None:
    has = attrs.evolve(
        ROOT.of(ProcessFacts), environment=dict.fromkeys(("SITE", "PORT", "PATHS", "SHLVL", "ELSE"), "x")
    )
    on = attrs.evolve(ROOT, facts={**ROOT.facts, ProcessFacts: has})
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF\0SITES\0PATH\0SHLVL\0PORT\0")
    end = call("", error=0, output="no connection\n", words=("program", "$SITE", str(tmp_path)))
    caller = attrs.evolve(end.caller, executable=str(program))
    found = causes(attrs.evolve(end, caller=caller), on=on)
    assert [*found] == ["process.environment.PORT", "process.environment.SITE"]
    assert not any(cause.certain for cause in found.values())


def test_a_program_is_looked_through_once_and_whatever_it_puts_in_its_place_waits_for_nobody(tmp_path: Path) -> None:
    own, has = settings(), attrs.evolve(ROOT.of(ProcessFacts), environment={"PORT": "x"})
    where = context(attrs.evolve(ROOT, facts={**ROOT.facts, ProcessFacts: has}), own, user="host")

    def told(name: str) -> bool:
        end = call("", error=0)
        ended = attrs.evolve(end, caller=attrs.evolve(end.caller, executable=str(tmp_path / name)))
        return any(PROCESS.denied(own, where, ended))

    (tmp_path / "program").write_bytes(b"\0PORT\0")
    assert told("program")
    (tmp_path / "program").unlink()
    assert told("program")
    os.mkfifo(tmp_path / "pipe")
    assert not told("pipe")


def test_a_limit_that_the_caller_s_own_cuts_is_not_the_stack_s() -> None:
    low = host(1000, rlimits={"nofile": limit(256)})
    assert leaves(call("openat", error=errno.EMFILE), on=low) == []
    # Where nothing but the caller's own is above it, there is no way.
    full = host(1000, rlimits={"memlock": limit(65536)})
    (cause,) = causes(call("mlock", error=errno.ENOMEM), on=full).values()
    assert not cause.ways
    assert "ulimit" in cause.advice
    assert cause.regardless, "an ordinary user is denied the same without a stack"
    assert causes(call("mlock", error=errno.ENOMEM), on=host(0, rlimits={"memlock": limit(65536)}, sys_resource=True))[
        "process.rlimits.memlock"
    ].ways


def test_the_soft_limit_comes_before_the_hard_one() -> None:
    ways = causes(call("openat", error=errno.EMFILE))["process.rlimits.nofile"].ways
    assert [way.value for way in ways] == [limit(4096), limit(32768), UNLIMITED]


def test_a_nice_value_needs_so_much_and_no_more() -> None:
    asked = call("setpriority", 0, 0, (1 << 64) - 5, error=errno.EACCES)
    assert [way.value for way in causes(asked)["process.rlimits.nice"].ways] == [limit(25)]
    assert causes(asked, on=host(1000, rlimits={"nice": limit(0)}))["process.rlimits.nice"].regardless
    (cause,) = causes(asked, on=host(0, rlimits={"nice": limit(0)})).values()
    assert not cause.regardless, "root raises it"


def test_a_limit_that_is_set_needs_the_hard_one_alone_and_is_named_where_the_caller_s_own_is_lower() -> None:
    asked = attrs.evolve(call("prlimit64", 0, 7, error=errno.EPERM), limit=(8192, 8192))
    own = host(1000, rlimits={"nofile": limit(20000)})
    ways = causes(asked, on=own)["process.rlimits.nofile"].ways
    assert [way.value for way in ways] == [ResourceLimit(1024, 8192)]
    (cause,) = causes(attrs.evolve(asked, limit=(100_000, 100_000)), on=own).values()
    assert not cause.ways, "the caller's own is looser than the stack's, and not enough"
    assert "no higher than 20000" in cause.advice
    assert (cause.regardless, "no higher than 20000" in cause.what) == (True, True)
    (cause,) = causes(attrs.evolve(asked, limit=((1 << 64) - 1,) * 2), on=own).values()
    assert not cause.ways


def test_memory_that_is_locked_needs_so_much_at_least() -> None:
    asked = call("mlock", 4095, 32 << 20, error=errno.ENOMEM)
    ways = causes(asked)["process.rlimits.memlock"].ways
    assert [way.value for way in ways] == [limit((32 << 20) + 4096), UNLIMITED]
    (cause,) = causes(asked, on=host(1000, rlimits={"memlock": limit(8 << 20)})).values()
    assert not cause.ways, "the caller's own is looser than the stack's, and not enough"
    assert "ulimit" in cause.advice


def test_a_capability_lifts_a_limit_over_the_host_alone() -> None:
    asked = call("mlock", error=errno.ENOMEM, has=["IPC_LOCK"])
    assert leaves(asked) == []
    assert leaves(asked, user="private") == ["rlimits.memlock"]


def test_the_ceilings_of_the_cgroup() -> None:
    own = settings(pids=64, memory=64 << 20)
    (cause,) = causes(call("clone3", error=errno.EAGAIN), own).values()
    assert (cause.leaf, [way.value for way in cause.ways]) == ("process.resources.pids", [512, NO_CEILING])
    assert leaves(call("mmap", error=errno.ENOMEM), own) == ["resources.memory"]
    assert leaves(call("clone3", error=errno.EAGAIN)) == []


def test_a_terminal_that_is_not_there_is_certain() -> None:
    asked = call("openat", error=errno.ENXIO, path="/dev/tty")
    (cause,) = causes(asked).values()
    assert (cause.leaf, cause.ways[0].value, cause.certain) == ("process.terminal", True, True)
    assert leaves(asked, settings(terminal=True)) == []


def test_a_score_that_the_settings_raised() -> None:
    asked = call("write", error=errno.EACCES, path="/proc/self/oom_score_adj")
    (cause,) = causes(asked, settings(oom_score_adj=500)).values()
    assert (cause.leaf, cause.ways[0].value) == ("process.oom_score_adj", 0)
    assert leaves(asked) == []
    assert leaves(asked, settings(oom_score_adj=500), on=host(0, oom_score_adj=500)) == []


PASSWD = "root:x:0:0::/root:/bin/sh\nredis:x:70:71::/:/bin/sh\n"


@pytest.mark.parametrize(
    ("asked", "user"),
    [
        (call("setuid", 70, error=errno.EPERM, ids=(70,)), User("70", "71")),
        (call("setresuid", 0xFFFFFFFF, 999, 0xFFFFFFFF, error=errno.EPERM, ids=(999,)), User("999", "999")),
        (call("setgid", 71, error=errno.EPERM, ids=(71,)), User("70", "71")),
        (call("setgroups", 1, error=errno.EPERM, ids=(71,)), User("70", "71")),
        (call("chown", 1, 70, 71, error=errno.EPERM, ids=(70, 71)), User("70", "71")),
        (call("fchownat", 3, 1, 70, 0xFFFFFFFF, error=errno.EPERM, ids=(70,)), User("70", "71")),
    ],
    ids=lambda item: getattr(item, "name", item),
)
def test_root_that_turns_to_a_user_can_be_started_as_that(asked: SystemCall, user: User, tmp_path: Path) -> None:
    root = root_with(tmp_path / "root", PASSWD)
    (cause,) = causes(asked, root=root).values()
    assert (cause.leaf, cause.ways[0].value, cause.ways[0].size) == ("process.user", user, Size.PLACE)
    assert cause.ways[0].spares_call is ("chown" in asked.name), "a file of one's own is given to nobody"


@pytest.mark.parametrize(
    "asked",
    [
        call("setuid", 0, error=errno.EPERM),
        call("setgid", 12345, error=errno.EPERM),
        call("setgroups", 0, error=errno.EPERM),
        call("setuid", 70, error=errno.EINVAL),
        call("setuid", 70, error=errno.EPERM, uid=1000),
        call("mount", 70, error=errno.EPERM),
    ],
    ids=lambda item: f"{item.name} {item.outcome}",
)
def test_who_turns_to_nobody_needs_no_other_user(asked: SystemCall, tmp_path: Path) -> None:
    assert leaves(asked, root=root_with(tmp_path / "root", PASSWD)) == []


@pytest.mark.usefixtures("as_root")
def test_a_file_of_another_user_than_the_stack_has_chosen(place: Path) -> None:
    root = root_with(place / "root", PASSWD)
    root.chmod(0o755)
    for name, owner in (("theirs", 70), ("roots", 0)):
        (root / name).write_text("x")
        (root / name).chmod(0o600)
        os.chown(root / name, owner, owner)
    own = settings(user=User("1000", "1000"))

    def asked(path: str, uid: int = 1000) -> SystemCall:
        return call("openat", error=errno.EACCES, path=path, access=frozenset({"read"}), uid=uid)

    (cause,) = causes(asked("/theirs"), own, root=root).values()
    assert (cause.leaf, cause.ways[0].value, cause.ways[0].size) == ("process.user", User("70", "70"), Size.PLACE)
    (cause,) = causes(asked("/roots"), own, root=root).values()
    assert (cause.ways[0].value, cause.ways[0].size) == (User(), Size.WIDER)
    # Root without its capabilities is let in as the owner; whom nobody chose is bound by the file alone.
    (cause,) = causes(asked("/theirs", 0), root=root).values()
    assert (cause.ways[0].value, cause.ways[0].size) == (User("70", "70"), Size.PLACE)
    assert leaves(asked("/theirs"), root=root) == []
    # An owner whom the user namespace does not know cannot be chosen.
    assert leaves(asked("/theirs", 101_000), own, root=root, user="private") == []
