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

from hardening.launch import cgroups, held
from hardening.launch.ociprogram import Runtime, sweep
from tests.support import runs
from tests.support.features import require
from tests.support.patience import until

NAME = f"hardening-test-{os.getpid()}"


@pytest.fixture
def groups() -> Iterator[list[Path]]:
    """Groups of a name in each hierarchy, at its top and below the own one, as different runtimes make them."""
    require("root")
    require("cgroups")
    found = {Path(entry.mount, *part, NAME) for entry in cgroups.read_hierarchies() for part in ((), (entry.own[1:],))}
    for place in found:
        place.mkdir()
    yield sorted(found)
    for place in found:
        with suppress(FileNotFoundError):
            place.rmdir()


def runtime_of(folder: Path, identity: str = NAME) -> Runtime:
    return Runtime("/usr/sbin/runc", identity, str(folder / "runtimes" / identity), frozenset())


def abandoned(folder: Path, document: object, identity: str = NAME) -> Path:
    """The state directory of a container whose stage and guard were killed."""
    made = runtime_of(folder, identity)
    os.close(made.make_state(document))
    return Path(made.state)


@pytest.mark.parametrize(
    ("document", "identity"),
    [({}, NAME), ({"linux": {"cgroupsPath": NAME}}, "one"), ({"linux": {"cgroupsPath": f"/{NAME}"}}, "one")],
)
def test_the_control_groups_of_a_container_go_with_it(
    groups: list[Path], tmp_path: Path, document: object, identity: str
) -> None:
    state = abandoned(tmp_path, document, identity)
    sweep(str(state.parent))
    assert not state.exists()
    assert [place for place in groups if place.exists()] == []


def test_a_group_goes_once_its_last_process_is_gone(groups: list[Path], tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "0.1"]) as process:
        for place in groups:
            with suppress(OSError):  # a group that is not set up yet, of the controller for CPUs
                (place / "cgroup.procs").write_text(str(process.pid))
        state = abandoned(tmp_path, {})
        sweep(str(state.parent))
    until(lambda: not [place for place in groups if place.exists()])
    assert not state.exists()


def test_the_first_process_of_a_container_is_killed_and_no_other_of_its_number(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as ours, subprocess.Popen(["sleep", "600"]) as others:
        try:
            state = abandoned(tmp_path, {}, "one")
            runtime_of(tmp_path, "one").created(ours.pid)
            earlier = abandoned(tmp_path, {}, "two")
            runtime_of(tmp_path, "two").created(others.pid)
            written = earlier / "process.json"
            written.write_text(json.dumps({**json.loads(written.read_text()), "start": 1}))
            sweep(str(state.parent))
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
        sweep(str(state.parent))
        assert ours.wait(60) == -signal.SIGKILL
        assert others.poll() is None
    assert not state.exists()


def test_a_group_that_somebody_holds_stays(groups: list[Path], tmp_path: Path) -> None:
    locks = [held.hold(str(place)) for place in groups]
    try:
        state = abandoned(tmp_path, {})
        sweep(str(state.parent))
        assert not state.exists()
        assert [place for place in groups if not place.exists()] == []
    finally:
        for lock in locks:
            os.close(lock)


def test_a_path_that_leads_elsewhere_is_taken_from_the_top(groups: list[Path], tmp_path: Path) -> None:
    cgroups.remove_empty(f"../../other/../{NAME}")
    assert [place for place in groups if place.exists()] == []


def test_nobody_makes_a_container_while_what_is_left_is_swept(tmp_path: Path) -> None:
    state = abandoned(tmp_path, {})
    folder = held.hold(str(state.parent), shared=True)  # as who makes one
    child = os.fork()
    if child == 0:
        os.close(folder)  # or it would wait for itself
        sweep(str(state.parent))
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
