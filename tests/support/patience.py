"""Waiting for what comes by itself: until it is there, never for a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

#: Seconds after which what has not come is taken never to come. No limit on anybody's speed: on a loaded machine a
#: launch can take many times what it takes on a quiet one.
PATIENCE = 60.0

Found = TypeVar("Found")


def until(found: Callable[[], Found], shown: Callable[[], object] = str) -> Found:
    """What ``found`` gives once that is true; ``shown`` is what an `AssertionError` tells where it never is."""
    end = time.monotonic() + PATIENCE
    while not (result := found()):
        assert time.monotonic() < end, f"it does not come: {shown()}"
        time.sleep(0.02)
    return result


def state(pid: int) -> str:
    """The state of a process as proc_pid_stat(5) has it, '' for one that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def is_over(pid: int) -> bool:
    """Whether a process has ended; the first process of some hosts takes its time to reap it."""
    return state(pid) in ("", "X", "Z")
