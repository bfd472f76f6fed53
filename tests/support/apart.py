"""The tests look at what is theirs: root's run in a mount namespace of their own; a run has a folder."""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from hardening.base.linux import abi, kernel

#: The variable that names `folder` to processes that a test or xdist starts.
_FOLDER = "HARDENING_TESTS_FOLDER"


def enter() -> None:
    """Leave the mounts of the host to the others.

    What somebody else mounts meanwhile does not appear here, and nobody else's container takes a mount of the tests with
    it. An ordinary user mounts nothing that others see.
    """
    if os.geteuid() == 0:
        kernel.unshare(abi.CLONE_NEWNS)
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)


def folder() -> Path:
    """A folder that everybody can read, the same in every process that this run of the tests starts; the first makes it, and
    it goes with that one."""
    if _FOLDER not in os.environ:
        made = Path(tempfile.mkdtemp(prefix="hardening-test-", dir="/var/tmp"))
        made.chmod(0o755)
        atexit.register(_remove, made, os.getpid())
        os.environ[_FOLDER] = str(made)
    return Path(os.environ[_FOLDER])


def _remove(made: Path, maker: int) -> None:
    if os.getpid() == maker:
        shutil.rmtree(made, ignore_errors=True)


def once(name: str, make: Callable[[Path], None]) -> Path:
    """A place in `folder` that the first process to ask for it makes, while the others wait."""
    place, done = folder() / name, folder() / f"{name}.done"
    with (folder() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            make(place)
            done.touch()
    return place


def groups(name: str) -> list[Path]:
    """The control groups of a name in every hierarchy, deepest first. Others' groups may come and go meanwhile."""
    return sorted((Path(path) for path, _, _ in os.walk("/sys/fs/cgroup") if path.endswith(f"/{name}")), reverse=True)
