"""What is done to a launch, again and again, and what is counted."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time

from tests.stress import census, launches
from tests.stress.launches import Subject
from tests.stress.tally import ABANDONED, Tally

#: Whom the SIGKILL is sent to.
VICTIMS = ("launcher", "children", "group", "everything")


def kill_at_random(subject: Subject, count: int, seed: int, victims: tuple[str, ...] = VICTIMS) -> Tally:
    """SIGKILL at moments that are spread evenly over a launch and the first part of its command's life. Every second launch
    composes its stack, the others find their entry ready."""
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
        guarded = victim in ("launcher", "group")
        what = f"{victim} after {moment * 1000:.1f} ms {''.join(ways[way])} (seed {seed}, number {number})"
        output = _said(tally, subject, process, what, guarded=guarded)
        before = tally.judge(subject, before, output, what, guarded=guarded)
    return tally


def _said(tally: Tally, subject: Subject, process: subprocess.Popen[str], what: str, *, guarded: bool) -> str:
    """What a command has said, once nobody is left who could say more. Without its cleanup process a container of crun or
    runc runs
    on until the next launch; nothing else may."""
    abandoned = not guarded and subject.runtime != "native"
    try:
        return process.communicate(timeout=ABANDONED if abandoned else census.PATIENCE)[0]
    except subprocess.TimeoutExpired:
        if abandoned:
            tally.swept += 1
        else:
            tally.problems.append(f"{what}: it runs on")
        subject.sweep()
        return process.communicate(timeout=census.PATIENCE)[0]


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
    if victim == "launcher":
        launches.kill([pid])
    elif victim == "children":
        launches.kill([chance.choice(below)] if below and chance.random() < 0.5 else below)
    elif victim == "group":
        os.killpg(pid, signal.SIGKILL)
    else:
        launches.kill([pid, *below])
