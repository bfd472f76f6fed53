"""What a launch takes away at its end."""

from __future__ import annotations

import os
import posix
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardening.launch.container.directory import LaunchDirectory
from hardening.launch.record import recording
from hardening.launch.record.recording import Records
from hardening.launch.request import LaunchRequest
from hardening.launch.supervise import cleaning
from hardening.launch.supervise.cleaning import Cleaning
from hardening.launch.supervise.run_observer import Attached


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    place = tmp_path / "bundle"
    (place / "rootfs").mkdir(parents=True)
    (place / "config.json").write_text("{}")
    return place


@pytest.fixture
def records() -> Iterator[Records]:
    made = Records("", "native", recording.who())
    yield made
    made.close()


def held(bundle: Path, lease: Path, records: Records) -> Cleaning:
    """The cleaning of a launch of a bundle that goes with it, and that has a lease."""
    made = Cleaning(LaunchRequest(bundle=str(bundle), remove=True), None, records)
    lease.touch()
    made.hold((str(lease),))
    return made


def test_a_bundle_goes_with_its_leases(bundle: Path, tmp_path: Path, records: Records) -> None:
    made = held(bundle, tmp_path / "lease", records)
    made.finish()
    made.release()
    assert list(tmp_path.iterdir()) == []


def test_it_is_done_once(bundle: Path, tmp_path: Path, records: Records) -> None:
    """What lies there afterwards belongs to another launch."""
    lease = tmp_path / "lease"
    made = held(bundle, lease, records)
    made.finish()
    bundle.mkdir()
    lease.touch()
    made.finish()
    made.release()
    assert (bundle.exists(), lease.exists()) == (True, True)


def test_a_bundle_that_stays_keeps_its_leases(bundle: Path, tmp_path: Path, records: Records) -> None:
    lease = tmp_path / "lease"
    lease.touch()
    made = Cleaning(LaunchRequest(bundle=str(bundle)), None, records)
    made.hold((str(lease),))
    made.finish()
    made.release()
    assert (bundle.exists(), lease.exists()) == (True, True)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place for records that neither the audit system nor a journal takes."""
    monkeypatch.setitem(posix.environ, b"HARDENING_STATE", os.fsencode(tmp_path / "state"))


@pytest.mark.usefixtures("place")
def test_what_cannot_be_taken_away_keeps_nothing_else(bundle: Path, tmp_path: Path, records: Records) -> None:
    record = tmp_path / "launches/id"
    (record / "exit").mkdir(parents=True)
    (record / "container.json").write_text('{"process": 1}')
    request = LaunchRequest(bundle=str(bundle), remove=True, id="id", state=str(tmp_path))
    made = Cleaning(request, Attached(request, LaunchDirectory(request.directory)).abandon, records)
    made.after_kill()
    made.release()
    assert not bundle.exists()


@pytest.mark.usefixtures("place")
def test_what_could_not_be_ended_keeps_its_leases(bundle: Path, tmp_path: Path, records: Records) -> None:
    lease = tmp_path / "lease"
    made = held(bundle, lease, records)
    done: list[str] = []
    made.after_kill(tmp_path.rmdir, lambda: done.append("next"))
    made.release()
    assert (bundle.exists(), lease.exists(), done) == (True, True, ["next"])


def test_a_step_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (said,) = cleaning.attempt(tmp_path.rmdir)
    assert "Directory not empty" in said
    assert cleaning.attempt((tmp_path / "file").unlink) == []
