"""What waits while the command runs: the proportional set size of every process but the command itself."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from hardening.base.linux import abi, kernel
from tests.bench.contenders import BenchError, Contender
from tests.support.users import User

SETTLE = 0.3  # seconds for a launcher to give back what it needs no more
PATIENCE = 60.0  # seconds for the command to appear


def waiting(contender: Contender, command: Sequence[str], errors: Path, user: User | None = None) -> float:
    """Megabytes of all that waits for ``command``, which runs until it is killed. Needs to become the reaper of what
    launchers leave to process 1, and to read other people's memory maps: root. Raises `BenchError`."""
    kernel.prctl(abi.PR_SET_CHILD_SUBREAPER, 1)
    one = contender if user is None else attrs.evolve(contender, argv=tuple(user.argv(contender.argv)))
    process = one.start(errors)
    target = find(command, os.getpid())
    try:
        if target is None:
            process.kill()
            raise BenchError(f"{contender.name} does not start: {errors.read_text().strip()[-500:]}")
        time.sleep(SETTLE)
        return sum(_pss(pid) for pid in descendants(os.getpid()) if pid != target) / 1e3
    finally:
        if target is not None:
            os.kill(target, signal.SIGKILL)
        process.wait()
        _reap()


def find(command: Sequence[str], ancestor: int) -> int | None:
    """The process below ``ancestor`` that runs ``command``, once it is there; None if it does not come."""
    wanted = "".join(f"{word}\0" for word in command).encode()
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for pid in descendants(ancestor):
            if _read(pid, "cmdline") == wanted:
                return pid
        time.sleep(0.02)
    return None


def descendants(pid: int) -> Iterator[int]:
    """The processes below one, in every namespace."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in _words(children):
            yield int(child)
            yield from descendants(int(child))


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _pss(pid: int) -> int:
    """Kilobytes (proc_pid_smaps(5))."""
    for line in _read(pid, "smaps_rollup").decode().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def _reap() -> None:
    """Wait until nothing is left of a launcher."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.02)
        except ChildProcessError:
            return
    raise BenchError("a launcher leaves processes behind: " + " ".join(map(str, descendants(os.getpid()))))
