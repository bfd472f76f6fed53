"""``python -m tests.system.upgrades.table [FOLDER] [NAME...]``: what `hardening check` foretells of each pair and what
happens to it, or of those whose names, stacks or roots are named, as a table. The roots are made in the folder, which begins
with a slash or a dot, and left there; without one they are removed. They need Debian's archive, PyPI, npm and 4 GB."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.system.upgrades.asking import Told, ask
from tests.system.upgrades.pairs import PACKAGES, PAIRS, Pair
from tests.system.upgrades.roots import BELOW, root

#: Roots that are fetched at a time.
_FETCHED = 3


def main(folder: Path, names: list[str]) -> None:
    """Ask about all pairs, or those whose names, stacks or roots are named."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    began, verdicts = time.monotonic(), Counter[str]()
    pairs = [pair for pair in PAIRS if not names or {pair.name, pair.stack, pair.old, pair.new} & set(names)]
    print("| pair | stack | from | to | works | likely | perhaps | verdict | s |\n| --- " + "| --- " * 8 + "|")
    with ThreadPoolExecutor(_FETCHED) as fetching, ThreadPoolExecutor(os.cpu_count()) as pool:
        roots = _roots(fetching, folder, [name for pair in pairs for name in (pair.old, pair.new)])
        for told, seconds in pool.map(lambda pair: _asked(pair, folder, roots), pairs):
            verdicts[told.verdict] += 1
            print(_row(told, seconds), flush=True)
    print(f"\n{', '.join(f'{count} {verdict}' for verdict, count in verdicts.most_common())}")
    broken = sum(count for verdict, count in verdicts.items() if verdict.startswith(("named", "MISSED")))
    working = verdicts["right"] + verdicts["false alarm"]
    print(f"{broken} broke, {working} worked, in {time.monotonic() - began:.0f} s")


def _roots(fetching: ThreadPoolExecutor, folder: Path, names: Sequence[str]) -> Mapping[str, Future[Path]]:
    """Roots by their names, which are made while those that are there are looked at."""
    below = fetching.submit(root, folder, BELOW, PACKAGES)

    def made(name: str) -> Path:
        if ":" in name:  # it lies above that one
            below.result()
        return root(folder, name, PACKAGES)

    return {BELOW: below} | {name: fetching.submit(made, name) for name in dict.fromkeys(names) if name != BELOW}


def _asked(pair: Pair, folder: Path, roots: Mapping[str, Future[Path]]) -> tuple[Told, float]:
    old, new = (roots[name].result() for name in (pair.old, pair.new))
    start = time.monotonic()
    place = folder / f"{pair.label}.asked"
    place.mkdir(exist_ok=True)
    return ask(pair, old, new, place), time.monotonic() - start


def _row(told: Told, seconds: float) -> str:
    pair = told.pair
    works = "yes" if told.works else "no" if told.worked else "never did"
    cells = (pair.name, pair.stack, pair.old, pair.new, works, ", ".join(told.likely), ", ".join(told.perhaps))
    return "| " + " | ".join((*cells, told.verdict, f"{seconds:.0f}")) + " |"


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1].startswith(("/", ".")):
        main(Path(sys.argv[1]).absolute(), sys.argv[2:])
    else:
        with TemporaryDirectory() as made:
            main(Path(made), sys.argv[1:])
