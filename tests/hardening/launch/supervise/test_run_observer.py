"""A container of the foreground, as others see it while it runs."""

from __future__ import annotations

import json
import os
import posix
import signal
from pathlib import Path

import pytest

from hardening.errors import LaunchError
from hardening.launch.container.directory import LaunchDirectory
from hardening.launch.record import recording
from hardening.launch.record.recording import Records
from hardening.launch.request import LaunchRequest
from hardening.launch.supervise.cleaning import Cleaning
from hardening.launch.supervise.run_observer import Attached
from tests.support.patience import until
from tests.support.runs import children

DOCUMENT = {"process": {"args": ["job"]}}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    found = tmp_path / "launches"
    found.mkdir(mode=0o700)
    return found


def attached(place: Path, identity: str = "one", name: str = "") -> Attached:
    request = LaunchRequest(id=identity, state=str(place.parent), name=name)
    return Attached(request, LaunchDirectory(request.directory))


def test_nothing_is_written_before_the_command_runs(place: Path) -> None:
    before, observer = children(), attached(place)
    observer.prepare(DOCUMENT)
    assert list(place.iterdir()) == []
    assert observer.started(os.getpid())
    assert json.loads((place / "one/container.json").read_text())["process"]["pid"] == os.getpid()
    observer.end(0)
    assert list(place.iterdir()) == []
    assert children() == before


def test_a_name_is_refused_before_anything_is_started(place: Path) -> None:
    first = attached(place, name="web")
    first.prepare(DOCUMENT)
    other = attached(place, "two", "web")
    with pytest.raises(LaunchError, match="the name web is taken"):
        other.prepare(DOCUMENT)
    other.end(125)
    first.end(0)
    assert list(place.iterdir()) == []


def test_a_command_that_is_over_is_not_written_down(place: Path) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    observer = attached(place)
    observer.prepare(DOCUMENT)
    assert observer.started(child)
    os.waitpid(child, 0)
    assert list(place.iterdir()) == []
    observer.end(0)


def test_where_it_cannot_be_written_down_the_command_goes_on(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "launches").touch()
    observer = attached(tmp_path / "launches")
    observer.prepare(DOCUMENT)
    assert observer.started(os.getpid())
    assert "hardening: `hardening ps` does not show this container: " in capfd.readouterr().err
    observer.end(0)


def test_a_cleanup_process_takes_it_away_when_its_process_is_killed(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(posix.environ, b"HARDENING_STATE", os.fsencode(place.parent))
    launcher = os.fork()
    if launcher == 0:
        observer = attached(place)
        observer.cleaning = Cleaning(observer.request, observer.abandon, Records("one", "native", recording.who()))
        observer.prepare(DOCUMENT)
        observer.started(os.getpid())
        signal.pause()
    until((place / "one").exists)
    os.kill(launcher, signal.SIGKILL)
    os.waitpid(launcher, 0)
    until(lambda: not list(place.iterdir()))
