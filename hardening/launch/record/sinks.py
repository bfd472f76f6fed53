"""Where the records of launches go: the kernel's audit system, else journald, else a file of the caller's own.

The first sink that keeps a record is the one. Nothing here waits for a disk: what the kernel or journald has taken, or
what write(2) has put into the file, counts as kept.
"""

from __future__ import annotations

import errno
import fcntl
import time

from hardening.base import files, jsontext, places, trusted
from hardening.base.guarded import complain
from hardening.base.linux import abi, kernel
from hardening.base.linux.system import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Protocol

    from hardening.launch.record.audit import Audit

    class Sink(Protocol):
        """One place for records."""

        name: str
        #: Bytes of text that the longest field of a record may have.
        longest: int

        def write(self, record: dict[str, object]) -> bool:
            """Put one record there: whether it is sure that it is kept. `OSError` when it is not."""
            ...

        def close(self) -> None:
            """Let go of it."""
            ...


JOURNAL = "/run/systemd/journal/socket"

FILE = "records.jsonl"
#: What the file becomes when it is full, the newest first: one launch of many exceptions must not push out all others.
OLD_FILES = tuple(f"records.{number}.jsonl" for number in range(1, 9))
MAX_FILE = 8 << 20  # bytes; then the file becomes an old one
#: Seconds between two attempts to lock it, before it is said that somebody else has it: one in all.
_PAUSES = (0.001, 0.002, 0.005, *((0.01,) * 99))


class File:
    """A file of JSON lines that only its owner can read, at one of `places.of_records`."""

    name = "file"
    longest = 16384

    def __init__(self, directory: str) -> None:
        """Open the file, made with its directory if missing. `OSError` where that cannot be, or others could write it, or
        put another one in its place."""
        self.path = files.join(directory, FILE)
        trusted.require_secure_path(directory)
        make(directory, 0o700)
        self._directory = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            require_own(os.fstat(self._directory), self._directory)
            self._fd = self._open()
        except OSError:
            os.close(self._directory)
            raise

    def _open(self) -> int:
        fd = files.open_own(FILE, os.O_APPEND | os.O_CREAT, self._directory)
        try:
            require_own(os.fstat(fd), fd)
        except OSError:
            os.close(fd)
            raise
        return fd

    def _open_again(self) -> None:
        fd = self._open()
        os.close(self._fd)
        self._fd = fd

    def write(self, record: dict[str, object]) -> bool:
        """Append one line, or nothing at all."""
        line = (jsontext.dump(record) + "\n").encode("ascii")
        size = self._lock()
        try:
            if size and size + len(line) > MAX_FILE:
                self._set_aside()
                self._open_again()
                self._wait()
                size = os.fstat(self._fd).st_size
            written = os.write(self._fd, line)
            if written < len(line):  # a full disk takes what it can
                os.ftruncate(self._fd, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
        return True

    def _set_aside(self) -> None:
        """Make the file an old one, and each old one older; the oldest goes."""
        names = (FILE, *OLD_FILES)
        for newer, older in reversed(list(zip(names, OLD_FILES, strict=False))):
            try:
                os.rename(newer, older, src_dir_fd=self._directory, dst_dir_fd=self._directory)
            except FileNotFoundError:
                continue

    def close(self) -> None:
        """Close the file and its directory."""
        os.close(self._fd)
        os.close(self._directory)

    def _lock(self) -> int:
        """Lock the file that has the name now, as another process may have made it the old one: its size."""
        while True:
            self._wait()
            try:
                named = os.stat(FILE, dir_fd=self._directory, follow_symlinks=False).st_ino
            except FileNotFoundError:
                named = 0
            status = os.fstat(self._fd)
            if named == status.st_ino:
                return status.st_size
            self._open_again()

    def _wait(self) -> None:
        """Lock the file. Who has to wait for long is told for what: another launch has it for a moment only."""
        for pause in _PAUSES:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                time.sleep(pause)
        complain(f"waits for {self.path}, which somebody has locked\nhint: `lslocks` shows who")
        fcntl.flock(self._fd, fcntl.LOCK_EX)


def require_own(status: os.stat_result, place: str | int) -> None:
    """Raise `OSError` unless this, at a path or behind a descriptor, is the caller's and nobody else can write to it."""
    if not trusted.is_own(status, place):
        raise OSError(errno.EPERM, f"users other than uid {os.geteuid()} can write to it")


def make(directory: str, mode: int) -> None:
    """Make a directory with those above it, unless it is there. `OSError`."""
    try:
        os.mkdir(directory, mode)
    except FileExistsError:
        return
    except FileNotFoundError:
        # As `hardening.base.state` makes its directory, which this may be: mapped ids of containers pass through it.
        make(files.parent(directory), 0o711)
        os.mkdir(directory, mode)
    os.chmod(directory, mode)


class RecordLocations:
    """All sinks of a caller, and those of them that were opened. Some variables of ``environment`` say where the caller's
    own file lies (`places.of_records`)."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._opened: list[Sink] = []
        self._audit: Audit | None = None
        # Nothing of the audit system is loaded for those who may not write there.
        if abi.has_capability(kernel.capget()[0], "CAP_AUDIT_WRITE"):
            from hardening.launch.record.audit import Audit

            try:
                self._audit = Audit()
            except OSError:  # a kernel without
                return
            self._opened.append(self._audit)

    def each(self) -> Iterator[tuple[str, Callable[[], Sink]]]:
        """Every sink in the order in which it is tried: what it is, and what opens it or raises `OSError`."""
        yield "the audit system", self._connect_audit
        yield "journald", self._connect_journal
        for place in places.of_records(self._environment):
            yield place, lambda place=place: self._keep(File(place))  # type: ignore[misc]

    def _connect_audit(self) -> Sink:
        if self._audit is None:
            raise OSError(errno.EPERM, "CAP_AUDIT_WRITE is missing")
        return self._audit.connected()

    def _connect_journal(self) -> Sink:
        os.lstat(JOURNAL)
        from hardening.launch.record.journald import Journal

        return self._keep(Journal(JOURNAL))

    def _keep(self, sink: Sink) -> Sink:
        self._opened.append(sink)
        return sink

    def close(self) -> None:
        """Close every sink."""
        for sink in self._opened:
            sink.close()
