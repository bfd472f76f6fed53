"""Many launches at once."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hardening_selinux import mcs
from tests.stress import census, launches
from tests.stress.launches import Subject
from tests.stress.tally import Tally
from tests.support.leases import living


def at_once(subject: Subject, count: int, abreast: int) -> Tally:
    """``count`` launches, ``abreast`` at a time; every tenth composes its stack. All must run."""
    tally = Tally(f"{subject.name} {subject.runtime}: {abreast} at a time")

    def one(number: int) -> subprocess.CompletedProcess[str]:
        return subject.finish(subject.run_argv(launches.SHORT, *(("--fresh",) if number % 10 == 0 else ())))

    before = census.take(subject.folders)
    with ThreadPoolExecutor(abreast) as pool:
        for number, done in enumerate(pool.map(one, range(count))):
            tally.count += 1
            verdict = launches.confined(done.stdout)
            tally.ran += verdict is True
            if done.returncode != 0 or not verdict:
                tally.problems.append(f"number {number}: exit code {done.returncode}: {done.stderr[-300:]}")
    tally.problems += census.difference(before, census.settled(before, subject.folders))
    return tally


def pairs(subject: Subject, count: int, abreast: int) -> Tally:
    """``count`` reservations of MCS pairs by processes of which ``abreast`` live at once. SELinux need not be active."""
    folder = subject.state / mcs.FOLDER
    tally = Tally(f"MCS pairs, {abreast} at a time")
    while tally.count < count:
        taken = _reserved_at_once(folder, abreast)
        tally.count += len(taken)
        tally.ran += len(set(taken))
        tally.problems += [f"{pair} was given to two" for pair in set(taken) if taken.count(pair) > 1]
        if len(taken) != abreast:
            tally.problems.append(f"{abreast - len(taken)} got none")
            break
    left = living(folder)
    tally.problems += [f"still reserved: {path}" for path in left.values()]
    return tally


def _reserved_at_once(folder: Path, abreast: int) -> list[str]:
    """The pairs of as many processes, each of which keeps its own until all have one."""
    reader, writer = os.pipe()
    wait, go = os.pipe()
    children = []
    for _ in range(abreast):
        child = os.fork()
        if child == 0:
            try:
                os.close(go)
                first, second = mcs.reserve(folder, None).pair
                os.write(writer, f"c{first},c{second}\n".encode())
                os.read(wait, 1)
            finally:
                os._exit(0)
        children.append(child)
    os.close(writer)
    os.close(wait)
    with open(reader) as said:
        found = [line for _, line in zip(range(abreast), said, strict=False)]
    os.close(go)
    for child in children:
        os.waitpid(child, 0)
    return [line.strip() for line in found]
