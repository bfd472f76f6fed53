"""What execve(2) takes from a file itself: the interpreter of a script, and capabilities."""

from __future__ import annotations

from hardening.base.frozen import Frozen

ATTRIBUTE = "security.capability"
#: As many bytes of a script as the kernel reads for its interpreter, and as many interpreters as it follows.
FIRST_LINE = 256
INTERPRETERS = 5
#: struct vfs_cap_data: the length of each revision.
_LENGTHS = {1: 12, 2: 20, 3: 24}


class LentCapabilities(Frozen):
    """The capabilities of a file (capabilities(7)): two sets as masks, and whether a program starts with what it gets in
    effect. They count for user namespaces whose root is ``owner``, an id as the reader sees it, and for those below."""

    permitted: int
    inheritable: int
    effective: bool
    owner: int = 0


def capabilities(value: bytes) -> LentCapabilities | None:
    """What `ATTRIBUTE` says; None for what is no such value. Source: struct vfs_cap_data of linux/capability.h."""
    words = [int.from_bytes(value[start : start + 4], "little") for start in range(0, len(value), 4)]
    if not words or len(value) != _LENGTHS.get(words[0] >> 24):
        return None
    magic, permitted, inheritable, *upper = words
    if upper:
        permitted, inheritable = permitted | upper[0] << 32, inheritable | upper[1] << 32
    return LentCapabilities(
        permitted=permitted, inheritable=inheritable, effective=bool(magic & 1), owner=upper[2] if upper[2:] else 0
    )


def interpreter_line(first: bytes) -> list[bytes]:
    """The words of the `#!` line that a file begins with, of which the first is its interpreter; none of what has no such
    line."""
    return first[2:].split(b"\n", 1)[0].split() if first.startswith(b"#!") else []
