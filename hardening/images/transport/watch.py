"""An end to a request that a server never ends: no single wait is too long where it sends something now and then."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from threading import Condition, Thread
from types import TracebackType


class Watch:
    """While it is entered, the connections that it was shown are cut when the time is up, whoever waits on them."""

    def __init__(self, seconds: float) -> None:
        self.expired = False
        self._changed = Condition()
        self._end = time.monotonic() + seconds
        self._over = False
        self._sockets: list[socket.socket] = []
        self._thread = Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._over = True
            self._changed.notify()
        self._thread.join()  # who forks afterwards has one thread
        for connection in self._sockets:
            connection.close()

    def see(self, connection: socket.socket) -> None:
        """A connection that was made: a second descriptor of it stays ours, for TLS takes the first."""
        with self._changed:
            self._sockets.append(connection.dup())
            if self.expired:
                self._cut(connection)

    def until(self, end: float) -> None:
        """From now on the time is up at this moment of the monotonic clock."""
        with self._changed:
            sooner = end < self._end
            self._end = end
            if sooner:
                self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while not self._over:
                left = self._end - time.monotonic()
                if left > 0:
                    self._changed.wait(left)
                    continue
                self.expired = True
                for connection in self._sockets:
                    self._cut(connection)
                return

    @staticmethod
    def _cut(connection: socket.socket) -> None:
        with suppress(OSError):  # it is cut already
            connection.shutdown(socket.SHUT_RDWR)
