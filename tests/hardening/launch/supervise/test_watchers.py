"""A container of the foreground, as others see it while it runs."""

from __future__ import annotations

import json
import os
import posix
import signal
from pathlib import Path

import pytest

from hardening.errors import LaunchError
from hardening.launch import main
from hardening.launch.record import recording
from hardening.launch.record.recording import Records
from hardening.launch.supervise.cleaning import Cleaning
from hardening.launch.supervise.watchers import Attached
from tests.support.patience import until
from tests.support.runs import children

DOCUMENT = {"process": {"args": ["job"]}}


def attached(place: Path, *options: str) -> Attached:
    return Attached(main.parse(["--record", str(place / "one"), *options, "/bundle"]))


def test_nothing_is_written_before_the_command_runs(tmp_path: Path) -> None:
    before, watcher = children(), attached(tmp_path)
    watcher.prepare(DOCUMENT)
    assert list(tmp_path.iterdir()) == []
    assert watcher.started(os.getpid())
    assert json.loads((tmp_path / "one/container.json").read_text())["process"]["pid"] == os.getpid()
    watcher.end(0)
    assert list(tmp_path.iterdir()) == []
    assert children() == before


def test_a_name_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    first = attached(tmp_path, "--name", "web")
    first.prepare(DOCUMENT)
    other = Attached(main.parse(["--record", str(tmp_path / "two"), "--name", "web", "/bundle"]))
    with pytest.raises(LaunchError, match="the name web is taken"):
        other.prepare(DOCUMENT)
    other.end(125)
    first.end(0)
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_is_over_is_not_written_down(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    watcher = attached(tmp_path)
    watcher.prepare(DOCUMENT)
    assert watcher.started(child)
    os.waitpid(child, 0)
    assert list(tmp_path.iterdir()) == []
    watcher.end(0)


def test_where_it_cannot_be_written_down_the_command_goes_on(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    watcher = attached(tmp_path / "file")
    watcher.prepare(DOCUMENT)
    assert watcher.started(os.getpid())
    assert "hardening: `hardening ps` will not show this container: " in capfd.readouterr().err
    watcher.end(0)


def test_a_guard_takes_it_away_when_its_process_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(posix.environ, b"HARDENING_STATE", os.fsencode(tmp_path / "state"))
    place = tmp_path / "state/containers"
    place.mkdir(parents=True, mode=0o700)
    stage = os.fork()
    if stage == 0:
        watcher = attached(place)
        watcher.cleaning = Cleaning(watcher.arguments, watcher, Records("one", "native", recording.who()))
        watcher.prepare(DOCUMENT)
        watcher.started(os.getpid())
        signal.pause()
    until((place / "one").exists)
    os.kill(stage, signal.SIGKILL)
    os.waitpid(stage, 0)
    until(lambda: not list(place.iterdir()))
