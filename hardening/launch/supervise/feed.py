"""Standard input of the caller's that a container must not have itself: its content goes through a pipe."""

from __future__ import annotations

import select

from hardening.base import files
from hardening.base.linux.system import os, signal
from hardening.launch.supervise.terminal import in_foreground


class Feed:
    """Copies descriptor 0 into a pipe, whose end for the container is ``reader``, as far as that is read."""

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._pending = b""

    def watched(self) -> tuple[int, int] | None:
        """The descriptor that is to be polled now, and for what. None at the end of the input, and for a terminal of which
        another job reads."""
        if self._writer < 0:
            return None
        if self._pending:
            return self._writer, select.POLLOUT
        return (0, select.POLLIN) if not os.isatty(0) or in_foreground() else None

    def serve(self) -> None:
        """Take, or give on, one piece."""
        try:
            self._pending = self._pending or os.read(0, files.RELAYED)
            if not self._pending:
                self.end()
            else:
                self._pending = self._pending[os.write(self._writer, self._pending) :]
        except BlockingIOError:
            return
        except OSError:  # nobody reads any more, or the terminal is hung up
            signal.sigtimedwait({signal.SIGPIPE}, 0)  # which is blocked, and would be the end of this process later
            self.end()

    def end(self) -> None:
        """Close the pipe: the container meets the end of its input."""
        if self._writer >= 0:
            os.close(self._writer)
            self._writer = -1
