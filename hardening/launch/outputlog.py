"""The log of a detached container: one line for each line of output, as the kubelet and podman's k8s-file write them.

``TIME STREAM TAG TEXT``: the time in RFC 3339 with nanoseconds, UTC; ``stdout`` or ``stderr``; ``F`` for a whole line or its
end, ``P`` for a part that the next of its stream continues.
"""

from __future__ import annotations

import time

from hardening.launch.container_state import LOG
from hardening.launch.system import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardening.launch.container_state import Entry

NAMES = {1: b"stdout", 2: b"stderr"}
LONGEST = 16384  # bytes of a line's text; the rest of a longer one goes on in the next record
HEAD = 64  # at least the bytes before it


class OutputLog:
    """Writes the log in a container's directory: at most ``size`` bytes, half of it in the older file ``log.1``."""

    def __init__(self, entry: Entry, size: int) -> None:
        self._entry = entry
        self._half = size // 2
        self._fd = self._open()
        self._length = 0
        self._lost = 0

    def write(self, number: int, data: bytes) -> None:
        """Take output of stream 1 or 2. What a full disk does not take is counted, and said once there is room."""
        head = b"%s %s " % (now(), NAMES[number])
        *lines, rest = data.split(b"\n")
        texts = [head + record for line in lines for record in self._records(line, b"F")]
        texts += [head + record for record in self._records(rest, b"P") if rest]
        if self._lost:
            texts.insert(0, b"%s stderr F hardening: %d bytes of output are lost\n" % (now(), self._lost))
        if self._append(texts):
            self._lost = 0
        else:
            self._lost += len(data)

    def _records(self, line: bytes, tag: bytes) -> list[bytes]:
        """What follows the time and the stream, in records that a file can hold."""
        longest = min(LONGEST, self._half - HEAD)
        pieces = [line[at : at + longest] for at in range(0, len(line), longest)] or [b""]
        return [*(b"P %s\n" % piece for piece in pieces[:-1]), b"%s %s\n" % (tag, pieces[-1])]

    def say(self, text: str) -> None:
        """Add words of the launch stage itself."""
        self.write(2, text.encode("utf-8", "backslashreplace") + b"\n")

    def _append(self, texts: list[bytes]) -> bool:
        try:
            for text in self._in_blocks(texts):
                if self._length + len(text) > self._half:
                    self._rotate()
                while text:
                    count = os.write(self._fd, text)
                    self._length += count
                    text = text[count:]
        except OSError:  # no space
            return False
        return True

    def _in_blocks(self, texts: list[bytes]) -> Iterator[bytes]:
        """Records put together into as few writes as the size of a file permits."""
        block, length = list[bytes](), 0
        for text in texts:
            if block and length + len(text) > self._half:
                yield b"".join(block)
                block, length = [], 0
            block.append(text)
            length += len(text)
        if block:
            yield b"".join(block)

    def _rotate(self) -> None:
        self._entry.rotate_log()
        os.close(self._fd)
        self._fd = self._open()
        self._length = 0

    def _open(self) -> int:
        return self._entry.open_log(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def now() -> bytes:
    """The time in RFC 3339."""
    seconds, rest = divmod(time.time_ns(), 10**9)
    return b"%s.%09dZ" % (time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)).encode(), rest)
