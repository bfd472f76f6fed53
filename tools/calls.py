#!/usr/bin/env python3
"""Write `hardening/trace/calls.txt` anew: the numbers of system calls, from libseccomp's tables."""

from __future__ import annotations

from collections.abc import Iterator

from hardening.trace.calls import ARCHITECTURES, FILE, HEADER
from hardening_seccomp.libseccomp import Libseccomp


def text() -> str:
    """What the file has to say with this machine's libseccomp."""
    library = Libseccomp.load()
    tables = [{**library.names(token), **dict(_private(library, token))} for token in ARCHITECTURES]
    names = sorted({name for table in tables for name in table})
    lines = [" ".join((name, *(str(table.get(name, "-")) for table in tables))) for name in names]
    return "\n".join((HEADER, *lines, ""))


def _private(library: Libseccomp, token: int) -> Iterator[tuple[str, int]]:
    """What 32-bit arm has of its own, far above all others (asm/unistd.h)."""
    for number in range(0xF0001, 0xF0010):
        name = library.name(token, number)
        if name is not None:
            yield name, number


if __name__ == "__main__":
    FILE.write_text(text())
