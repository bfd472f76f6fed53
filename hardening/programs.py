"""Programs that this one starts and waits for: each of them has an end, and so has what it has started itself."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO

from hardening.launch import abi, kernel

#: Seconds that a program may take: by itself, and where there is a terminal on which it may be asking somebody.
PATIENCE, ASKING = 60.0, 600.0


def terminal() -> str | None:
    """The path of the controlling terminal, on which somebody can be asked; None without one."""
    from hardening.launch.recording import terminal

    found = terminal()
    return None if found is None else f"/dev/{found}"


def start(
    argv: Sequence[str],
    *,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
    stderr: int | IO[bytes] = subprocess.DEVNULL,
    environment: Mapping[str, str] | None = None,
    asks: bool = False,
    private: bool = False,
    cpu: int = 0,
) -> subprocess.Popen[bytes]:
    """Start a program. One that ``asks`` stays where a terminal can be read, any other has a session of its own (setsid(2)):
    it has no terminal, and ends with all that it starts. One that is ``private`` leaves no core dump. One that has ``cpu``
    seconds of processor time is killed when they are used up, and when its parent ends. Raises `OSError`."""

    def prepare() -> None:
        if private:
            # A program that the kernel pipes core dumps to (core(5)) gets them whatever the limit, unless that is one byte.
            resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
        if cpu:
            resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))
            kernel.prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)

    return subprocess.Popen(
        argv,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=environment,
        start_new_session=not asks,
        preexec_fn=prepare if private or cpu else None,
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a program that has not been waited for, with its session where it has one, and close what was read of it."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            alone = os.getpgid(process.pid) == process.pid
            (os.killpg if alone else os.kill)(process.pid, signal.SIGKILL)
        process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
