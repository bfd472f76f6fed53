"""What is written down of a container, seen as another process sees it."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path
from typing import Any

import pytest

from hardening.base import locks
from hardening.errors import LaunchError
from hardening.launch.container import container_state
from hardening.launch.container.container_state import ContainerEntry
from hardening.launch.container.directory import LaunchDirectory
from hardening.launch.request import LaunchRequest


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "launches"


def entry(place: Path, identity: str = "one", **options: Any) -> ContainerEntry:
    request = LaunchRequest(id=identity, state=str(place.parent), **options)
    return ContainerEntry(
        LaunchDirectory(request.directory), container_state.describe(request, {"process": {"args": ["a", "ü\n"]}})
    )


def test_an_entry_is_complete_and_held_once_it_is_there(place: Path) -> None:
    made = entry(place)
    made.create("")
    assert sorted(path.name for path in (place / "one").iterdir()) == ["container.json", "exit"]
    assert locks.is_locked(str(place / "one"))
    found = json.loads((place / "one/container.json").read_text())
    assert found["command"] == ["a", "ü\n"]
    assert found["launcher"] == container_state.identify(os.getpid())
    assert (found["process"], found["auto_remove"], found["runtime"]) == (None, True, "native")
    assert all(path.stat().st_mode & 0o077 == 0 for path in (place / "one").iterdir())


def test_a_change_is_seen_whole(place: Path) -> None:
    made = entry(place)
    made.create("")
    made.update(process={"pid": 7, "start": 8})
    assert json.loads((place / "one/container.json").read_text())["process"] == {"pid": 7, "start": 8}
    assert sorted(path.name for path in (place / "one").iterdir()) == ["container.json", "exit"]


def test_a_change_that_has_no_room_leaves_what_was_there_and_room_for_the_next(place: Path) -> None:
    made = entry(place)
    made.create("")
    before = (place / "one/container.json").read_text()
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, usual[1]))
    try:
        with pytest.raises(OSError, match="File too large"):  # Python ignores SIGXFSZ
            made.update(process={"pid": 7, "start": 8})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert (place / "one/container.json").read_text() == before
    made.update(process={"pid": 7, "start": 8})
    assert json.loads((place / "one/container.json").read_text())["process"] == {"pid": 7, "start": 8}


def test_who_has_the_file_open_learns_the_end_of_what_is_removed(place: Path) -> None:
    made = entry(place)
    made.create("")
    with (place / "one/exit").open() as file:
        made.finish(3)
        made.remove()
        assert json.load(file)["code"] == 3
    assert list(place.iterdir()) == []


def test_a_name_is_taken_until_its_container_is_removed(place: Path) -> None:
    first = entry(place, "one", name="web", detach=True)
    first.create("web")
    with pytest.raises(LaunchError, match="the name web is taken by the container one"):
        entry(place, "two", name="web").create("web")
    entry(place, "three", name="other").create("other")
    first.remove()
    entry(place, "four", name="web").create("web")


def test_a_name_of_a_container_that_nobody_runs_any_more_and_nobody_keeps_is_free(place: Path) -> None:
    if os.fork() == 0:
        entry(place, "one", name="web").create("web")
        os._exit(0)
    assert os.wait()[1] == 0
    entry(place, "two", name="web").create("web")
    assert [path.name for path in place.iterdir()] == ["two"]


def test_nothing_else_of_a_launch_goes_with_what_is_written_down(place: Path) -> None:
    made = entry(place)
    made.create("")
    (place / "one/bundle").mkdir()
    (place / "one/log").mkdir()
    made.remove()
    assert [path.name for path in (place / "one").iterdir()] == ["bundle"]


@pytest.mark.parametrize(
    ("process", "keep", "left"), [(None, True, False), ({"pid": 1}, True, True), ({"pid": 1}, False, False)]
)
def test_an_abandoned_container_is_kept_where_it_has_run_and_is_to_be(
    place: Path, process: dict[str, int] | None, keep: bool, left: bool
) -> None:
    made = entry(place)
    made.create("")
    made.update(process=process)
    with (place / "one/exit").open() as file:
        container_state.abandon(str(place / "one"), keep=keep)
        told = file.read()
    assert (place / "one").exists() == left
    assert (json.loads(told) if told.strip() else {}).get("killed", False) == (process is not None)


def test_an_abandoned_container_goes_whose_end_cannot_be_written_down_which_is_told(place: Path) -> None:
    made = entry(place)
    made.create("")
    made.update(process={"pid": 1})
    (place / "one/exit").unlink()
    os.mkfifo(place / "one/exit")
    with pytest.raises(OSError, match="is not a regular file"):
        container_state.abandon(str(place / "one"), keep=False)
    assert not (place / "one").exists()


def test_a_process_is_told_from_a_later_one_of_its_number() -> None:
    found = container_state.identify(os.getpid())
    assert found is not None
    assert found["pid"] == os.getpid()
    assert found["boot"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert found["start"] == int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert container_state.identify(child) is None  # a zombie
    os.waitpid(child, 0)
    assert container_state.identify(child) is None
