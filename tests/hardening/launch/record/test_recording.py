from __future__ import annotations

import errno
import json
import os
import posix
import pty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hardening.base import files
from hardening.errors import LaunchError
from hardening.launch.config import bundle
from hardening.launch.config.bundle import PROFILES
from hardening.launch.record import recording
from hardening.launch.record.recording import Records
from hardening.launch.record.sinks import FILE
from tests.support import audit


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setitem(posix.environ, b"HARDENING_STATE", os.fsencode(tmp_path))
    with audit.alone():  # with a daemon of another test, the records would be in its log
        yield tmp_path / "records"


def written(place: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (place / FILE).read_text().splitlines()]


def loaded(folder: Path, document: dict[str, object]) -> bundle.Bundle:
    (folder / "config.json").write_text(json.dumps(document))
    return bundle.load(str(folder))


def test_a_launch_and_its_end(tmp_path: Path, place: Path) -> None:
    records = Records("id-2", "native", recording.who())
    records.take(loaded(tmp_path, {"process": {"args": ["true"]}}))
    records.prepare()
    records.launched()
    records.over(0, "")
    records.close()
    assert [(item["event"], item["id"], item["command"]) for item in written(place)] == [
        ("launch", "id-2", ["true"]),
        ("end", "id-2", ["true"]),
    ]


def test_a_malformed_annotation_is_met_once_and_what_could_be_read_is_recorded(tmp_path: Path, place: Path) -> None:
    records = Records("", "native", recording.who())
    records.take(loaded(tmp_path, {"process": {"args": ["true"]}, "annotations": {PROFILES: "{}"}}))
    with pytest.raises(LaunchError, match=r"profiles: must be a JSON list") as caught:
        records.prepare()
    records.over(125, str(caught.value))
    records.close()
    (refused,) = written(place)
    assert (refused["event"], refused["command"], refused["error"]) == ("refused", ["true"], str(caught.value))


def test_the_first_error_is_the_one_that_is_recorded(tmp_path: Path, place: Path) -> None:
    records = Records("", "native", recording.who())
    records.take(loaded(tmp_path, {"annotations": {PROFILES: "{}"}}))
    records.over(125, "another error")
    records.close()
    assert [item["error"] for item in written(place)] == ["another error"]


def test_a_child_records_what_nothing_was_loaded_for_before_its_parent_was_killed(place: Path) -> None:
    records = Records("", "native", recording.who())
    child = os.fork()
    if child == 0:
        records.abandoned(137, [])
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    records.close()
    (refused,) = written(place)
    assert (refused["event"], refused["code"], refused["pid"]) == ("refused", 137, os.getpid())


@pytest.mark.parametrize(
    ("number", "refused"),
    [(errno.ENOENT, False), (errno.EPERM, False), (errno.EACCES, True), (errno.EROFS, True), (errno.EINVAL, True)],
)
def test_a_login_uid_that_nobody_else_could_set_either_is_no_failure(
    number: int, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No audit system in the kernel, or one that is set and has no number here: the command can claim nobody."""

    def failing(path: str, text: str) -> None:
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(recording, "_proc_number", lambda path: None)
    monkeypatch.setattr(files, "write", failing)
    records = Records("", "native", recording.who())
    try:
        if refused:
            with pytest.raises(LaunchError, match=r"^/proc/self/loginuid: the caller's login uid cannot be set: "):
                records.claim()
        else:
            records.claim()
    finally:
        records.close()


def test_the_controlling_terminal_whatever_the_descriptors_are() -> None:
    child, master = pty.fork()
    if child == 0:
        null = os.open("/dev/null", os.O_RDWR)
        name = os.ttyname(0)
        for number in (0, 1, 2):
            os.dup2(null, number)
        os._exit(0 if f"/dev/{files.terminal()}" == name else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    os.close(master)


def test_without_a_terminal_there_is_none() -> None:
    child = os.fork()
    if child == 0:
        os.setsid()
        os._exit(0 if files.terminal() is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
