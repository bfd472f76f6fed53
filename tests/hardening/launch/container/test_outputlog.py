"""The log of a detached container: its form, its bound, and a disk that is full."""

from __future__ import annotations

import os
import re
import resource
import signal
from pathlib import Path

import pytest

from hardening.launch.container.container_state import ContainerEntry
from hardening.launch.container.directory import LaunchDirectory
from hardening.launch.container.outputlog import OutputLog
from hardening.runs.logs import Log

LINE = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (stdout|stderr) ([FP]) (.*)")


@pytest.fixture
def entry(tmp_path: Path) -> ContainerEntry:
    made = ContainerEntry(LaunchDirectory(str(tmp_path / "launches/one")), {})
    made.create("")
    return made


def lines(entry: ContainerEntry, name: str = "log") -> list[tuple[bytes, ...]]:
    found = [LINE.fullmatch(line) for line in Path(entry.path, name).read_bytes().splitlines()]
    assert all(found)
    return [match.groups() for match in found if match is not None]


def test_a_line_is_a_record_and_what_has_not_ended_is_a_part(entry: ContainerEntry) -> None:
    log = OutputLog(entry, 1 << 20)
    log.write(1, b"one\ntwo")
    log.write(2, b"\n")
    log.write(1, b" three\n")
    assert lines(entry) == [
        (b"stdout", b"F", b"one"),
        (b"stdout", b"P", b"two"),
        (b"stderr", b"F", b""),
        (b"stdout", b"F", b" three"),
    ]


@pytest.mark.parametrize("chunk", [10, 1000, 65536])
def test_both_files_stay_within_the_size_and_lose_the_oldest_only(entry: ContainerEntry, chunk: int) -> None:
    log = OutputLog(entry, 8192)
    text = b"".join(b"line %d\n" % number for number in range(3000))
    for at in range(0, len(text), chunk):
        log.write(1, text[at : at + chunk])
    sizes = [Path(entry.path, name).stat().st_size for name in ("log", "log.1")]
    assert max(sizes) <= 4096
    with Log(Path(entry.path)) as found:
        kept = b"".join(record.text + b"\n" * record.ends for record in found.history())
    assert kept
    assert text.endswith(kept)


def test_a_line_without_end_is_cut_into_records_that_fit(entry: ContainerEntry) -> None:
    log = OutputLog(entry, 1 << 20)
    log.write(2, b"x" * 40000 + b"\n")
    found = lines(entry)
    assert [tag for _, tag, _ in found] == [b"P", b"P", b"F"]
    assert b"".join(text for _, _, text in found) == b"x" * 40000


def test_what_a_full_disk_does_not_take_is_counted(entry: ContainerEntry) -> None:
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        log = OutputLog(entry, 1 << 20)
        log.write(1, b"before\n")
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60, limits[1]))
        log.write(1, b"lost\n")
        log.write(1, b"too\n")
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        log.write(1, b"after\n")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    with Log(Path(entry.path)) as found:
        texts = [record.text for record in found.history()]
    assert texts == [b"before", b"hardening: lost 9 bytes of output: File too large", b"after"]
