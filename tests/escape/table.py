"""Every attempt of the suite, and the table of the last run."""

from __future__ import annotations

from tests.escape.attempt import Attempt
from tests.escape.attempts import calls, files, launcher, processes

ATTEMPTS: tuple[Attempt, ...] = (*calls.ATTEMPTS, *files.ATTEMPTS, *processes.ATTEMPTS, *launcher.ATTEMPTS)
