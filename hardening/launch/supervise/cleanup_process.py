"""The cleanup process: a child of the launcher that cleans up after it when it is killed with SIGKILL.

It is in a session of its own, with every signal blocked as in the launcher, so that what ends the launcher's process group
does not reach it. It shares the launcher's locks (flock(2)): what the launch holds stays held until the cleanup process has
cleaned up.
"""

from __future__ import annotations

import select

from hardening.base import files
from hardening.base.linux import kernel
from hardening.base.linux.failure import Step
from hardening.base.linux.system import os, signal
from hardening.launch.supervise import REST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ALL = 1 << 30  # more than there can be descriptors


class CleanupProcess:
    """A running cleanup process, seen from the launcher.

    Whatever the launcher forks holds the pipe open until it executes or ends; so the cleanup process finds everything still.
    """

    def __init__(
        self, clean: Callable[[Iterator[str]], None], *, late: bool = False, without: Sequence[int] = ()
    ) -> None:
        """Start it. ``clean`` gets what `tell` is called with, as it comes; the end of it is the end of the launcher. A
        ``late`` one, which is started while a command runs, keeps none of its pipes open and no lock; none keeps the
        descriptors ``without``. `LaunchError`."""
        reader, self._writer = os.pipe()
        with Step("start a process"):
            self.pid = kernel.clone(0)
        if self.pid == 0:
            try:
                os.close(self._writer)
                for fd in without:
                    os.close(fd)
                if late:
                    os.closerange(3, reader)
                    os.closerange(reader + 1, ALL)
                _stand_by()
                clean(_listen(reader))
            finally:
                os._exit(0)
        os.close(reader)

    def tell(self, word: str) -> None:
        """Say something that has to be known should the launcher be killed from now on."""
        os.write(self._writer, files.encode(word) + b"\0")

    def dismiss(self) -> None:
        """End it: there is nothing to clean up any more."""
        try:
            if os.waitpid(self.pid, os.WNOHANG)[0] == 0:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
        except ChildProcessError:  # it was ended and reaped among the orphans, and its number may be another's by now
            pass
        os.close(self._writer)


def _stand_by() -> None:
    """Keep nothing of the caller's: neither terminal nor pipes nor the file system of the working directory."""
    os.setsid()
    os.chdir("/")
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    for number in (0, 1, 2):
        os.dup2(null, number)


def _listen(reader: int) -> Iterator[str]:
    """What the launcher says until its end. A last word that was cut off was of no consequence yet."""
    heard = b""
    quiet = select.poll()
    quiet.register(reader, select.POLLIN)
    rested = False
    while True:
        if not rested and not quiet.poll(REST):
            from hardening.base.linux import memory

            memory.release()
            rested = True
        if not (part := os.read(reader, 4096)):
            return
        *words, heard = (heard + part).split(b"\0")
        for word in words:
            yield files.decode(word)
