"""What a device is: its type and numbers, whatever its nodes are called."""

from __future__ import annotations

import os
import re
import stat

#: Of these everybody who opens them has something of their own, which goes with the descriptor.
_OWN = re.compile(r"/dev/(fuse|kvm|net/tun|userfaultfd|udmabuf|vsock|vhost-net|vhost-vsock|hwrng|dri/renderD\d+)")


def numbers(path: str) -> tuple[str, int, int] | None:
    """Type and numbers of the host's device at a path, links followed, as the OCI spec writes them; None for no device."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    kind = "c" if stat.S_ISCHR(found.st_mode) else "b" if stat.S_ISBLK(found.st_mode) else ""
    return (kind, os.major(found.st_rdev), os.minor(found.st_rdev)) if kind else None


def is_shared(path: str) -> bool:
    """Whether what somebody does to a device of the host's stays there: it is a disk, a clock, a terminal, the log."""
    return _OWN.fullmatch(path) is None
