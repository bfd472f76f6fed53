"""Containers as others find them: read from what a launcher has written, and signalled through pidfds."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from hardening.errors import HardeningError, LaunchError, UsageError
from hardening.launch.container.container_state import ContainerEntry, describe, identify
from hardening.launch.container.directory import LaunchDirectory
from hardening.launch.request import LaunchRequest
from hardening.report import containers as report
from hardening.runs import containers
from hardening.runs.containers import Container, End, ProcessId, await_end, find, known, signal_container, stop
from tests.support.features import require
from tests.support.patience import until


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "launches"


def entry(place: Path, identity: str, **options: Any) -> ContainerEntry:
    request = LaunchRequest(id=identity, state=str(place.parent), detach=True, **options)
    made = ContainerEntry(LaunchDirectory(request.directory), describe(request, {"process": {"args": ["job"]}}))
    made.create(request.name)
    return made


@pytest.fixture
def child() -> Iterator[ProcessId]:
    with subprocess.Popen(["sleep", "600"]) as process:
        found = identify(process.pid)
        assert found is not None
        try:
            yield ProcessId(**found)  # type: ignore[arg-type]
        finally:
            process.kill()


def in_background(place: Path, then: Callable[[ContainerEntry], None], **options: Any) -> int:
    """A process that has made the entry `one`: what it does then, ends it."""
    pid = os.fork()
    if pid == 0:
        then(entry(place, "one", **options))
        os._exit(0)
    until((place / "one/container.json").exists)
    return pid


def test_states(place: Path) -> None:
    assert known(place) == []
    made = entry(place, "one", name="web")
    (found,) = known(place)
    assert (found.id, found.name, found.command, found.status) == ("one", "web", ("job",), "starting")
    made.update(process=identify(os.getpid()))
    assert known(place)[0].status == "running"
    os.close(made._fd)
    assert known(place)[0].status == "killed"
    gone = attrs.evolve(known(place)[0], end=End(3, 0.0))
    assert gone.status == "exited"


def test_what_is_not_kept_is_none_any_more_without_its_launcher_and_reading_removes_nothing(place: Path) -> None:
    made = entry(place, "one", auto_remove=True)
    assert len(known(place)) == 1
    os.close(made._fd)
    assert known(place) == []
    assert (place / "one/container.json").exists()


def test_what_is_not_complete_is_not_looked_at(place: Path) -> None:
    entry(place, "one")
    (place / "one/container.json").rename(place / "one/container.json.new")
    (place / "half").mkdir()
    assert known(place) == []
    assert len(list(place.iterdir())) == 2


@pytest.mark.parametrize("text", ["", "{}", "[" * 200_000, '{"a":' * 200_000, "7"], ids=lambda text: text[:8])
def test_a_broken_description_hides_no_other_container(place: Path, text: str) -> None:
    entry(place, "one", name="web")
    entry(place, "two")
    (place / "one/container.json").write_text(text)
    one, two = sorted(known(place), key=lambda item: item.id)
    assert (one.id, one.status, one.running) == ("one", "damaged", True)
    assert one.launcher is not None
    assert one.launcher.pid == os.getpid()  # who holds it is told by the kernel
    assert two.status == "starting"
    entry(place, "three", name="web")  # a name that cannot be read is nobody's


def test_how_one_ended_is_told_whatever_became_of_its_description(place: Path) -> None:
    made = entry(place, "one")
    made.finish(7)
    os.close(made._fd)
    (place / "one/container.json").write_text("{")
    (found,) = known(place)
    end = await_end(found)
    assert (found.status, end and end.code) == ("damaged", 7)
    (place / "one/exit").write_text("{")
    (found,) = known(place)
    assert (found.status, await_end(found)) == ("damaged", None)


def test_a_member_of_another_type_is_damage(place: Path) -> None:
    """Each as the launcher writes it, or the tables and signals that use it would meet something else."""
    entry(place, "one")
    file = place / "one/container.json"
    description = json.loads(file.read_text()) | {"process": {"pid": 1, "start": 1}}
    for key, value in description.items():
        for other in (
            None,
            7,
            "x",
            [1],
            {"pid": "x"},
            {"pid": 1e9, "start": 1},
            {"pid": 2**31, "start": 1},
            True,
            1e400,
            1e18,
        ):
            strings = isinstance(other, str) and isinstance(value, str)
            if strings or type(other) is type(value) is bool or (key in ("launcher", "process") and other is None):
                continue
            file.write_text(json.dumps(description | {key: other}))
            (found,) = known(place)
            assert found.status == "damaged", (key, other)
            assert report.data([found])[0]["damage"]
            assert report.table([found], 0.0).rows
    file.write_text(json.dumps(description))
    (place / "one/exit").write_text('{"code": "x", "finished": 1.0}')
    assert known(place)[0].status == "damaged"


@pytest.mark.parametrize("which", ["all of them", "one"])
@pytest.mark.parametrize("how", ["link", "owner", "mode"])
def test_what_somebody_else_could_have_written_down_is_no_container(place: Path, which: str, how: str) -> None:
    entry(place, "one", name="web")
    path = place if which == "all of them" else place / "one"
    if how == "link":
        path.rename(path.with_name("elsewhere"))
        path.symlink_to("elsewhere")
    elif how == "mode":
        path.chmod(0o777)
    else:
        require("root")
        os.chown(path, 48000, 48000)
    if (which, how) == ("one", "link"):
        assert not [item for item in known(place) if item.id == "one" and item.path.name == "one"]
        return
    with pytest.raises(LaunchError, match="is not a directory that only uid"):
        known(place)


@pytest.mark.parametrize("name", ["container.json", "exit", "log"])
def test_a_fifo_in_the_place_of_a_file_keeps_nobody_waiting(place: Path, name: str) -> None:
    made = entry(place, "one")
    (place / "one" / name).unlink(missing_ok=True)
    os.mkfifo(place / "one" / name)
    (found,) = known(place)
    assert found.damage == ("" if name == "log" else "is not a regular file")
    os.close(made._fd)
    containers.discard(found)
    assert not (place / "one").exists()


@pytest.mark.parametrize(
    ("word", "found"),
    [("web", "abc1"), ("abc1", "abc1"), ("abc2", "abc2"), ("data", "abc3"), ("abc3", "abc3"), ("d", "d77")],
)
def test_a_container_is_found_by_its_name_or_the_beginning_of_its_id(place: Path, word: str, found: str) -> None:
    for identity, name in (("abc1", "web"), ("abc2", "webserver"), ("abc3", "data"), ("d77", "x")):
        entry(place, identity, name=name)
    assert find(word, known(place)).id == found


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("ab", "'ab' may be each of 2 containers: web, abc2\nhint: write more"),
        ("we", "no such container: 'we'"),
        ("wep", "no such container: 'wep'\nhint: did you mean \"web\"?"),
        ("zzz", "no such container: 'zzz'\nhint: `hardening ps -a` lists"),
        ("", "no such container: ''"),
    ],
)
def test_what_is_not_found_is_an_error_that_helps(place: Path, word: str, says: str) -> None:
    entry(place, "abc1", name="web")
    entry(place, "abc2")
    with pytest.raises(UsageError) as caught:
        find(word, known(place))
    assert str(caught.value).startswith(says)


def test_a_number_that_another_process_has_gets_no_signal(place: Path, child: ProcessId) -> None:
    entry(place, "one").update(process=attrs.asdict(child))
    (found,) = known(place)
    later = attrs.evolve(found, process=attrs.evolve(child, start=child.start + 1), launcher=None)
    assert not signal_container(later, signal.SIGKILL)
    with child.opened() as descriptor:
        assert descriptor is not None  # it lives
    assert signal_container(found, signal.SIGKILL)
    assert os.waitpid(child.pid, 0)[1] == signal.SIGKILL


def test_a_container_that_has_ended_gets_no_signal(place: Path, child: ProcessId) -> None:
    made = entry(place, "one")
    made.update(process=attrs.asdict(child))
    os.close(made._fd)
    assert not signal_container(known(place)[0], signal.SIGKILL)
    with child.opened() as descriptor:
        assert descriptor is not None


def test_the_end_is_awaited_on_the_lock(place: Path) -> None:
    go, going = os.pipe()

    def then(made: ContainerEntry) -> None:
        os.read(go, 1)
        made.finish(7)
        made.remove()

    pid = in_background(place, then, auto_remove=True)
    (found,) = known(place)
    ends: list[End | None] = []
    thread = threading.Thread(target=lambda: ends.append(await_end(found)))
    thread.start()
    until(lambda: re.search(rf"-> FLOCK .* {os.getpid()} ", Path("/proc/locks").read_text()))
    assert ends == []
    os.write(going, b"x")
    thread.join()
    os.waitpid(pid, 0)
    os.close(go)
    os.close(going)
    assert [end.code for end in ends if end is not None] == [7]
    with pytest.raises(HardeningError, match="one has ended and is removed"):
        await_end(found)


def test_a_launcher_that_does_not_end_is_killed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "LAST_WAIT", 0.1)

    def then(made: ContainerEntry) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        made.update(auto_remove=False)
        signal.pause()

    pid = in_background(place, then)
    until(lambda: not json.loads((place / "one/container.json").read_text())["auto_remove"])
    found: Container = known(place)[0]
    stop([found], 0.0)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    assert known(place)[0].status == "killed"
