"""What is done to a launch, again and again, and what is counted."""

from __future__ import annotations

import os
import random
import signal
import time

import attrs

from tests.stress import census, launches
from tests.stress.launches import Subject

#: Whom the SIGKILL is sent to.
VICTIMS = ("stage", "children", "group", "everything")
ABANDONED = 2.0  # seconds that are given to what is about to end by itself


@attrs.define
class Tally:
    """What came of a scenario: how often, how often the command ran, how often the next launch had to take something over,
    and everything that must not be."""

    scenario: str
    count: int = 0
    ran: int = 0
    swept: int = 0
    problems: list[str] = attrs.field(factory=list)

    def judge(self, subject: Subject, before: census.Census, output: str, what: str) -> census.Census:
        """Count one launch that has ended: what there is after it, which is what was there before, if all is well."""
        self.count += 1
        verdict = launches.confined(output)
        self.ran += verdict is not None
        if verdict is False:
            self.problems.append(f"{what}: ran unconfined:\n{output}")
        # A container of crun or runc whose guard was killed runs on until it is swept.
        abandoned = subject.runtime != "native" and what.startswith(("children", "everything"))
        after = census.settled(before, subject.folders, ABANDONED if abandoned else census.PATIENCE)
        left = set(after.minus(before))
        if left and (left <= {"file", "cgroup"} or abandoned):
            self.swept += 1
            subject.sweep()
            after = census.settled(before, subject.folders)
        problems = census.difference(before, after)
        self.problems += [f"{what}: {line}" for line in problems]
        return after if problems else before


def kill_at_random(subject: Subject, count: int, seed: int, victims: tuple[str, ...] = VICTIMS) -> Tally:
    """SIGKILL at moments that are spread evenly over a launch and the first part of its command's life. Every second launch
    composes its stack, the others find their plan ready."""
    tally = Tally(f"{subject.name} {subject.runtime}: SIGKILL at random")
    chance = random.Random(seed)
    ways = (("--fresh",), ())
    lengths = [_duration(subject, *way) * 1.2 for way in ways]
    before = census.take(subject.folders)
    for number in range(count):
        victim = victims[number % len(victims)]
        way = chance.randrange(len(ways))
        moment = chance.uniform(0, lengths[way])
        process = subject.start(subject.run_argv(launches.COMMAND, *ways[way]))
        time.sleep(moment)
        _kill(process.pid, victim, chance)
        if victim == "children":
            # Those that it missed, and the command in its sleep, get time to end by themselves; then the rest must.
            time.sleep(lengths[way])
            process.send_signal(signal.SIGKILL)
        output, _ = process.communicate(timeout=60)
        what = f"{victim} after {moment * 1000:.1f} ms {''.join(ways[way])} (seed {seed}, number {number})"
        before = tally.judge(subject, before, output, what)
    return tally


def _duration(subject: Subject, *options: str) -> float:
    """Seconds from the start of a launch to the first word of its command, the middle one of three."""
    found = []
    for _ in range(3):
        start = time.monotonic()
        subject.finish(subject.run_argv(launches.SHORT, *options))
        found.append(time.monotonic() - start)
    return sorted(found)[1]


def _kill(pid: int, victim: str, chance: random.Random) -> None:
    below = [int(line.split(" ")[0]) for line in census.processes(pid)]
    if victim == "stage":
        launches.kill([pid])
    elif victim == "children":
        launches.kill([chance.choice(below)] if below and chance.random() < 0.5 else below)
    elif victim == "group":
        os.killpg(pid, signal.SIGKILL)
    else:
        launches.kill([pid, *below])
