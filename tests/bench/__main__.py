"""`make bench`: measure everything in one run, show it beside the targets, and keep it."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench import plots
from tests.bench.contenders import end_pauses
from tests.bench.page import number, page, summary
from tests.bench.run import TINY, Bench, Size, say
from tests.bench.targets import targets
from tests.support.users import REPOSITORY, User, ordinary

RESULT = "bench.json"
PUBLISHED = REPOSITORY / "docs/bench"


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--program", type=Path, default=Path(sys.executable).with_name("hardening"),
                        help="the hardening to measure")  # fmt: skip
    parser.add_argument("--output", type=Path, default=REPOSITORY / "build/bench", help="the folder for the result")
    parser.add_argument("--tiny", action="store_true", help="measure as little as possible, to see that it works")
    parser.add_argument("--alone", action="store_true", help="as the caller only, not as an ordinary user beside root")
    parser.add_argument("--publish", action="store_true", help="write the page and the plots into docs/bench, too")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="hardening-bench-", dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        program = asked.program.absolute()
        user = None if asked.alone and os.geteuid() == 0 else _user(program)
        result = Bench(folder, program, user, TINY if asked.tiny else Size()).measured()
    finally:
        end_pauses(folder)
        shutil.rmtree(folder)
    # What is shown is what was kept: keys are text, tuples are lists.
    result = json.loads(json.dumps(result))
    for place in (asked.output, *([PUBLISHED] if asked.publish else [])):
        keep(result, place)
    print(summary(result))
    show_targets(result, Console())
    print(f"\nkept: {asked.output}/{RESULT} and the page beside it")
    return 0


def _user(program: Path) -> User | None:
    """The ordinary user, unless the clone is where that one cannot start the program."""
    user = ordinary()
    if user.run([str(program), "--version"], cwd=Path("/")).returncode == 0:
        return user
    say(f"not measured: {user.name} cannot start {program}; put the clone where others may read it")
    return None


def keep(result: Mapping[str, Any], folder: Path) -> None:
    """Write the result, its page and its plots into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RESULT).write_text(json.dumps(result, indent=1) + "\n")
    (folder / "README.md").write_text(page(result))
    plots.draw(result, folder)


def show_targets(result: Mapping[str, Any], console: Console) -> None:
    """What was to be reached, in colour on a terminal."""
    drawn = Table("measure", "measured", "at most", "", title="targets")
    colours = {True: "green", False: "red", None: "yellow"}
    for one in targets(result):
        verdict = f"[{colours[one.reached]}]{one.verdict}[/]"
        drawn.add_row(one.measure, number(one.value, one.unit), number(one.most, one.unit), verdict)
    console.print(drawn)


if __name__ == "__main__":
    raise SystemExit(main())
