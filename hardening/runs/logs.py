"""Reading the log of a detached container, also while it is written (`hardening.launch.container.outputlog` says in
which form)."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

from hardening.base import units
from hardening.base.files import Opened, open_file
from hardening.base.linux import kernel
from hardening.base.values import frozen
from hardening.errors import UsageError
from hardening.launch.container.container_state import LOG, OLD_LOG

if TYPE_CHECKING:
    from hardening.runs.containers import ProcessId

_IN_MODIFY, _IN_MOVED_FROM, _IN_CREATE, _IN_DELETE_SELF = 0x2, 0x40, 0x100, 0x400  # sys/inotify.h
_CHANGES = _IN_MODIFY | _IN_MOVED_FROM | _IN_CREATE | _IN_DELETE_SELF


@frozen
class LogRecord:
    """One line of a log: ``time`` in RFC 3339, the stream (``stdout`` or ``stderr``), whether its line ends here."""

    time: str
    stream: str
    ends: bool
    text: bytes


def parse(line: bytes) -> LogRecord | None:
    """A record from a line without its newline; None for what is none (a disk was full)."""
    parts = line.split(b" ", 3)
    if len(parts) != 4 or parts[1] not in (b"stdout", b"stderr") or parts[2] not in (b"F", b"P"):
        return None
    return LogRecord(parts[0].decode(errors="replace"), parts[1].decode(), parts[2] == b"F", parts[3])


class Log:
    """The log in a container's directory, read from its beginning on. Raises `OSError`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _open(path / LOG)
        self._rest = b""

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def history(self, *, tail: int | None = None, since: str = "") -> list[LogRecord]:
        """What is written so far: only what is not older than ``since`` (RFC 3339), only the last ``tail`` lines."""
        records = [record for record in (*self._older(), *self.read()) if record.time >= since]
        return records if tail is None else _last(records, tail)

    def _older(self) -> list[LogRecord]:
        try:
            with _open(self._path / OLD_LOG) as file:
                # Where it was rotated a moment ago, it is the file that is read next.
                return [] if os.path.sameopenfile(file.fileno(), self._file.fileno()) else _records(file.read())
        except FileNotFoundError:
            return []

    def read(self) -> list[LogRecord]:
        """What was written since the last call."""
        data = self._rest + self._file.read()
        while self._is_rotated():
            data += self._file.read()
            self._file.close()
            self._file = _open(self._path / LOG)
            data += self._file.read()
        data, newline, self._rest = data.rpartition(b"\n")
        return _records(data + newline)

    def _is_rotated(self) -> bool:
        try:
            return (self._path / LOG).stat().st_ino != os.fstat(self._file.fileno()).st_ino
        except FileNotFoundError:  # just now, and another change will follow; or the container is removed
            return False

    def follow(self, launcher: ProcessId) -> Iterator[list[LogRecord]]:
        """What is written from now on, until the launcher ends. Raises `OSError`."""
        with launcher.opened() as process, Opened(kernel.inotify(os.fsencode(self._path), _CHANGES)) as changes:
            poll = select.poll()
            poll.register(changes, select.POLLIN)
            if process is not None:
                poll.register(process, select.POLLIN)
            while True:
                ended = process is None or any(fd == process for fd, _ in poll.poll(0))
                yield self.read()
                if ended:
                    return
                if any(fd == changes for fd, _ in poll.poll()):
                    os.read(changes, 65536)


def _open(path: Path) -> BufferedReader:
    return os.fdopen(open_file(str(path)), "rb")


def _records(data: bytes) -> list[LogRecord]:
    return [record for line in data.split(b"\n") if (record := parse(line)) is not None]


def _last(records: list[LogRecord], lines: int) -> list[LogRecord]:
    # The last line need not have ended.
    count = 1 if records and not records[-1].ends else 0
    for index in range(len(records) - 1, -1, -1):
        count += records[index].ends
        if count > lines:
            return records[index + 1 :]
    return records if lines else []


def moment(text: str, now: datetime) -> str:
    """The time that ``--since`` names (`hardening.base.units.moment`), as the log writes times. Raises `UsageError`."""
    try:
        # A time without a zone is the caller's own.
        return units.moment(text, now).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
    except ValueError as error:
        raise UsageError(str(error), origin="--since", hint=units.TIME_HINT) from None
