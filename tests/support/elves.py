"""Programs and libraries that are compiled for a test, and the numbers of this machine's system calls."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path


def compiled(place: Path, source: str, *flags: str, name: str = "program") -> Path:
    """What gcc makes of a source in C."""
    path = place / name
    path.parent.mkdir(parents=True, exist_ok=True)
    command = ["gcc", "-O2", "-x", "c", "-", "-o", str(path), *flags]
    subprocess.run(command, input=source, text=True, check=True, capture_output=True)
    return path


@cache
def numbers() -> dict[str, int]:
    """The numbers of system calls, by name, as the C library's headers have them."""
    command = ["gcc", "-E", "-dM", "-include", "asm/unistd.h", "-x", "c", "/dev/null"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)\n", text)}


def names(found: object) -> set[str]:
    """The names of numbers of system calls."""
    assert isinstance(found, dict)
    known = {number: name for name, number in numbers().items()}
    return {known.get(number, str(number)) for number in found}
