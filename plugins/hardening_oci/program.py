"""Finding an OCI runtime and asking for its version."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from hardening.base.places import OF_RUNTIMES
from hardening.mechanism.inputs import Input
from hardening.mechanism.inputs import program as inspected

_PATIENCE = 10.0  # seconds


def find(name: str) -> Path | None:
    """The absolute path of a runtime, or None."""
    from hardening.base import programs  # no native launch needs it

    found = programs.find(name, ":".join(OF_RUNTIMES))
    return Path(found) if found is not None else None


def inputs(name: str) -> Iterator[Input]:
    """Which program has this name, and that it is the same."""
    for directory in OF_RUNTIMES:
        yield from inspected(os.path.join(directory, name))


def version(program: Path) -> str | None:
    """The version that a runtime reports (`crun version 1.21` in its first line), or None when it does not run."""
    from subprocess import TimeoutExpired  # no native launch needs it

    from hardening.base import programs

    try:
        done = programs.run([str(program), "--version"], b"", _PATIENCE, env=programs.BARE)
    except (OSError, TimeoutExpired):
        return None
    words = done.stdout.decode("utf-8", "backslashreplace").split("\n", 1)[0].split()
    return words[-1] if done.returncode == 0 and words else None


def numbers(text: str) -> tuple[int, ...]:
    """The leading numbers of a version: `1.1.15+ds1` -> (1, 1, 15)."""
    parts = []
    for part in text.split("+")[0].split("-")[0].split("."):
        if not part.isdecimal():
            break
        parts.append(int(part))
    return tuple(parts)
