"""What a device is: its type and numbers, whatever its nodes are called."""

from __future__ import annotations

import os
import stat


def numbers(path: str) -> tuple[str, int, int] | None:
    """Type and numbers of the host's device at a path, links followed, as the OCI spec writes them; None for no device."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    kind = "c" if stat.S_ISCHR(found.st_mode) else "b" if stat.S_ISBLK(found.st_mode) else ""
    return (kind, os.major(found.st_rdev), os.minor(found.st_rdev)) if kind else None
