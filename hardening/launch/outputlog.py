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
    from hardening.launch.container_state import Entry

NAMES = {1: b"stdout", 2: b"stderr"}


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
        stamp = now()
        lines = data.split(b"\n")
        rest = lines.pop()
        head = b"%s %s " % (stamp, NAMES[number])
        text = b"".join(b"%sF %s\n" % (head, line) for line in lines)
        if rest:
            text += b"%sP %s\n" % (head, rest)
        if self._lost:
            text = b"%s stderr F hardening: %d bytes of output are lost\n%s" % (stamp, self._lost, text)
        if self._append(text):
            self._lost = 0
        else:
            self._lost += len(data)

    def say(self, text: str) -> None:
        """Add words of the launch stage itself."""
        self.write(2, text.encode("utf-8", "backslashreplace") + b"\n")

    def _append(self, text: bytes) -> bool:
        try:
            if self._length and self._length + len(text) > self._half:
                self._rotate()
            while text:
                count = os.write(self._fd, text)
                self._length += count
                text = text[count:]
        except OSError:  # no space
            return False
        return True

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
