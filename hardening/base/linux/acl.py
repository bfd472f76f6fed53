"""Lists of access control, which decide beside a file's mode (acl(5))."""

from __future__ import annotations

import posix

ATTRIBUTE = "system.posix_acl_access"


def has_list(path: str) -> bool:
    """Whether a file has such a list; one that cannot be looked at has none."""
    try:
        return ATTRIBUTE in posix.listxattr(path)
    except OSError:
        return False
