"""What the kernel says of a process that runs, whoever has started it: the report of a receipt, taken later.

Its filters can only be read while it stands still (ptrace(2), PTRACE_SECCOMP_GET_FILTER), which is for a moment, and only
where they are asked for.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from hardening.base import programs
from hardening.base.files import Opened
from hardening.base.linux import abi, ptrace
from hardening.base.values import frozen
from hardening.errors import EndedError, HardeningError, UsageError, quoted
from hardening.launch.config.bundle import Bundle
from hardening.launch.record.receipt import Report
from hardening.runs import containers, receipt

PODMAN, OWN = "podman", "hardening"
_STANDS = 2.0  # seconds until a process stands still, which one that waits for a disk may not


@frozen
class RunningProcess:
    """A container's process: ``engine`` is who runs it."""

    name: str
    engine: str
    pid: int


def launcher(document: Mapping[str, Any]) -> Report:
    """The caller in the place of the launcher of processes that are held against an OCI configuration, for `report`."""
    return Report(Bundle(directory="/bundle", document=dict(document), text=b"", sha256=""), None)


def report(pid: int, held: Report | None = None, *, filters: bool = False) -> dict[str, Any]:
    """What a receipt would have of a process (`hardening.runs.receipt`), the caller standing for its launcher. Where it is
    ``held`` against a configuration, its namespaces are entered for what is visible there; then, and with ``filters``, it
    stands still for a moment.

    Raises `EndedError` where there is no such process, or no longer, and `HardeningError` for one that the caller may not
    look at.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except (OSError, OverflowError):
        raise EndedError(f"there is no process {pid}", hint="`ps -e` lists processes") from None
    with Opened(descriptor):
        try:
            os.readlink(f"/proc/{pid}/ns/mnt")
        except FileNotFoundError:  # it waits for whoever started it to ask how it ended
            raise EndedError(f"process {pid} has ended", hint="`ps -e` lists processes") from None
        except OSError as error:
            raise HardeningError(
                f"process {pid} cannot be looked at: {error.strerror}", hint="ask as root, or as the user who runs it"
            ) from None
        with _standing(pid) if filters or held is not None else nullcontext():
            found = launcher({}).outside(pid) | {"observed": {}} if held is None else held.gather(pid)
        found["seccomp"]["digest"] = None  # nobody says what was loaded
        found["helpers"] = None  # nobody has seen it start
        if select.select([descriptor], [], [], 0)[0]:
            raise EndedError(f"process {pid} has ended", hint="ask again while it runs")
    return receipt.parsed(found)


@contextmanager
def _standing(pid: int) -> Iterator[None]:
    """Have a process stand still. Where it may not be traced, or somebody does that already, it goes on."""
    try:
        ptrace.request(abi.PTRACE_SEIZE, pid)
    except OSError:
        yield
        return
    passed = 0
    try:
        with suppress(OSError):
            ptrace.request(abi.PTRACE_INTERRUPT, pid)
            passed = _stopped(pid)
        yield
    finally:
        with suppress(OSError):  # it was killed
            ptrace.request(abi.PTRACE_DETACH, pid, passed)


def _stopped(pid: int) -> int:
    """Wait for a tracee to stop: the signal that it was about to get, which it is given as it goes on; else 0."""
    end = time.monotonic() + _STANDS
    while time.monotonic() < end:
        waited, status = os.waitpid(pid, os.WNOHANG | abi.__WALL)
        if waited:
            return os.WSTOPSIG(status) if os.WIFSTOPPED(status) and status >> 16 != abi.PTRACE_EVENT_STOP else 0
        time.sleep(0.0005)
    return 0


def running() -> tuple[list[RunningProcess], list[HardeningError]]:
    """The caller's containers and podman's, and why those of podman are not known."""
    try:
        return [*own(), *of_podman()], []
    except HardeningError as error:
        return own(), [error]


def own() -> list[RunningProcess]:
    """The caller's containers whose command runs."""
    return [
        RunningProcess(item.name or item.id, OWN, item.process.pid)
        for item in containers.own()
        if item.status == containers.RUNNING and item.process is not None
    ]


def of_podman() -> list[RunningProcess]:
    """The containers that podman runs for the caller; none where it is not installed. Raises `HardeningError`."""
    if programs.find(PODMAN) is None:
        return []
    listed = _asked("ps", "--format", "json")
    return [RunningProcess(str((item["Names"] or [item["Id"]])[0]), PODMAN, int(item["Pid"])) for item in listed]


def of_podman_named(name: str) -> RunningProcess:
    """A container of podman's that runs. Raises `EndedError` for one that does not, and `HardeningError`."""
    if programs.find(PODMAN) is None:
        raise UsageError("podman is not installed", origin="--podman", hint="--pid N names a process of any engine")
    pid = int(_asked("container", "inspect", "--", name)[0]["State"]["Pid"])
    if not pid:
        raise EndedError(f"{name} does not run", origin="--podman", hint=f"podman start {quoted(name)}")
    return RunningProcess(name, PODMAN, pid)


def _asked(*words: str) -> list[dict[str, Any]]:
    """What podman answers in JSON."""
    try:
        done = programs.run([PODMAN, *words], b"", programs.PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HardeningError(f"the host's podman cannot be asked: {error}", hint="try `podman ps`") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it failed"]
        raise UsageError(f"the host's podman says: {said[-1]}", hint="`podman ps` lists its containers")
    try:
        answer: list[dict[str, Any]] = json.loads(done.stdout or b"[]")
    except ValueError:
        raise HardeningError("podman does not answer in JSON", hint="try `podman ps --format json`") from None
    return answer
