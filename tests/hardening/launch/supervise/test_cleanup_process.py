"""The cleanup process: it cleans up when the launcher is killed, and only then."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

from hardening.launch.supervise.cleanup_process import CleanupProcess
from tests.support.patience import until


def launcher(place: Path, *, killed: bool) -> tuple[int, int]:
    """A process that starts a cleanup process, tells it something and is killed or dismisses it: its pid and the cleanup
    process's."""

    def clean(words: Iterator[str]) -> None:
        (place / "heard").write_bytes(os.fsencode("|".join(words)))

    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            cleanup = CleanupProcess(clean)
            cleanup.tell("one word")
            cleanup.tell("another\udcff")
            os.write(writer, f"{cleanup.pid}\n".encode())
            if killed:
                signal.pause()
            cleanup.dismiss()
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader) as said:
        return pid, int(said.readline())


def test_it_cleans_up_after_a_launcher_that_was_killed(tmp_path: Path) -> None:
    pid, cleanup = launcher(tmp_path, killed=True)
    until(lambda: {os.readlink(f"/proc/{cleanup}/fd/{number}") for number in (0, 1, 2)} == {"/dev/null"})
    assert os.getsid(cleanup) == cleanup
    assert os.readlink(f"/proc/{cleanup}/cwd") == "/"
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    until(lambda: (tmp_path / "heard").exists() and (tmp_path / "heard").read_bytes())
    assert (tmp_path / "heard").read_bytes() == b"one word|another\xff"


def test_it_does_nothing_when_it_is_dismissed(tmp_path: Path) -> None:
    pid, cleanup = launcher(tmp_path, killed=False)
    os.waitpid(pid, 0)
    assert not os.path.exists(f"/proc/{cleanup}")
    assert not (tmp_path / "heard").exists()
