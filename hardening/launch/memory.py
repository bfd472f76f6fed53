"""Giving back memory that is not needed while nothing happens."""

from __future__ import annotations

from hardening.launch import abi, files, kernel

#: Milliseconds without an event after which a waiting process gives memory back.
REST = 100


def release() -> None:
    """Let go of the pages of program code, which the kernel maps again from the files when they are executed.

    They are most of what a waiting interpreter holds. Only code: it is never written, so nothing is lost (madvise(2),
    MADV_DONTNEED). Where that cannot be, the memory stays.
    """
    try:
        for line in files.read("/proc/self/maps").split("\n"):
            fields = line.split(None, 5)
            if len(fields) == 6 and fields[1] == "r-xp" and fields[5].startswith("/"):
                start, _, end = fields[0].partition("-")
                kernel.madvise(int(start, 16), int(end, 16) - int(start, 16), abi.MADV_DONTNEED)
    except OSError:
        return
