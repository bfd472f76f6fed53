"""Disks that are full, or have no more names: small file systems in memory."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.features import require


@contextmanager
def small_disk(folder: Path, options: str = "size=512k", *, parents: bool = False) -> Iterator[Path]:
    """A disk at ``folder``, which is made (tmpfs(5))."""
    require("root")
    folder.mkdir(parents=parents)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"{options},mode=0755", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Leave no room on a disk: the file that has it."""
    filler = disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(b"f" * 4096):
            pass
    return filler


def name_all(disk: Path) -> None:
    """Leave no more names on a disk."""
    folder = disk / "names"
    with suppress(OSError):
        folder.mkdir()
        for number in range(1 << 20):
            (folder / str(number)).touch()
