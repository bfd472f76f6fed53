"""The check of the caller's that says whether a command has succeeded, asked beside its run."""

from __future__ import annotations

import os
import signal
import subprocess
from time import monotonic
from types import TracebackType
from typing import Self

from hardening.base.linux.children import ends

#: Seconds that one check may take, and that it is waited for where its answer is not needed now.
_PATIENCE = 30.0
_GLANCE = 0.05
#: Seconds that a check may take for the rest, whose command has ended: what asks a server that is gone ends by itself, too.
_REST = 2.0


class Until:
    """A command of the host's shell, asked again and again, and never waited for: a client of a server that does not answer
    would hold up all else that ends a run. What it has started goes with it, however it ends."""

    def __init__(self, command: str) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._end = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def __call__(self, pid: int) -> bool:
        """Whether it says by now that the command with this pid, 0 before there is one, has succeeded."""
        if self._process is None:
            self._start(pid)
        return self._answers(_GLANCE)

    def at_last(self, pid: int, seconds: float = _PATIENCE) -> bool:
        """Whether it says so once more, where it is given so many seconds: the command has ended, and may have been ended by
        the check that is asked now, whose answer counts."""
        if self._process is not None and self._answers(_REST):
            return True
        self._close()
        self._start(pid)
        return self._answers(seconds)

    def _start(self, pid: int) -> None:
        self._end = monotonic() + _PATIENCE
        self._process = subprocess.Popen(  # noqa: S602 - it is the caller's, who typed it
            self._command, shell=True, env={**os.environ, "HARDENING_PID": str(pid or "")}, process_group=0,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def _answers(self, seconds: float) -> bool:
        if self._process is None:
            return False
        has_ended = ends(self._process.pid, seconds)  # not reaped yet: no other group can have its number
        return (has_ended or monotonic() > self._end) and self._close() == 0

    def _close(self) -> int | None:
        """End it with what it has started: its exit code, None where it goes on, as it may as another user's (sudo(8))."""
        process, self._process = self._process, None
        if process is None:
            return None
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except PermissionError:
            return process.poll()
        return process.wait()
