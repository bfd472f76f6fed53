"""Giving back memory that is not needed while nothing happens."""

from __future__ import annotations

from hardening.base import files
from hardening.base.linux import abi, kernel


def release() -> None:
    """Let go of the pages of program files that are only read: the kernel maps them again from the files when they are used.

    They are most of what a waiting interpreter holds. Where a mapping has no page of the process's own, such as one that the
    dynamic linker has relocated, nothing is lost (madvise(2), MADV_DONTNEED; proc_pid_smaps(5)). Where that cannot be, the
    memory stays.
    """
    place: list[str] | None = None
    try:
        for line in files.read("/proc/self/smaps").split("\n"):
            fields = line.split(None, 5)
            if fields and not fields[0].endswith(":"):
                is_file = len(fields) == 6 and fields[5].startswith("/") and fields[1] in ("r-xp", "r--p")
                place = fields[0].split("-") if is_file else None
            elif place and fields[:2] == ["Anonymous:", "0"]:
                start, end = (int(word, 16) for word in place)
                kernel.madvise(start, end - start, abi.MADV_DONTNEED)
    except OSError:
        return
