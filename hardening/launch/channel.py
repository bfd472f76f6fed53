"""The socket between the launch stage and the process that becomes the command.

Each message is one packet: a word and text fields, NUL between them, at most one descriptor beside it. Both ends are
close-on-exec, so a successful execve(2) shows as the end of the stream.
"""

from __future__ import annotations

import _socket

from hardening.launch.system import os

MAX_MESSAGE = 65536


class Channel:
    """One end of the socket."""

    def __init__(self, sock: _socket.socket) -> None:
        self._socket = sock

    def fileno(self) -> int:
        """The descriptor, for poll(2)."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close this end."""
        self._socket.close()

    def send(self, word: str, *fields: str, fd: int | None = None) -> None:
        """Send one message."""
        text = "\0".join((word, *(field.replace("\0", "") for field in fields)))
        data = text.encode("utf-8", "surrogateescape")[:MAX_MESSAGE]
        rights = []
        if fd is not None:
            rights.append((_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fd.to_bytes(4, "little")))
        self._socket.sendmsg([data], rights, _socket.MSG_NOSIGNAL)

    def receive(self) -> tuple[list[str], int | None]:
        """The next message and its descriptor; an empty list when the other end is closed."""
        data, rights, _, _ = self._socket.recvmsg(MAX_MESSAGE, _socket.CMSG_SPACE(4), _socket.MSG_CMSG_CLOEXEC)
        fd = int.from_bytes(rights[0][2][:4], "little") if rights else None
        return (data.decode("utf-8", "surrogateescape").split("\0") if data else []), fd

    def expect(self, word: str) -> None:
        """Wait for one word. Ends this process when the other end is gone: without it nothing may run."""
        try:
            message, _ = self.receive()
        except ConnectionError:
            message = []
        if message != [word]:
            os._exit(1)

    def is_open(self) -> bool:
        """Whether the other end still exists, asked with a read(2) that does not wait."""
        os.set_blocking(self.fileno(), False)
        try:
            return bool(os.read(self.fileno(), 1))
        except BlockingIOError:
            return True
        except OSError:
            return False


def pair() -> tuple[Channel, Channel]:
    """The two ends."""
    kind = _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC
    one, other = _socket.socketpair(_socket.AF_UNIX, kind)
    return Channel(one), Channel(other)
