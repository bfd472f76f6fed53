"""The socket between the launcher and the process that becomes the command.

Each message is one packet: a word and text fields, NUL between them, and descriptors beside it. Both ends are
close-on-exec, so a successful execve(2) shows as the end of the stream.
"""

from __future__ import annotations

from hardening.base.linux import abi, kernel
from hardening.base.linux.system import os
from hardening.errors import EXIT_LAUNCHER, LaunchError

MAX_MESSAGE = 16384
MAX_DESCRIPTORS = 1
MAX_TEXT = 1200  # characters of an error's parts: three of them fit into one message


class Channel:
    """One end of the socket."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        """The descriptor, for poll(2); -1 when this end is closed."""
        return self._fd

    def close(self) -> None:
        """Close this end."""
        os.close(self._fd)
        self._fd = -1

    def send(self, word: str, *fields: str, fd: int | None = None) -> None:
        """Send one message."""
        text = "\0".join((word, *(field.replace("\0", "") for field in fields)))
        data = text.encode("utf-8", "surrogateescape")[:MAX_MESSAGE]
        kernel.sendmsg(self._fd, data, () if fd is None else (fd,))

    def receive(self) -> tuple[list[str], int | None]:
        """The next message and its descriptor; an empty list when the other end is closed."""
        try:
            data, rights = kernel.recvmsg(self._fd, MAX_MESSAGE, MAX_DESCRIPTORS)
        except ConnectionResetError:
            # Once, and before what the other end has sent: it was closed with a message unread. What it sent may say why.
            data, rights = kernel.recvmsg(self._fd, MAX_MESSAGE, MAX_DESCRIPTORS)
        text = data.decode("utf-8", "surrogateescape")
        return (text.split("\0") if data else []), (rights[0] if rights else None)

    def expect(self, word: str) -> list[str]:
        """Wait for one message: its fields. Ends this process when the other end is gone: without it nothing may run."""
        try:
            message, _ = self.receive()
        except ConnectionError:
            message = []
        if message[:1] != [word]:
            os._exit(1)
        return message[1:]

    def send_bytes(self, data: bytes) -> None:
        """Send what is larger than a message; the other end knows how much it is."""
        for at in range(0, len(data), MAX_MESSAGE):
            kernel.sendmsg(self._fd, data[at : at + MAX_MESSAGE])

    def receive_bytes(self, size: int) -> bytes:
        """What `send_bytes` sends. Ends this process when the other end is gone."""
        data = b""
        while len(data) < size:
            part, _ = kernel.recvmsg(self._fd, MAX_MESSAGE, 0)
            if not part:
                os._exit(1)
            data += part
        return data

    def is_open(self) -> bool:
        """Whether the other end still exists, asked with a read(2) that does not wait."""
        os.set_blocking(self._fd, False)
        try:
            return bool(os.read(self._fd, 1))
        except BlockingIOError:
            return True
        except OSError:
            return False


def pair() -> tuple[Channel, Channel]:
    """The two ends."""
    one, other = kernel.socketpair(abi.SOCK_SEQPACKET)
    return Channel(one), Channel(other)


def report(channel: Channel, error: LaunchError) -> None:
    """Tell the launcher why this process ends. When even that fails, the closed channel must do."""
    try:
        texts = (error.message, str(error.origin) if error.origin is not None else "", error.hint or "")
        channel.send("fail", str(error.exit_code), *(text[:MAX_TEXT] for text in texts))
    except OSError:
        os._exit(EXIT_LAUNCHER)


def from_message(fields: list[str]) -> LaunchError:
    """The error that `report` sent."""
    code, message, origin, hint = fields
    return LaunchError(message, origin=origin or None, hint=hint or None, exit_code=int(code))
