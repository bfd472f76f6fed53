"""``python -m tests.stress``: run scenarios and print what is left of each."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.stress import arena, census, crowd, faults, launches, pulls, scenarios, steps
from tests.stress.tally import Tally
from tests.support import runs
from tests.support.registry import registry
from tests.support.users import ordinary, program


def main() -> int:
    """Exit code 1 where anything was left, or ran unconfined."""
    parser = argparse.ArgumentParser(prog="stress", description=__doc__)
    parser.add_argument("--who", choices=("root", "user"), default="root")
    parser.add_argument("--runtime", choices=runs.RUNTIMES, default="native")
    parser.add_argument("--count", type=int, default=20, help="of kill and pulls: how often")
    parser.add_argument("--seed", type=int, default=1, help="of kill and pulls: where chance begins")
    parser.add_argument("--every", type=int, default=1, help="of what has steps: not all, but every such one")
    parser.add_argument("--first", type=int, default=0, help="of steps and errors: the first to take")
    parser.add_argument("--fresh", action="store_true", help="of steps and errors: a launch that composes its stack")
    parser.add_argument("--abreast", type=int, default=50, help="of crowd: how many at a time")
    parser.add_argument(
        "scenario", choices=("kill", "steps", "errors", "limits", "pids", "disk", "crowd", "pairs", "pulls")
    )
    options = parser.parse_args()
    return arena.run(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    start = time.monotonic()
    if options.scenario == "pulls":
        return _kill_pulls(options)
    with runs.workplace() as folder:
        subject = launches.subject(options.who, options.runtime, folder)
        before = census.take(subject.folders)
        tally = _tally(options, subject)
        after = census.settled(before, subject.folders)
        tally.problems += [f"at the end: {line}" for line in census.difference(before, after)]
    print(f"{tally}, {time.monotonic() - start:.0f} s")
    print(f"  before {before}\n  after  {after}")
    for problem in tally.problems:
        print(f"  {problem}")
    return 1 if tally.problems else 0


def _kill_pulls(options: argparse.Namespace) -> int:
    user = ordinary() if options.who == "user" else None
    where = program(user) if user is not None else str(Path(sys.executable).with_name("hardening"))
    problems: list[str] = []
    with runs.workplace(user) as folder, tempfile.TemporaryDirectory() as data, registry(Path(data)) as running:
        pulls.prepare(folder, running.host)
        runs.hand_over(folder, user)
        # Half of them from each kind of source.
        for host in ("", running.host):
            puller = pulls.Puller(where, folder, user, host)
            tally = pulls.kill_at_random(puller, options.count // 2, options.seed)
            puller.type("rmi", "-f", puller.name(1), puller.name(2))
            print(f"{options.who} {tally}")
            problems += tally.problems
    for problem in problems:
        print(f"  {problem}")
    return 1 if problems else 0


def _tally(options: argparse.Namespace, subject: launches.Subject) -> Tally:
    match options.scenario:
        case "kill":
            return scenarios.kill_at_random(subject, options.count, options.seed)
        case "limits":
            return faults.short_of(subject, options.every)
        case "pids":
            return faults.in_few_pids(subject, options.every)
        case "disk":
            return faults.on_a_full_disk(subject, options.every)
        case "crowd":
            return crowd.at_once(subject, options.count, options.abreast)
        case "pairs":
            return crowd.pairs(subject, options.count, options.abreast)
    way = ("--fresh",) if options.fresh else ()
    return steps.walk(subject, *way, errors=options.scenario == "errors", every=options.every, first=options.first)


if __name__ == "__main__":
    sys.exit(main())
