"""Processes of a function's own: one that answers, and one that only keeps namespaces."""

from __future__ import annotations

from hardening.base import files
from hardening.base.linux import kernel
from hardening.base.linux.signals import signal
from hardening.base.linux.system import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def ask(work: Callable[[int], object]) -> tuple[bytes, int]:
    """Do ``work`` in a process of its own, which writes its answer to a descriptor: the answer, and the exit code, -n for
    signal n, 1 where it raises. Raises `OSError` where no process can be made."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reader)
            work(writer)
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    try:
        answer = files.read_all(reader)
    finally:
        os.close(reader)
        status = os.waitpid(child, 0)[1]
    return answer, os.waitstatus_to_exitcode(status)


class Holder:
    """A process that keeps new namespaces (``CLONE_NEW*``) until the end of a ``with`` block, which gets its pid."""

    def __init__(self, flags: int) -> None:
        """Start it. Raises `OSError`."""
        reader, self._writer = os.pipe()
        self._pid = kernel.clone(flags)
        if self._pid == 0:
            os.close(self._writer)
            os.read(reader, 1)  # the end of who started it
            os._exit(0)
        os.close(reader)

    def __enter__(self) -> int:
        return self._pid

    def __exit__(self, *_: object) -> None:
        os.close(self._writer)
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
