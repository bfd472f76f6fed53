"""The user's terminal while a container has its own: raw mode, window size, relay of both directions."""

from __future__ import annotations

import fcntl
import termios

from hardening.base import files
from hardening.base.linux import abi
from hardening.base.linux.system import os, signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

END_OF_FILE = b"\x04"


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
        self._is_raw = False
        os.set_blocking(master, False)
        self.take()
        self.resize()

    def take(self) -> None:
        """Put the user's terminal into raw mode, if there is one and it is to be read.

        In the background it is another job's. This one stops then, as every job does, until the shell brings it to the
        foreground; where the shell lets it go on in the background it leaves the terminal alone.
        """
        if not self.wants_input or not os.isatty(0):
            return
        if not in_foreground():
            os.kill(0, signal.SIGTTOU)
            if not in_foreground():
                return
        try:
            if not self._is_raw:
                self._saved = termios.tcgetattr(0)
            self._make_raw(termios.tcgetattr(0))
            self._is_raw = True
        except termios.error:  # it has been hung up
            self.wants_input = False

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
        """Give the user's terminal back as it was, unless another job has it by now."""
        if self._is_raw and self._saved is not None and in_foreground():
            try:
                termios.tcsetattr(0, termios.TCSADRAIN, self._saved)
            except termios.error:  # it has been hung up
                self.wants_input = False
        self._is_raw = False

    def read_user(self) -> None:
        """Take what the user typed; the end of a piped input becomes the terminal's end-of-file character."""
        try:
            data = os.read(0, files.RELAYED)
        except OSError:
            data = b""
        if not data:
            self.restore()
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
            data = os.read(self.master, files.RELAYED)
        except OSError:  # EAGAIN, or EIO when the last process has closed the terminal
            return False
        if self._show is not None:
            self._show(1, data)
            return True
        files.relay(1, data)  # or nobody reads the output any more; the container goes on
        return True


def in_foreground() -> bool:
    """Whether this process may use the terminal on descriptor 0: job control gives it to one job at a time."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:  # not this session's terminal, which knows no job control then
        return True
