"""The user's terminal while a container has its own: raw mode, window size, relay of both directions."""

from __future__ import annotations

import fcntl
import termios

from hardening.launch import abi
from hardening.launch.system import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

END_OF_FILE = b"\x04"
CHUNK = 65536


class Relay:
    """Copies between the user's side (descriptors 0 and 1) and the master of the container's terminal.

    With ``show``, output goes there (the number 1, and bytes) and not to descriptor 1.
    """

    def __init__(self, master: int, *, with_input: bool, show: Callable[[int, bytes], None] | None = None) -> None:
        self.master = master
        self.wants_input = with_input
        self._show = show
        self._pending = b""
        self._saved: list[Any] | None = None
        os.set_blocking(master, False)
        if with_input and os.isatty(0):
            self._saved = termios.tcgetattr(0)
            self._make_raw(termios.tcgetattr(0))
        self.resize()

    @staticmethod
    def _make_raw(mode: list[Any]) -> None:
        """cfmakeraw(3)."""
        mode[0] &= ~(
            termios.IGNBRK
            | termios.BRKINT
            | termios.PARMRK
            | termios.ISTRIP
            | termios.INLCR
            | termios.IGNCR
            | termios.ICRNL
            | termios.IXON
        )
        mode[1] &= ~termios.OPOST
        mode[2] = mode[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        mode[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
        mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
        termios.tcsetattr(0, termios.TCSADRAIN, mode)

    def resize(self) -> None:
        """Give the container's terminal the size of the user's, if the user has one."""
        for fd in (1, 0):
            if os.isatty(fd):
                fcntl.ioctl(self.master, abi.TIOCSWINSZ, fcntl.ioctl(fd, abi.TIOCGWINSZ, bytes(8)))
                return

    def restore(self) -> None:
        """Give the user's terminal back as it was."""
        if self._saved is not None:
            termios.tcsetattr(0, termios.TCSADRAIN, self._saved)
            self._saved = None

    def read_user(self) -> None:
        """Take what the user typed; the end of a piped input becomes the terminal's end-of-file character."""
        try:
            data = os.read(0, CHUNK)
        except OSError:
            data = b""
        if not data:
            self.wants_input = False
            data = END_OF_FILE
        self._pending += data
        self.flush()

    def flush(self) -> bool:
        """Write what is pending; whether all went."""
        try:
            while self._pending:
                self._pending = self._pending[os.write(self.master, self._pending) :]
        except BlockingIOError:
            return False
        except OSError:  # EIO: the container's side is closed
            self._pending = b""
        return True

    @property
    def is_full(self) -> bool:
        """Whether the container has to read before more input is taken."""
        return bool(self._pending)

    def read_container(self) -> bool:
        """Show one piece of the container's output; False when there is no more for now, or for ever."""
        try:
            data = os.read(self.master, CHUNK)
        except OSError:  # EAGAIN, or EIO when the last process has closed the terminal
            return False
        if self._show is not None:
            self._show(1, data)
            return True
        while data:
            try:
                data = data[os.write(1, data) :]
            except BlockingIOError:
                continue
            except OSError:  # nobody reads the output any more; the container goes on
                return True
        return True
