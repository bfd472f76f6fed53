"""How long a policy takes to be read, and to be asked: run by the interpreter that is measured, as `explaining.py REPEATS
COUNT...`. Prints JSON, a line each for reading policy.json and for being asked: seconds of each repetition, by the number of
scopes.

Policies of different size take turns. What is asked for is an image whose repository is a scope, in the middle of all.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from hardening.images import reference
from hardening_trust import view

#: Questions in a row, and how many times as often they are asked as policies are read: they take microseconds.
QUESTIONS, TURNS = 500, 20


def scope(number: int) -> str:
    """A repository in one of a hundred registries."""
    return f"registry-{number % 100}.example.com/team/app-{number}"


def policy(count: int) -> str:
    """A policy.json with so many scopes."""
    accepted = {scope(number): [{"type": "insecureAcceptAnything"}] for number in range(count)}
    return json.dumps({"default": [{"type": "reject"}], "transports": {"docker": accepted}}, indent=1)


def _seconds(function: Callable[[], object], times: int = 1) -> float:
    before = time.perf_counter()
    for _ in range(times):
        function()
    return (time.perf_counter() - before) / times


def measured(folder: Path, repeats: int, counts: list[int]) -> tuple[dict[int, list[float]], dict[int, list[float]]]:
    """The seconds of reading and of asking, with policies written into a folder."""
    read: dict[int, list[float]] = {count: [] for count in counts}
    asked: dict[int, list[float]] = {count: [] for count in counts}
    for count in counts:
        path = folder / f"{count}.json"
        path.write_text(policy(count))
        path.chmod(0o644)
    policies = {count: view.of_file(folder / f"{count}.json") for count in counts}
    names = {count: reference.parse(f"{scope(count // 2)}:1") for count in counts}
    for _ in range(repeats):
        for count in counts:
            read[count].append(_seconds(partial(view.of_file, folder / f"{count}.json")))
    for _ in range(repeats * TURNS):
        for count in counts:
            asked[count].append(_seconds(partial(policies[count].match, names[count]), QUESTIONS))
    return read, asked


def main() -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        for found in measured(Path(folder), int(sys.argv[1]), [int(word) for word in sys.argv[2:]]):
            print(json.dumps(found))


if __name__ == "__main__":
    main()
