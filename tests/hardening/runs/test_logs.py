"""Reading a log: whole, its end, since a time, and while it is written and rotated."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hardening.launch.container.container_state import ContainerEntry, identify
from hardening.launch.container.directory import LaunchDirectory
from hardening.launch.container.outputlog import OutputLog
from hardening.runs.containers import ProcessId
from hardening.runs.logs import Log, LogRecord, moment, parse


@pytest.fixture
def entry(tmp_path: Path) -> ContainerEntry:
    made = ContainerEntry(LaunchDirectory(str(tmp_path / "launches/one")), {})
    made.create("")
    return made


def text(records: list[LogRecord]) -> bytes:
    return b"".join(record.text + b"\n" * record.ends for record in records)


@pytest.mark.parametrize("line", [b"", b"x", b"T stdin F x", b"T stdout X x", b"T stdout F"])
def test_what_is_no_record_is_passed_over(line: bytes) -> None:
    assert parse(line) is None


@pytest.mark.parametrize(
    ("tail", "kept"),
    [
        (None, b"one\ntwo\nthree\nfour"),
        (0, b""),
        (1, b"four"),
        (2, b"three\nfour"),
        (9, b"one\ntwo\nthree\nfour"),
    ],
)
def test_the_last_lines(entry: ContainerEntry, tail: int | None, kept: bytes) -> None:
    OutputLog(entry, 1 << 20).write(1, b"one\ntwo\nthree\nfour")
    with Log(Path(entry.path)) as log:
        assert text(log.history(tail=tail)) == kept


def test_since(entry: ContainerEntry) -> None:
    log = OutputLog(entry, 1 << 20)
    log.write(1, b"old\n")
    time.sleep(0.01)
    now = datetime.now(UTC)
    log.write(2, b"new\n")
    with Log(Path(entry.path)) as found:
        assert text(found.history(since=moment(now.isoformat(), now))) == b"new\n"


def test_a_log_is_followed_through_its_rotation_until_the_launcher_ends(entry: ContainerEntry) -> None:
    launcher = os.fork()
    if launcher == 0:
        log = OutputLog(entry, 8192)
        for number in range(400):
            log.write(1, b"line %d\n" % number)
            time.sleep(0.001)
        os._exit(0)
    found = identify(launcher)
    assert found is not None
    while not Path(entry.path, "log").exists():
        time.sleep(0.01)
    with Log(Path(entry.path)) as log_:
        seen = log_.history()
        for records in log_.follow(ProcessId(**found)):  # type: ignore[arg-type]
            seen += records
    os.waitpid(launcher, 0)
    assert text(seen) == b"".join(b"line %d\n" % number for number in range(400))
    assert Path(entry.path, "log.1").exists()


def test_following_needs_no_launcher_that_lives(entry: ContainerEntry) -> None:
    OutputLog(entry, 1 << 20).write(1, b"last words\n")
    with Log(Path(entry.path)) as log:
        assert [text(records) for records in log.follow(ProcessId(os.getpid(), 0, ""))] == [b"last words\n"]


def test_nothing_is_read_twice(entry: ContainerEntry) -> None:
    log = OutputLog(entry, 1 << 20)
    with Log(Path(entry.path)) as found:
        log.write(1, b"one\n")
        first = found.history()
        log.write(1, b"two\n")
        assert (text(first), text(found.read()), text(found.read())) == (b"one\n", b"two\n", b"")
