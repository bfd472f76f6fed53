from __future__ import annotations

import json
import multiprocessing
import os
import select
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hardening.base import locks
from hardening.launch.record import sinks
from tests.support.features import require
from tests.support.patience import until

RECORD: dict[str, Any] = {
    "version": 1,
    "time": "2026-03-01T08:30:00.000001Z",
    "event": "launch",
    "id": "0123456789ab",
    "loginuid": 1000,
    "uid": 0,
    "gid": 0,
    "terminal": "pts/3",
    "pid": 7,
    "runtime": "native",
    "command": ["sh", "-c", "echo 'a b'"],
    "spec": "ab" * 32,
    "image": None,
    "profiles": [{"name": "strict", "sha256": "cd" * 32}, {"name": "command line", "sha256": None}],
    "enforced": ["seccomp", "rootfs"],
    "not_enforced": [],
}


def lines(folder: Path, name: str = sinks.FILE) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def test_a_file_of_json_lines_that_only_its_owner_reads(tmp_path: Path) -> None:
    place = tmp_path / "a/b/records"
    previous = os.umask(0)
    try:
        sink = sinks.File(str(place))
    finally:
        os.umask(previous)
    assert sink.write(RECORD)
    assert sink.write({**RECORD, "event": "end"})
    assert [line["event"] for line in lines(place)] == ["launch", "end"]
    assert lines(place)[0] == RECORD
    modes = [
        stat.S_IMODE(path.stat().st_mode) for path in (place / sinks.FILE, place, tmp_path / "a/b", tmp_path / "a")
    ]
    assert modes == [0o600, 0o700, 0o711, 0o711]


def test_a_full_file_becomes_the_old_one(tmp_path: Path) -> None:
    first, other = sinks.File(str(tmp_path / "r")), sinks.File(str(tmp_path / "r"))
    os.truncate(tmp_path / "r" / sinks.FILE, sinks.MAX_FILE - 10)
    first.write(RECORD)
    other.write({**RECORD, "event": "end"})
    assert [line["event"] for line in lines(tmp_path / "r")] == ["launch", "end"]
    assert (tmp_path / "r" / sinks.OLD_FILES[0]).stat().st_size == sinks.MAX_FILE - 10


def test_old_files_stay_but_for_the_oldest_of_many(tmp_path: Path) -> None:
    sink = sinks.File(str(tmp_path))
    count = len(sinks.OLD_FILES) + 2
    for number in range(count):
        sink.write({**RECORD, "id": str(number)})
        os.truncate(tmp_path / sinks.FILE, sinks.MAX_FILE)
    kept = [
        json.loads((tmp_path / name).read_bytes().partition(b"\n")[0])["id"] for name in (sinks.FILE, *sinks.OLD_FILES)
    ]
    assert kept == [str(number) for number in reversed(range(1, count))]


def _write_many(place: str, writer: int, count: int) -> None:
    sink = sinks.File(place)
    for number in range(count):
        sink.write({**RECORD, "id": f"{writer}-{number}"})


def test_writers_at_once_lose_nothing_also_while_the_file_is_exchanged(tmp_path: Path) -> None:
    place = tmp_path / "r"
    sinks.File(str(place))
    # Some hundred lines before the end of the file, so that it is exchanged once.
    (place / sinks.FILE).write_text("\n" * (sinks.MAX_FILE - 100_000))
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write_many, args=(str(place), writer, 100)) for writer in range(4)]
    for process in writers:
        process.start()
    for process in writers:
        process.join()
    assert [process.exitcode for process in writers] == [0] * 4
    old = [json.loads(line) for line in (place / sinks.OLD_FILES[0]).read_text().split("\n") if line]
    found = [record["id"] for record in [*old, *lines(place)]]
    assert sorted(found) == sorted(f"{writer}-{number}" for writer in range(4) for number in range(100))
    assert old


def test_what_does_not_fit_on_the_disk_leaves_no_part_of_a_line(tmp_path: Path) -> None:
    """A limit of the file size stands for a full disk: write(2) takes the part of a line that fits."""
    code = f"""
import resource, signal
from hardening.base import locks
from hardening.launch.record import sinks
from tests.support.features import require
from tests.support.patience import until
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sink = sinks.File({str(tmp_path / "r")!r})
sink.write({RECORD!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    sink.write({RECORD!r})
except OSError as error:
    print(error.strerror)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "No space left on device\n"
    assert lines(tmp_path / "r") == [RECORD]


@pytest.mark.usefixtures("shared_group")
@pytest.mark.parametrize("mode", [0o770, 0o777])
def test_a_folder_that_others_can_write_to_is_refused(mode: int, tmp_path: Path) -> None:
    tmp_path.chmod(mode)
    with pytest.raises(OSError, match="can write to it"):
        sinks.File(str(tmp_path))


@pytest.mark.parametrize("missing", ["", "/hardening/records"])
@pytest.mark.parametrize(
    "way", ["a link of somebody else's", "a directory of somebody else's", "one that others can write to"]
)
def test_a_way_that_somebody_else_can_change_is_refused(way: str, missing: str, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    if way.startswith("a "):
        require("root")
    if way.startswith("a link"):
        (tmp_path / "above").symlink_to("real")
        os.chown(tmp_path / "above", 48000, 48000, follow_symlinks=False)
    else:
        (tmp_path / "above").mkdir()
        (tmp_path / "above").chmod(0o755 if way.startswith("a ") else 0o777)
        if way.startswith("a "):
            os.chown(tmp_path / "above", 48000, 48000)
    if not missing:
        (tmp_path / "above/records").mkdir(mode=0o700)
    with pytest.raises(PermissionError, match=r"above belongs to another user|above can be written by others"):
        sinks.File(f"{tmp_path}/above{missing or '/records'}")
    assert [path.name for path in (tmp_path / "above").iterdir()] == ([] if missing else ["records"])


def test_a_file_that_is_a_link_a_pipe_or_a_device_is_refused_and_not_opened(tmp_path: Path) -> None:
    names = ["link", "pipe"]
    (tmp_path / "target").touch()
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / sinks.FILE).symlink_to(tmp_path / "target")
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / sinks.FILE, 0o600)
    if os.geteuid() == 0:
        names.append("device")
        (tmp_path / "device").mkdir()
        os.mknod(tmp_path / "device" / sinks.FILE, 0o600 | stat.S_IFCHR, os.makedev(5, 2))
    (tmp_path / "hard").mkdir()
    (tmp_path / "hard" / sinks.FILE).hardlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="has other names, too"):
        sinks.File(str(tmp_path / "hard"))
    reader = os.open(tmp_path / "pipe" / sinks.FILE, os.O_RDONLY | os.O_NONBLOCK)
    for name in names:
        with pytest.raises(OSError, match="not a regular file"):
            sinks.File(str(tmp_path / name))
    # The end of a pipe that somebody has opened is one that had a writer: poll(2) says so.
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    assert poll.poll(0) == []
    os.close(reader)
    assert (tmp_path / "target").read_bytes() == b""


def test_who_waits_for_a_lock_for_long_is_told_for_which(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    kept = sinks.File(str(tmp_path))
    holder = subprocess.Popen(["flock", kept.path, "sleep", "2"])
    until(lambda: locks.is_locked(kept.path, file=True))
    try:
        assert kept.write(RECORD)
    finally:
        holder.wait()
        kept.close()
    assert capfd.readouterr().err.startswith(f"hardening: waits for {kept.path}, which somebody has locked\nhint: ")
    assert len(lines(tmp_path)) == 1
