"""The tests look at what is theirs: root's run in a mount namespace of their own; a run has a folder. What it makes goes
with it, however it ends."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from hardening.base.linux import abi, kernel

#: The variable that names `folder` to processes that a test or xdist starts.
_FOLDER = "HARDENING_TESTS_FOLDER"
#: What lists, in `folder`, the other folders of the run.
_MADE = "made"
#: How many seconds those who run tests have to end by themselves, once the run was killed: xdist's processes take 15.
_GRACE = 30.0


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
        os.environ[_FOLDER] = str(made)
        _clear_afterwards(made)
    return Path(os.environ[_FOLDER])


def directory(prefix: str, place: str) -> Path:
    """A new folder of this run's, which whoever asks for it removes; where the run is killed, it goes all the same."""
    made = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
    with (folder() / _MADE).open("a") as listed:
        listed.write(f"{made}\n")
    return made


def _clear_afterwards(made: Path) -> None:
    """Have a process wait for the end of this one, which may be killed, and then end what it has left running, as an agent
    of GnuPG, and remove its folders, of which the others stand in this one."""
    group = os.getpgrp()
    reader, writer = os.pipe()
    if os.fork():
        os.close(reader)  # the other end stays open as long as this process is there
        return
    os.close(writer)
    os.setsid()
    with open(os.devnull, "r+b") as null:
        for number in range(3):
            os.dup2(null.fileno(), number)
    os.read(reader, 1)
    _wait(lambda: not any(_group(pid) == group for pid in _left([made])), _GRACE)
    listed = made / _MADE
    others = map(Path, listed.read_text().splitlines() if listed.exists() else ())
    folders = [made, *(path for path in others if path.exists())]
    for number in (signal.SIGTERM, signal.SIGKILL):  # a launch that may tidies up behind itself
        for pid in _left(folders):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        _wait(lambda: not any(_left(folders)), 5)
    for path in folders:
        shutil.rmtree(path, ignore_errors=True)
    os._exit(0)


def _wait(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)


def _group(pid: int) -> int:
    """The process group of a process, as of those who run tests; 0 for one that has ended."""
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def _left(folders: Sequence[Path]) -> Iterator[int]:
    """Other processes that have one of these folders in their environment or on their command line."""
    names = [os.fsencode(path.name) for path in folders]
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is somebody else's
            words = (place / "environ").read_bytes() + (place / "cmdline").read_bytes()
            if int(place.name) != os.getpid() and any(name in words for name in names):
                yield int(place.name)


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
