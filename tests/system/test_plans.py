"""A stack that has not changed is not composed again: what was stored runs, at once, killed and without space, too."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from hardening.base import files
from hardening.launch import cgroups
from tests.support import users
from tests.support.features import UNSET_LOGINUID, require
from tests.support.patience import until
from tests.support.plans import PROGRAM, WAIT, WHOLE, Place, write_alike_bytes
from tests.support.runs import find, workplace
from tests.support.users import ordinary

pytestmark = pytest.mark.system


# --- what is used again -----------------------------------------------------------------------------------------------


def test_the_same_line_runs_what_was_stored_and_says_the_same(place: Place) -> None:
    line = ("run", "-p", "web", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    first = place.type(*line)
    assert "warning: namespaces.net" in first.stderr
    assert (first.returncode, first.stdout) == (7, "out\n")
    stored = {path: path.lstat() for path in place.state.rglob("plans/*/*/**/*")}
    assert place.finds(*line)
    second = place.type(*line)
    # What this host has not at all is told once.
    said = [line for line in first.stderr.splitlines() if not line.startswith("not enforced: selinux.")]
    assert (second.returncode, second.stdout, second.stderr.splitlines()) == (7, "out\n", said)
    after = {path: path.lstat() for path in place.state.rglob("plans/*/*/**/*")}
    assert {path: status.st_ctime_ns for path, status in after.items()} == {
        path: status.st_ctime_ns for path, status in stored.items()
    }


def test_the_second_time_one_interpreter_is_started_and_it_keeps_the_pid(place: Place) -> None:
    require("root")  # newuidmap(1) gains nothing under a tracer that has no more than the user
    line = ("run", "-q", "-p", "strict", "--", "true")
    assert place.type(*line).returncode == 0
    trace = place.folder / "trace"
    traced = Place(place.folder, ("strace", "-f", "-qq", "-e", "trace=execve", "-o", str(trace), str(PROGRAM)))
    assert traced.type(*line).returncode == 0
    calls = [text.split() for text in trace.read_text().splitlines() if "execve(" in text and "ENOENT" not in text]
    names = [re.findall(r'execve\("([^"]+)"', " ".join(words))[0] for words in calls]
    assert [Path(name).name.rstrip("0123456789.") for name in names] == ["hardening", "python", "true"]
    assert calls[0][0] == calls[1][0] != calls[2][0]


@pytest.mark.parametrize("again", [False, True])
def test_the_command_is_a_child_of_what_was_typed_with_its_login_uid(place: Place, again: bool) -> None:
    line = ("run", "-q", "-i", "-p", "strict", "--", *WAIT)
    for _ in range(1 + again):
        argv = [*place.program, *line]
        pipe = subprocess.PIPE
        with subprocess.Popen(
            argv, cwd=place.folder, env=place.surroundings(), stdin=pipe, stdout=pipe, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            child = find(process.pid, WAIT)
            assert f"PPid:\t{process.pid}\n" in Path(f"/proc/{child}/status").read_text()
            uids = [Path(f"/proc/{pid}/loginuid").read_text() for pid in ("self", child)]
            assert uids[1] == (uids[0] if uids[0] != UNSET_LOGINUID else str(os.getuid()))
            process.communicate("go\n")
            assert process.returncode == 3
    assert len(place.plans()) == 1


def test_an_ordinary_user_has_plans_too() -> None:
    user = ordinary()
    with workplace(user) as folder:
        program = users.program(user)
        here = Place(folder, tuple(user.argv([program])), user.environment)
        line = ("run", "-q", "-p", "strict", "--", "id", "-u")
        first, second = here.type(*line), here.type(*line)
        assert (first.returncode, first.stdout) == (0, f"{user.uid}\n"), first.stderr
        assert (second.returncode, second.stdout, second.stderr) == (0, first.stdout, first.stderr)
        assert len(here.plans()) == 1
        assert here.plans()[0].stat().st_uid == user.uid


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_signals_of_the_command_give_the_same_exit_code(place: Place, number: int) -> None:
    line = ("run", "-q", "-p", "strict", "--", "sh", "-c", f"sh -c 'kill -{number} $PPID'; kill -{number} $$; exit 9")
    assert place.type(*line).returncode == place.type(*line).returncode
    assert len(place.plans()) == 1


def test_a_slot_whose_control_group_is_in_use_is_passed_over(place: Place) -> None:
    require("cgroups")
    line = ("run", "-q", "-p", "strict", "--pids-limit", "50", "--", "true")
    assert place.type(*line).returncode == 0
    assert place.finds(*line)
    (plan,) = place.plans()
    name = json.loads((plan.parent / "bundle/config.json").read_text())["linux"]["cgroupsPath"]
    hierarchy = next(entry for entry in cgroups.read_hierarchies() if "pids" in entry.controllers)
    group = Path(hierarchy.mount, files.join(hierarchy.own, name).strip("/"))
    group.mkdir()
    try:
        # One that is empty, a killed launch has left.
        assert place.finds(*line)
        assert place.type(*line).returncode == 0
        group.mkdir()
        with subprocess.Popen(["sleep", "600"]) as other:
            try:
                (group / "cgroup.procs").write_text(str(other.pid))
                for _ in range(2):
                    done = place.type(*line)
                    assert done.returncode == 0, done.stderr
                assert place.finds(*line)
                assert len(place.plans()) == 2
            finally:
                other.kill()
        assert group.exists()
    finally:
        remove_soon(group)


def remove_soon(group: Path) -> None:
    """Remove a group once the kernel has seen that it is empty."""

    def gone() -> bool:
        with suppress(OSError):
            group.rmdir()
        return not group.exists()

    until(gone)


def test_a_run_that_the_launcher_refuses_is_refused_again(place: Place) -> None:
    line = ("run", "-q", "-p", "strict", "--", "no-such-command")
    first, second = place.type(*line), place.type(*line)
    assert first.returncode == second.returncode == 127
    assert first.stderr == second.stderr
    # Whoever has typed it has seen no config.json.
    assert first.stderr.startswith(
        "hardening: no-such-command: command not found in the container\nhint: PATH inside is /"
    )


# --- at once, killed, no space ----------------------------------------------------------------------------------------


def test_runs_of_one_line_at_once_have_a_slot_each_and_use_them_again(place: Place) -> None:
    line = ("run", "-q", "-i", "-p", "strict", "--", *WAIT)

    def begin() -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            [*place.program, *line], cwd=place.folder, env=place.surroundings(), stdin=pipe, stdout=pipe, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    for _ in range(2):
        running = [begin() for _ in range(3)]
        assert len(place.plans()) == 3
        cleared = place.type("plan", "clear")
        assert cleared.stdout == "0 slots removed\n"
        listed = json.loads(place.type("plan", "list", "--json").stdout)
        assert [entry["running"] for entry in listed] == [True, True, True]
        for process in running:
            process.communicate("go\n")
            assert process.returncode == 3
        assert len(place.plans()) == 3
    assert place.type("plan", "clear").stdout == "3 slots removed\n"
    assert not place.plans()


@pytest.mark.parametrize("when", ["1", "2"])
def test_a_writer_that_is_killed_leaves_nothing_that_is_believed(place: Place, when: str) -> None:
    line = ("run", "-q", "-p", "strict", "--", "true")
    inject = ("-e", "trace=rename", "-e", f"inject=rename:signal=KILL:when={when}")
    killed = Place(place.folder, ("strace", "-qq", "-o", "/dev/null", *inject, *WHOLE))
    assert killed.type(*line).returncode == -signal.SIGKILL
    assert len([*place.state.glob("plans/*/*/")]) == 1
    assert not place.finds(*line) or when == "2"
    assert place.type(*line).returncode == 0
    assert len([*place.state.glob("plans/*/*/")]) == 1
    assert len(place.plans()) == 1


def test_where_the_plan_cannot_be_written_the_command_runs_all_the_same(place: Place) -> None:
    require("root")  # newuidmap(1) gains nothing under a tracer that has no more than the user
    line = ("run", "-q", "-p", "strict", "--", "echo", "good")
    inject = ("-f", "-e", "trace=rename", "-e", "inject=rename:error=ENOSPC:when=2")
    full = Place(place.folder, ("strace", "-qq", "-o", "/dev/null", *inject, *WHOLE))
    done = full.type(*line)
    assert (done.returncode, done.stdout) == (0, "good\n"), done.stderr
    assert not place.plans()
    assert not [*place.state.glob("plans/*/*/bundle")]


def test_where_no_bundle_can_be_written_nothing_is_left(place: Place) -> None:
    limited = Place(place.folder, ("prlimit", "--fsize=8192:8192", *place.program))
    done = limited.type("run", "-q", "-p", "strict", "--", "echo", "good")
    assert (done.returncode, done.stdout) == (125, "")
    assert "cannot write the bundle: File too large" in done.stderr
    assert not [*place.state.glob("plans/*/*/*"), *place.state.glob("bundles/*")]


# --- launch -----------------------------------------------------------------------------------------------------------


def test_the_verdict_on_a_bundle_is_kept_until_the_bundle_changes(place: Place) -> None:
    made = place.type("compose", "-q", "-p", "strict", "-o", "b", "--", "echo", "good")
    assert made.returncode == 0, made.stderr
    line = ("launch", "./b")
    assert not place.finds(*line)
    assert place.type(*line).stdout == "good\n"
    assert place.finds(*line)
    assert place.type(*line).stdout == "good\n"
    config = place.folder / "b/config.json"
    text = config.read_text()
    config.write_text(text.replace('"ociVersion"', '"unknown": 1, "ociVersion"'))
    refused = place.type(*line)
    assert refused.returncode == 2
    assert "unknown" in refused.stderr
    config.write_text(text)
    assert place.type(*line).stdout == "good\n"
    program = place.folder / "b/seccomp.bpf"
    write_alike_bytes(program, b"\x06\0\0\0\0\0\xff\x7f" * (program.stat().st_size // 8))
    refused = place.type(*line)
    assert refused.returncode == 125
    assert "is not compiled from the linux.seccomp" in refused.stderr
    (place.folder / "b").chmod(0o777)
    assert "can be written by others" in place.type(*line).stderr
