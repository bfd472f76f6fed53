"""``python -m tests.stress``: run scenarios and print what is left of each."""

from __future__ import annotations

import argparse
import sys
import time

from tests.stress import arena, launches, scenarios
from tests.support import runs


def main() -> int:
    """Exit code 1 where anything was left, or ran unconfined."""
    parser = argparse.ArgumentParser(prog="stress", description=__doc__)
    parser.add_argument("--who", choices=("root", "user"), default="root")
    parser.add_argument("--runtime", choices=runs.RUNTIMES, default="native")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("scenario", choices=("kill",))
    options = parser.parse_args()
    return arena.run(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    start = time.monotonic()
    with runs.workplace() as folder:
        subject = launches.subject(options.who, options.runtime, folder)
        tally = scenarios.kill_at_random(subject, options.count, options.seed)
    print(
        f"{tally.scenario}: {tally.count} launches, {tally.ran} ran, {tally.swept} taken over by the next launch, "
        f"{len(tally.problems)} problems, {time.monotonic() - start:.0f} s"
    )
    for problem in tally.problems:
        print(f"  {problem}")
    sys.stdout.flush()
    return 1 if tally.problems else 0


if __name__ == "__main__":
    sys.exit(main())
