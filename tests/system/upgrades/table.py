"""``python -m tests.system.upgrades.table FOLDER [NAME...]``: what `hardening check` foretells of each pair and what happens
to it, as a table. The roots are made in the folder and left there; they need Debian's archive and 4 GB."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from tests.system.upgrades.asking import ask
from tests.system.upgrades.pairs import PACKAGES, PAIRS
from tests.system.upgrades.roots import debian


def main(folder: Path, names: list[str]) -> None:
    """Ask about all pairs, or those whose names or stacks are named."""
    folder.mkdir(parents=True, exist_ok=True)
    verdicts = Counter[str]()
    print("| pair | stack | from | to | works | likely | perhaps | verdict |\n| --- " + "| --- " * 7 + "|")
    for pair in PAIRS:
        if names and not {pair.name, pair.stack} & set(names):
            continue
        old, new = (debian(folder, suite, PACKAGES) for suite in (pair.old, pair.new))
        told = ask(pair, old, new, folder)
        verdicts[told.verdict] += 1
        works = "yes" if told.works else "no" if told.worked else "never did"
        cells = (pair.name, pair.stack, pair.old, pair.new, works, ", ".join(told.likely), ", ".join(told.perhaps))
        print("| " + " | ".join((*cells, told.verdict)) + " |", flush=True)
    print("\n" + ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common()))


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), sys.argv[2:])
