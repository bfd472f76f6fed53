"""A launch that runs out of something: it says so and leaves nothing, or runs as it should."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.stress import census, launches
from tests.stress.launches import Subject
from tests.stress.tally import Tally
from tests.support import runs

#: Exit codes of a launch that fails for want of something; 0 for one that succeeds all the same.
CODES = {0, 2, 125}
#: Those of a dynamic loader or interpreter that was refused before there was anything of ours that could answer, and of a
#: program that the kernel had begun to execute and found no room for (execve(2)).
BEFORE_US = {1, 2, 120, 126, 127, -signal.SIGSEGV}


def limits(subject: Subject) -> Iterator[tuple[str, list[str]]]:
    """Each shortage, and the program that brings it about (prlimit(1))."""
    for count in (3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 64):
        yield f"{count} open files", ["prlimit", f"--nofile={count}"]
    # Between 12 and 20 MB CPython 3.13 was seen to try for ever to import its first modules.
    for megabytes in (4, 8, 24, 28, 32, 40, 48, 56, 64, 96):
        yield f"{megabytes} MB of address space", ["prlimit", f"--as={megabytes << 20}"]
    for size in (0, 1, 100, 1000, 10_000):
        yield f"files of {size} bytes", ["prlimit", f"--fsize={size}"]
    if subject.user is not None:
        for count in (1, 2, 3, 4, 5):
            yield f"{count} processes", ["prlimit", f"--nproc={count}"]


def short_of(subject: Subject, every: int = 1) -> Tally:
    """Launches under each limit, composed and from their entry."""
    tally = Tally(f"{subject.name} {subject.runtime}: resource limits")
    before = census.take(subject.folders)
    for number, (what, under) in enumerate(limits(subject)):
        if number % every == 0:
            for options in ((), ("--fresh",)):
                before = _one(tally, subject, before, " ".join((what, *options)), options, under)
    return tally


def in_few_pids(subject: Subject, every: int = 1) -> Tally:
    """Launches in a control group that holds few processes (root only)."""
    tally = Tally(f"{subject.name} {subject.runtime}: pids of a control group")
    group = Path("/sys/fs/cgroup/pids/harness/few")
    group.mkdir()
    try:
        before = census.take(subject.folders)
        for count in range(1, 8, every):
            (group / "pids.max").write_text(str(count))
            join = ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"]
            for options in ((), ("--fresh",)):
                before = _one(tally, subject, before, f"{count} pids {' '.join(options)}", options, join)
    finally:
        group.rmdir()
    return tally


def on_a_full_disk(subject: Subject, every: int = 1) -> Tally:
    """Launches whose state directory and TMPDIR fill up, sooner and later (root only: it mounts)."""
    tally = Tally(f"{subject.name} {subject.runtime}: a full disk")
    for size in range(0, 24, every):
        with _small(subject, f"nr_inodes={4 + 6 * size},size=4m") as before:
            _one(tally, subject, before, f"{4 + 6 * size} inodes", ("--fresh",), [])
        with _small(subject, f"size={4 << 10 << (size // 2)}") as before:
            _one(tally, subject, before, f"{4 << (size // 2)} KiB", ("--fresh",), [])
    with _small(subject, "ro") as before:
        _one(tally, subject, before, "a state directory that is read-only", ("--fresh",), [])
    return tally


@contextmanager
def _small(subject: Subject, options: str) -> Iterator[census.Census]:
    """A small file system as the state directory: the census within."""
    argv = ["mount", "-t", "tmpfs", "-o", f"mode=711,{options}", "small", str(subject.state)]
    subprocess.run(argv, check=True)
    try:
        for name in ("launches", "cache") if options != "ro" else ():
            (subject.state / name).mkdir()
            (subject.state / name).chmod(0o711)
        if options != "ro":
            runs.hand_over(subject.state, subject.user)
        yield census.take(subject.folders)
    finally:
        census.reap()
        subprocess.run(["umount", str(subject.state)], check=True)


def _one(
    tally: Tally, subject: Subject, before: census.Census, what: str, options: tuple[str, ...], under: list[str]
) -> census.Census:
    process = subject.start(subject.run_argv(launches.SHORT, *options), under=[*subject.as_user([]), *under])
    output, said = process.communicate(timeout=120)
    ours = "hardening:" in said or "error:" in said
    if "Fatal Python error" in said:  # the interpreter itself could not begin
        ours = False
    elif "Traceback" in said and "/hardening/" in said:
        tally.problems.append(f"{what}: {said[-400:]}")
    elif process.returncode not in CODES and (ours or process.returncode not in BEFORE_US):
        tally.problems.append(f"{what}: exit code {process.returncode}: {said[-400:]}")
    elif process.returncode == 125 and not ours:
        tally.problems.append(f"{what}: exit code {process.returncode} without a word: {said[-400:]}")
    # An interpreter that its limits kill, or that cannot start its cleanup process, may leave something to the next launch.
    return tally.judge(subject, before, output, what, sweep=bool(under))
