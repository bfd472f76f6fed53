"""Walking through a launch: every system call of it fails once, or is where SIGKILL strikes (strace(1), tampering)."""

from __future__ import annotations

import re
import subprocess
from collections import Counter, defaultdict
from pathlib import Path

import attrs

from tests.stress import census, launches
from tests.stress.launches import Subject
from tests.stress.tally import Tally

#: What can change anything that outlives the call, or what everything later depends on. Others are as if killed at the next.
CHANGES = frozenset(
    [
        "chmod",
        "chown",
        "clone",
        "clone3",
        "close_range",
        "connect",
        "dup2",
        "execve",
        "fchdir",
        "fchmod",
        "fchmodat",
        "fchown",
        "fcntl",
        "flock",
        "fork",
        "fsconfig",
        "fsmount",
        "fsopen",
        "ioctl",
        "keyctl",
        "kill",
        "linkat",
        "mkdir",
        "mkdirat",
        "mknodat",
        "mount",
        "mount_setattr",
        "move_mount",
        "open_tree",
        "openat2",
        "pidfd_open",
        "pidfd_send_signal",
        "pipe2",
        "pivot_root",
        "poll",
        "prctl",
        "prlimit64",
        "ptrace",
        "recvmsg",
        "rename",
        "renameat",
        "renameat2",
        "rmdir",
        "seccomp",
        "sendmsg",
        "sendto",
        "setgroups",
        "sethostname",
        "setns",
        "setresgid",
        "setresuid",
        "setsid",
        "signalfd4",
        "socketpair",
        "symlink",
        "symlinkat",
        "umount2",
        "unlink",
        "unlinkat",
        "unshare",
        "utimensat",
        "vfork",
        "wait4",
        "waitid",
        "write",
    ]
)
#: What a call can meet that meets a shortage.
ERRORS = {
    "EMFILE": "openat openat2 pipe2 socketpair open_tree fsopen fsmount pidfd_open signalfd4 dup2 fcntl",
    "ENOMEM": "clone clone3 fork vfork mount_setattr move_mount fsconfig unshare mmap brk seccomp poll openat execve",
    "EAGAIN": "clone clone3 fork vfork unshare setresuid execve",
    "ENOSPC": "mkdir mkdirat write symlink symlinkat rename renameat move_mount unshare openat",
    "EDQUOT": "keyctl mkdir write",
    "EIO": "read write rename unlink unlinkat rmdir umount2 getdents64",
    "EINTR": "wait4 flock openat read recvmsg sendmsg",
}


@attrs.frozen
class Step:
    """The ``number``-th call of a name in any one process of the launch, and what happens there."""

    call: str
    number: int
    tampering: str

    @property
    def options(self) -> list[str]:
        """For strace(1)."""
        return ["-e", f"trace={self.call}", "-e", f"inject={self.call}:{self.tampering}:when={self.number}"]

    def __str__(self) -> str:
        return f"{self.call} {self.number} {self.tampering}"


def walk(subject: Subject, *options: str, errors: bool, every: int = 1, first: int = 0) -> Tally:
    """Take each ``every``-th step from ``first`` on: SIGKILL at it, or with ``errors`` each failure that it may meet."""
    way = "composed" if options else "from its entry"
    tally = Tally(f"{subject.name} {subject.runtime}: {'errors at' if errors else 'SIGKILL at'} each call, {way}")
    argv = subject.run_argv(launches.SHORT, *options)
    subject.finish(argv)
    before = census.take(subject.folders)
    for step in _steps(_count(subject, argv), errors=errors)[first::every]:
        process = subject.start(argv, under=_strace(subject, *step.options))
        try:
            output, said = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            launches.kill([process.pid, *(int(line.split(" ")[0]) for line in census.processes(process.pid))])
            output, said = process.communicate()
            tally.problems.append(f"{step}: hangs")
        if "Traceback" in said and "/hardening/" in said:
            tally.problems.append(f"{step}: {said[-300:]}")
        before = tally.judge(subject, before, output, str(step))
    return tally


def _steps(counts: Counter[str], *, errors: bool) -> list[Step]:
    if not errors:
        return [Step(name, number, "signal=SIGKILL") for name in sorted(CHANGES & counts.keys())
                for number in range(1, counts[name] + 1)]  # fmt: skip
    return [Step(name, number, f"error={error}") for error, names in ERRORS.items() for name in names.split()
            for number in range(1, counts[name] + 1)]  # fmt: skip


def _count(subject: Subject, argv: list[str]) -> Counter[str]:
    """How often the busiest process of a launch makes each call."""
    log = subject.folder / "strace"
    process = subject.start(argv, under=_strace(subject, log=log))
    process.communicate(timeout=120)
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for line in log.read_text(errors="replace").splitlines():
        match = re.match(r"(\d+) +(\w+)\(", line)
        if match is not None:
            found[match[2]][match[1]] += 1
    log.unlink()
    return Counter({name: max(pids.values()) for name, pids in found.items()})


def _strace(subject: Subject, *options: str, log: Path = Path("/dev/null")) -> list[str]:
    # As root, for newuidmap(1) gains nothing under a tracer that has no more than the user.
    user = ["-u", subject.user.name] if subject.user is not None else []
    return ["strace", "-f", "-qq", "-o", str(log), *user, *options]
