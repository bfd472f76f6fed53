"""What is removed of control groups: what a launch has left, and nothing that somebody uses."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from hardening.launch.cgroup import removal
from hardening.launch.cgroup.hierarchy import lock, read_hierarchies
from hardening.launch.cgroup.removal import CLAIMED, MADE
from tests.support.features import require

NAME = f"hardening-test-{os.getpid()}"


@pytest.fixture
def group() -> Iterator[Path]:
    """A group of one hierarchy, at its top."""
    require("root")
    require("cgroups")
    mount = next(entry.mount for entry in read_hierarchies() if entry.unified or "pids" in entry.controllers)
    found = Path(mount, NAME)
    found.mkdir()
    yield found
    with suppress(FileNotFoundError):
        removal.kill_and_remove(str(found))


@pytest.fixture
def running() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def member(group: Path, running: ExitStack) -> subprocess.Popen[bytes]:
    """A process in a group, which ends with the test."""
    process = running.enter_context(subprocess.Popen(["sleep", "600"]))
    running.callback(process.kill)
    (group / "cgroup.procs").write_text(str(process.pid))
    return process


def test_a_group_goes_with_its_members_and_those_below(group: Path, running: ExitStack) -> None:
    below = group / "a/b"
    below.mkdir(parents=True)
    processes = [member(group, running), member(below, running)]
    removal.kill_and_remove(str(group))
    assert not group.exists()
    assert [process.wait(60) for process in processes] == [-signal.SIGKILL] * 2
    removal.kill_and_remove(str(group))  # one that is gone already is no error


def test_a_killed_launch_leaves_what_it_had_claimed_to_be_killed_and_the_rest_only_where_it_is_empty(
    group: Path, running: ExitStack
) -> None:
    claimed, empty, others = (group / name for name in ("claimed", "empty", "others"))
    for path in (claimed, empty, others):
        path.mkdir()
    ours, theirs = member(claimed, running), member(others, running)
    removal.remove_left([f"{MADE}{path}" for path in (group, others, empty, claimed)] + [f"{CLAIMED}{claimed}"])
    assert [path.exists() for path in (claimed, empty, others, group)] == [False, False, True, True]
    assert ours.wait(60) == -signal.SIGKILL
    assert theirs.poll() is None


def test_every_group_is_tried_before_the_first_error_is_raised() -> None:
    tried: list[str] = []

    def refuse(directory: str) -> None:
        tried.append(directory)
        raise OSError(errno.EACCES, "no", directory)

    with pytest.raises(PermissionError) as caught:
        removal.each_group(refuse, ["a", "b"])
    assert (tried, caught.value.filename) == (["a", "b"], "a")


def test_an_empty_group_is_free_and_removed_and_one_that_is_used_is_taken(group: Path, running: ExitStack) -> None:
    assert not removal.is_taken(f"/{NAME}")
    assert not group.exists()
    group.mkdir()
    process = member(group, running)
    assert removal.is_taken(f"/{NAME}")
    assert process.poll() is None


def test_a_group_that_a_launch_holds_is_taken_though_it_is_empty(group: Path) -> None:
    held = lock(str(group))
    try:
        assert removal.is_taken(f"/{NAME}")
        removal.remove_abandoned(f"/{NAME}")
        assert group.exists()
    finally:
        os.close(held)
    assert not removal.is_taken(f"/{NAME}")


def test_what_is_abandoned_is_removed_with_what_is_left_inside(group: Path, running: ExitStack) -> None:
    process = member(group, running)
    removal.remove_abandoned(f"/{NAME}")
    assert not group.exists()
    assert process.wait(60) == -signal.SIGKILL
