"""What another runtime leaves that is killed over its work, before it has written down what it has made."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hardening.base import locks
from hardening.errors import LaunchError
from hardening.launch.cgroup import removal
from hardening.launch.cgroup.hierarchy import read_hierarchies
from hardening.launch.config.bundle import Bundle
from hardening.launch.oci import external
from hardening.launch.oci.ociprogram import RuntimeProgram
from hardening.runs.pruning import prune
from tests.support import runs
from tests.support.features import require
from tests.support.patience import until

NAME = f"hardening-test-{os.getpid()}"


@pytest.fixture
def groups() -> Iterator[list[Path]]:
    """Groups of a name in each hierarchy, at its top and below the own one, as different runtimes make them."""
    require("root")
    require("cgroups")
    found = {Path(entry.mount, *part, NAME) for entry in read_hierarchies() for part in ((), (entry.own[1:],))}
    for place in found:
        place.mkdir()
    yield sorted(found)
    for place in found:
        with suppress(FileNotFoundError):
            place.rmdir()


def runtime_of(folder: Path, identity: str = NAME) -> RuntimeProgram:
    return RuntimeProgram("/usr/sbin/runc", identity, str(folder / "launches" / identity / "runtime"), frozenset())


def abandoned(folder: Path, document: object, identity: str = NAME) -> Path:
    """The state directory of a container whose launcher and cleanup process were killed."""
    made = runtime_of(folder, identity)
    Path(made.state).parent.mkdir(parents=True)
    made.make_state(document)
    return Path(made.state)


@pytest.mark.parametrize(
    ("document", "identity"),
    [({}, NAME), ({"linux": {"cgroupsPath": NAME}}, "one"), ({"linux": {"cgroupsPath": f"/{NAME}"}}, "one")],
    ids=["its name", "a path", "a path from the top"],
)
def test_the_control_groups_of_a_container_go_with_it(
    groups: list[Path], tmp_path: Path, document: object, identity: str
) -> None:
    state = abandoned(tmp_path, document, identity)
    prune(tmp_path)
    assert not state.exists()
    assert [place for place in groups if place.exists()] == []


def test_a_group_goes_once_its_last_process_is_gone(groups: list[Path], tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "0.1"]) as process:
        for place in groups:
            with suppress(OSError):  # a group that is not set up yet, of the controller for CPUs
                (place / "cgroup.procs").write_text(str(process.pid))
        state = abandoned(tmp_path, {})
        prune(tmp_path)
    until(lambda: not [place for place in groups if place.exists()])
    assert not state.exists()


@pytest.mark.parametrize("other", [{"start": 1}, {"boot": "of another boot"}])
def test_the_first_process_of_a_container_is_killed_and_no_other_of_its_number(
    tmp_path: Path, other: dict[str, object]
) -> None:
    with subprocess.Popen(["sleep", "600"]) as ours, subprocess.Popen(["sleep", "600"]) as others:
        try:
            state = abandoned(tmp_path, {}, "one")
            runtime_of(tmp_path, "one").created(ours.pid)
            earlier = abandoned(tmp_path, {}, "two")
            runtime_of(tmp_path, "two").created(others.pid)
            written = earlier / "process.json"
            written.write_text(json.dumps({**json.loads(written.read_text()), **other}))
            prune(tmp_path)
            assert not state.exists()
            assert not earlier.exists()
            assert ours.wait(60) == -signal.SIGKILL
            assert others.poll() is None
        finally:
            ours.kill()
            others.kill()


def test_a_container_that_was_never_written_down_is_killed(tmp_path: Path) -> None:
    """The first process of a container has the runtime's command line until it executes."""
    state = abandoned(tmp_path, {})
    words = ["sh", "-c", "read -r line", "crun", "--root"]
    with (
        subprocess.Popen([*words, str(state / "root"), "create"], stdin=subprocess.PIPE) as ours,
        subprocess.Popen([*words, str(state / "other"), "create"], stdin=subprocess.PIPE) as others,
    ):
        until(lambda: all(b"--root" in runs.command_line(process.pid) for process in (ours, others)))
        prune(tmp_path)
        assert ours.wait(60) == -signal.SIGKILL
        assert others.poll() is None
    assert not state.exists()


def refusing(folder: Path, identity: str) -> Path:
    """The state of an abandoned container that its runtime has written down and does not delete."""
    program = folder / "refuses"
    program.write_text('#!/bin/sh\necho \'{"level": "error", "msg": "not today"}\' >"$4"\nexit 1\n')
    program.chmod(0o755)
    state = folder / "launches" / identity / "runtime"
    state.parent.mkdir(parents=True)
    RuntimeProgram(str(program), identity, str(state), frozenset()).make_state({})
    (state / "root" / identity).mkdir(parents=True)
    return state


def test_what_cannot_be_deleted_is_said_and_stays_and_the_others_go(tmp_path: Path) -> None:
    refused = refusing(tmp_path, "a")
    missing = tmp_path / "launches/b/runtime"
    missing.parent.mkdir()
    RuntimeProgram("/no/runtime", "b", str(missing), frozenset()).make_state({})
    (missing / "root/b").mkdir(parents=True)
    broken = abandoned(tmp_path, {}, "c")
    (broken / "view.json").write_text("{broken")
    fine = abandoned(tmp_path, {}, "d")
    said = [str(problem) for problem in prune(tmp_path)]
    for state, reason, text in zip(
        (refused, missing, broken),
        ("refuses delete: not today", "cannot start /no/runtime", "view.json"),
        said,
        strict=True,
    ):
        assert text.startswith(f"{state}: cannot delete a container that a killed launch left: ")
        assert reason in text
        assert state.exists()
    assert not fine.exists()


def test_a_container_that_its_runtime_does_not_delete_stays(tmp_path: Path) -> None:
    state = refusing(tmp_path, "a")
    with pytest.raises(LaunchError, match="refuses delete: not today"):
        RuntimeProgram(str(tmp_path / "refuses"), "a", str(state), frozenset()).delete()
    assert (state / "root/a").is_dir()


def test_a_group_that_somebody_holds_stays(groups: list[Path], tmp_path: Path) -> None:
    taken = [locks.lock(str(place)) for place in groups]
    try:
        state = abandoned(tmp_path, {})
        prune(tmp_path)
        assert not state.exists()
        assert [place for place in groups if not place.exists()] == []
    finally:
        for lock in taken:
            os.close(lock)


def test_a_path_that_leads_elsewhere_is_taken_from_the_top(groups: list[Path], tmp_path: Path) -> None:
    removal.remove_empty(f"../../other/../{NAME}")
    assert [place for place in groups if place.exists()] == []


def test_nobody_makes_a_container_while_what_is_left_is_swept(tmp_path: Path) -> None:
    state = abandoned(tmp_path, {})
    folder = locks.lock(str(tmp_path / "launches"), shared=True)  # as who makes one
    child = os.fork()
    if child == 0:
        os.close(folder)  # or it would wait for itself
        prune(tmp_path)
        os._exit(0)
    until(lambda: "->" in _waiting(child))
    assert state.exists()
    os.close(folder)
    assert os.waitpid(child, 0)[1] == 0
    assert not state.exists()


def _waiting(pid: int) -> str:
    """The lock that a process waits for (proc_locks(5))."""
    lines = Path("/proc/locks").read_text().splitlines()
    return next((line for line in lines if "->" in line and line.split()[5] == str(pid)), "")


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ('{"level": "info", "msg": "a"}{"level": "error", "msg": "not there"}', "not there"),
        ('{"level": "error", "msg": "not there"}\n{"level": "info", "msg": "a"}\n', "not there"),
        ('{"level": "error", "msg": "cut', '{"level": "error", "msg": "cut'),
        ("plain words\n", "plain words"),
    ],
)
def test_the_reason_is_found_in_a_log_without_newlines_and_in_one_that_is_no_json(
    log: str, said: str, tmp_path: Path
) -> None:
    runtime = RuntimeProgram("/usr/bin/runsc", "a", str(tmp_path / "a"), frozenset())
    runtime.make_state({})
    (tmp_path / "a/log").write_text(log)
    assert runtime.message() == said


@pytest.mark.parametrize("path", ["/", "//.", "..", "/a/../b"])
def test_no_runtime_is_given_the_group_of_all_others(path: str) -> None:
    bundle = Bundle(directory="/", document={"linux": {"cgroupsPath": path}}, text=b"", sha256="")
    with pytest.raises(LaunchError) as caught:
        external.refuse_others_group(bundle)
    assert caught.value.origin == "config.json:/linux/cgroupsPath"
