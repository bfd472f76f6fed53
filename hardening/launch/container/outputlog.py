"""The log of a detached container: one line for each line of output, as the kubelet and podman's k8s-file write them.

``TIME STREAM TAG TEXT``: the time in RFC 3339 with nanoseconds, UTC; ``stdout`` or ``stderr``; ``F`` for a whole line or its
end, ``P`` for a part that the next of its stream continues.
"""

from __future__ import annotations

import time

from hardening.base import jsontext
from hardening.base.linux.system import os
from hardening.base.units import timestamp
from hardening.launch.container.container_state import LOG, LOST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardening.launch.container.container_state import ContainerEntry

NAMES = {1: b"stdout", 2: b"stderr"}
LONGEST = 16384  # bytes of a line's text; the rest of a longer one goes on in the next record
HEAD = 64  # at least the bytes before it
BLANK = 127  # bytes that `LOST` has room for


class OutputLog:
    """Writes the log in a container's directory: at most ``size`` bytes, half of it in the older file ``log.1``."""

    def __init__(self, entry: ContainerEntry, size: int) -> None:
        self._entry = entry
        self._half = size // 2
        self._fd = self._open()
        self._length = 0
        self._lost = 0  # bytes since the last word about it
        self._lost_in_all = 0
        self._problem = ""
        self._torn = False  # the file ends in the middle of a record
        # Taken now, for there will be no room for it.
        self._mark = entry.open_log(LOST, os.O_CREAT)
        os.write(self._mark, b"\n".rjust(BLANK + 1))

    def write(self, number: int, data: bytes) -> None:
        """Take output of stream 1 or 2. What a full disk does not take is counted, and said once there is room."""
        head = b"%s %s " % (now(), NAMES[number])
        *lines, rest = data.split(b"\n")
        texts = [head + record for line in lines for record in self._records(line, b"F")]
        texts += [head + record for record in self._records(rest, b"P") if rest]
        before = [b"\n"] if self._torn else []
        before += [self._said()] if self._lost else []
        whole = self._append([*before, *texts])
        if whole >= len(before):
            self._lost = 0
        missing = sum(map(_size, texts[max(0, whole - len(before)) :]))
        if missing:
            self._lost += missing
            self._lost_in_all += missing
            self._write_mark()

    def _said(self) -> bytes:
        words = f"hardening: lost {self._lost} bytes of output: {self._problem}"
        return b"%s stderr F %s\n" % (now(), words.encode("utf-8", "backslashreplace"))

    def _write_mark(self) -> None:
        text = jsontext.dump({"bytes": self._lost_in_all, "reason": self._problem})
        try:
            os.pwrite(self._mark, text.encode().ljust(BLANK), 0)
        except OSError:  # a file system that has no room for a change either
            return

    def _records(self, line: bytes, tag: bytes) -> list[bytes]:
        """What follows the time and the stream, in records that a file can hold."""
        longest = min(LONGEST, self._half - HEAD)
        pieces = [line[at : at + longest] for at in range(0, len(line), longest)] or [b""]
        return [*(b"P %s\n" % piece for piece in pieces[:-1]), b"%s %s\n" % (tag, pieces[-1])]

    def say(self, text: str) -> None:
        """Add words of the launcher itself."""
        self.write(2, text.encode("utf-8", "backslashreplace") + b"\n")

    def _append(self, texts: list[bytes]) -> int:
        """Write records: how many of them are in the log as a whole."""
        whole, block, done = 0, list[bytes](), 0
        try:
            for block in self._in_blocks(texts):
                done, data = 0, b"".join(block)
                if self._length + len(data) > self._half:
                    self._rotate()
                while done < len(data):
                    done += self._write(data[done:])
                whole += len(block)
        except OSError as error:  # no space
            self._problem = error.strerror or str(error)
            for text in block:
                done -= len(text)
                whole += done >= 0
        return whole

    def _write(self, data: bytes) -> int:
        count = os.write(self._fd, data)
        self._length += count
        self._torn = data[count - 1 : count] != b"\n"
        return count

    def _in_blocks(self, texts: list[bytes]) -> Iterator[list[bytes]]:
        """Records put together into as few writes as the size of a file permits."""
        block, length = list[bytes](), 0
        for text in texts:
            if block and length + len(text) > self._half:
                yield block
                block, length = [], 0
            block.append(text)
            length += len(text)
        if block:
            yield block

    def _rotate(self) -> None:
        self._entry.rotate_log()
        new = self._open()  # what cannot be opened leaves the old one in use
        os.close(self._fd)
        self._fd = new
        self._length = 0

    def _open(self) -> int:
        return self._entry.open_log(LOG, os.O_CREAT | os.O_APPEND)


def _size(record: bytes) -> int:
    """How much of the output a record holds."""
    _, _, tag, text = record.split(b" ", 3)
    return len(text) - (tag == b"P")


def now() -> bytes:
    """The time in RFC 3339."""
    return timestamp(time.time_ns(), 9).encode()
