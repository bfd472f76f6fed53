"""The check of the caller's that says whether a command has succeeded, asked beside its run."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import Self

#: Seconds that one check may take, and that it is waited for where its answer is not needed now.
PATIENCE = 30.0
_GLANCE = 0.05
#: Seconds that a check may take for the rest, whose command has ended: what asks a server that is gone ends by itself, too.
_REST = 2.0


class Until:
    """A command of the host's shell, asked again and again, and never waited for: a client of a server that does not answer
    would hold up all else that ends a run. What it has started goes with it."""

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

    def at_last(self, pid: int, seconds: float) -> bool:
        """Whether it says so once more, where it is given so many seconds: the command has ended, and may have been ended by
        the check that is asked now, whose answer counts."""
        if self._process is not None and self._answers(_REST):
            return True
        self._close()
        self._start(pid)
        return self._answers(seconds)

    def _start(self, pid: int) -> None:
        self._end = monotonic() + PATIENCE
        self._process = subprocess.Popen(  # noqa: S602 - it is the caller's, who typed it
            self._command, shell=True, env={**os.environ, "HARDENING_PID": str(pid or "")}, process_group=0,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def _answers(self, seconds: float) -> bool:
        process = self._process
        if process is None:
            return False
        with suppress(subprocess.TimeoutExpired):
            code = process.wait(seconds)
            self._process = None
            return code == 0
        if monotonic() > self._end:
            self._close()
        return False

    def _close(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):  # it has ended this moment
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
