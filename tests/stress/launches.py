"""The launches that are put under stress: who launches, with which runtime, and what the command says of its confinement."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import attrs

from hardening_selinux import mcs
from tests.stress import arena
from tests.support import leases, runs
from tests.support.features import available
from tests.support.users import User, ordinary, program

#: Says what the kernel says of it, each in one write(2), and then stays for as long as it may.
COMMAND = ("sh", "-c", "cat /proc/self/status && cat /proc/self/mounts && echo complete && exec sleep 60")
SHORT = ("sh", "-c", "cat /proc/self/status && cat /proc/self/mounts && echo complete")
#: What root, who can make control groups everywhere, asks for besides.
CEILINGS = ("--set", "process.resources.pids=64", "--set", "process.resources.memory=256M")


@attrs.frozen
class Subject:
    """One who launches (``user`` None: root), under a runtime, in a folder of the subject's own."""

    name: str
    user: User | None
    runtime: str
    folder: Path

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.folder / "state"

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where files could stay."""
        return (self.folder, *(arena.EMPTY if os.geteuid() == 0 else ()))

    @property
    def environment(self) -> Mapping[str, str]:
        """A login's, with everything that a launch could write to in the folder."""
        own = self.user.environment if self.user is not None else {"PATH": os.environ["PATH"], "HOME": "/root"}
        places = {
            "XDG_RUNTIME_DIR": self.folder / "runtime",
            "TMPDIR": self.folder / "tmp",
            "HARDENING_STATE": self.state,
        }
        return {**own, "LANG": "C.UTF-8", **{name: str(path) for name, path in places.items()}}

    def run_argv(self, command: Sequence[str] = COMMAND, *options: str) -> list[str]:
        """``hardening run`` under the strict profile."""
        return [self._program, "run", "-q", "--runtime", self.runtime, "-p", "strict", *self._ceilings, *options, "--",
                *command]  # fmt: skip

    def as_user(self, argv: Sequence[str]) -> list[str]:
        """The same as the user."""
        return self.user.argv(argv) if self.user is not None else list(argv)

    def start(self, argv: Sequence[str], *, under: Sequence[str] = ()) -> subprocess.Popen[str]:
        """Start a command line in a process group of its own; its output is kept in pipes. ``under`` is a program that
        starts it as the user by itself."""
        return subprocess.Popen(
            [*under, *argv] if under else self.as_user(argv),
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )

    def finish(self, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a command line to its end."""
        process = self.start(argv)
        output, errors = process.communicate(timeout=120)
        return subprocess.CompletedProcess(list(argv), process.returncode, output, errors)

    def sweep(self) -> None:
        """The next launches, which take over what is left: one that composes, and one of each command line."""
        self.finish(self.run_argv(("true",), "-e", f"SWEEP={secrets.token_hex(4)}"))
        self.finish(self.run_argv(SHORT))
        with self.start(self.run_argv()) as process:
            assert process.stdout is not None
            while (line := process.stdout.readline()) not in ("complete\n", ""):
                pass
            process.terminate()
            assert line, f"it did not run: {process.communicate()}"

    @cached_property
    def _program(self) -> str:
        return program(self.user) if self.user is not None else str(Path(sys.executable).parent / "hardening")

    @cached_property
    def _ceilings(self) -> tuple[str, ...]:
        # crun reaches the controllers of version 2 only.
        possible = available("cgroup2-controllers" if self.runtime == "crun" else "cgroups")
        return CEILINGS if self.user is None and possible else ()


def subject(who: str, runtime: str, folder: Path) -> Subject:
    """``root`` or ``user`` under a runtime; makes what it needs below ``folder``."""
    user = ordinary() if who == "user" else None
    for name in ("state", "runtime", "tmp", "state/launches", "runtime/hardening"):
        (folder / name).mkdir()
        (folder / name).chmod(0o711)
    leases.living(folder / "state" / mcs.FOLDER)  # makes the place of reservations
    runs.hand_over(folder, user)
    found = Subject(who, user, runtime, folder)
    # What is made once and stays: the folders of the state directory, and an entry for each command line.
    found.finish(found.run_argv(SHORT, "--fresh"))
    found.sweep()
    return found


def confined(text: str) -> bool | None:
    """Whether what a command says of itself is full confinement; None where it said nothing, so it did not run.

    Every piece that was said must be right: a command that was killed may not have said all.
    """
    if "Seccomp:" not in text:
        return None
    fields = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    wanted = {"Seccomp": "2", "NoNewPrivs": "1", **dict.fromkeys(("CapEff", "CapPrm", "CapBnd", "CapAmb"), "0" * 16)}
    mounts = [line.split(" ") for line in text.splitlines() if line.endswith(" 0 0")]
    roots = ["ro" in mount[3].split(",") for mount in mounts if mount[1] == "/"]
    whole = bool(roots) or "complete" not in text
    return all(fields.get(name) == value for name, value in wanted.items()) and all(roots) and whole


def kill(pids: Sequence[int]) -> None:
    """SIGKILL to each that is still there."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
