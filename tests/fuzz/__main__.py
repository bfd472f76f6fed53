"""Fuzz the readers: ``python -m tests.fuzz [TARGET …] [-n INPUTS]``, coverage-guided where atheris is installed.

Each target runs in a process of its own, and has one row of the table; findings are kept in ``build/fuzz``, each beside
what it raised. With ``--keep`` the inputs that reach lines which no seed does go to ``tests/fuzz/reached``, where every run
of the tests tries them again. Exit code 1: there is a finding.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.fuzz import harness

HEADS = ("target", "inputs", "accepted", "refused", "seconds", "slowest s", "peak MiB", "lines", "findings")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("targets", nargs="*")
    parser.add_argument("-n", "--inputs", type=int, default=10_000, help="of each target")
    parser.add_argument("-s", "--seed", type=int, default=int(time.time()))
    parser.add_argument("-k", "--keep", action="store_true", help="the inputs that reach lines which no seed does")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--fewest", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        return alone(asked.inputs, asked.seed, *asked.one)
    if asked.fewest:
        return fewest(*asked.fewest)
    if asked.keep and (sys.version_info < (3, 12) or not importlib.util.find_spec("atheris")):
        parser.error("--keep needs atheris, which leads the inputs, and the lines that Python 3.12 and later tell")
    unknown = set(asked.targets) - set(harness.targets())
    if unknown:
        parser.error(f"there is no target {', '.join(sorted(unknown))}: there are {', '.join(harness.targets())}")
    print(" | ".join(HEADS), flush=True)
    return max(row(name, asked.inputs, asked.seed, asked.keep) for name in asked.targets or harness.targets())


def row(name: str, inputs: int, seed: int, is_kept: bool) -> int:
    """Fuzz one target in a process of its own, and print its row."""
    began = time.monotonic()
    with harness.temporary() as folder:  # here: what leads the inputs ends its process without another word
        led = harness.targets()[name].of  # an input that is led by all that runs takes three times as long
        done = _process(["-n", str(inputs), "-s", str(seed), "--one", name, folder, *led])
        if is_kept and (text := _process(["--fewest", name, folder]).stdout):
            (harness.REACHED / name).write_bytes(text)
    try:
        found: dict[str, Any] = json.loads(done.stdout.rpartition(b"\0")[2])
    except ValueError:
        said = (done.stdout + done.stderr).decode(errors="replace")
        print(f"{name}: the process ended with {done.returncode}\n{said[:1000]}\n…\n{said[-2000:]}")
        return 1
    cells = (name, found["inputs"], found["accepted"], found["refused"], f"{time.monotonic() - began:.0f}",
             f"{found['slowest']:.2f}", found["most"], found["lines"], len(found["findings"]))  # fmt: skip
    print(" | ".join(map(str, cells)), flush=True)
    for finding, (data, text) in found["findings"].items():
        kept = harness.keep(harness.ROOT / "build/fuzz", name, finding, bytes.fromhex(data), text)
        last = text.strip().splitlines()[-1][:200]
        print(f"  {finding} ({found['times'][finding]} times): {last}\n    {kept}", flush=True)
    return int(bool(found["findings"]))


def _process(words: list[str]) -> subprocess.CompletedProcess[bytes]:
    argv = [sys.executable, "-m", "tests.fuzz", *words]
    return subprocess.run(argv, cwd=harness.ROOT, capture_output=True, umask=0o022, check=False)


def fewest(name: str, folder: str) -> int:
    """In a process that nothing leads: of what was found the fewest inputs, to the standard output, as `Target.reached`
    reads them."""
    target = harness.targets()[name]
    found = [path.read_bytes() for path in Path(folder, "corpus").iterdir()]
    for data in harness.fewest(harness.Run(target, Path(folder, "place")), found):
        print(json.dumps(data.decode("latin-1")))
    return 0


def alone(inputs: int, seed: int, name: str, folder: str, *led: str) -> int:
    """In the process of one target, with a directory, and the modules that lead: fuzz, and write the report to the standard
    output after a NUL."""
    guided = importlib.util.find_spec("atheris") is not None
    if guided:
        import atheris

        with atheris.instrument_imports(include=list(led)):
            target = harness.targets()[name]
    else:
        target = harness.targets()[name]
    known = {line for module in target.of for line in harness.functions(module)}
    os.chmod(folder, 0o755)
    place, corpus = Path(folder, "place"), Path(folder, "corpus")
    for path in (place, corpus):
        path.mkdir()
    for number, data in enumerate(target.pool):
        (corpus / str(number)).write_bytes(data)
    with harness.covered() as lines:
        run = harness.Run(target, place)

        def report() -> None:
            share = f"{100 * len(known & lines) // len(known)} %" if lines else ""
            sys.stdout.write("\0" + json.dumps({**run.report(), "lines": share}))
            sys.stdout.flush()

        if not guided:
            run.mutated(seed, inputs)
            report()
            return 0
        _guided(run, corpus, inputs, seed, report)
    return 0


def _guided(run: harness.Run, corpus: Path, inputs: int, seed: int, report: Any) -> None:
    import random

    import atheris

    def one(data: bytes) -> None:
        if run.inputs >= inputs:  # libFuzzer would end the process by itself, and say nothing
            report()
            os._exit(0)
        run.one(data)

    def mutate(data: bytes, longest: int, number: int) -> bytes:
        source = random.Random(number)
        if source.randrange(2):  # what libFuzzer keeps for the lines that it reached is seldom right
            data = source.choice(run.target.begun)
        if source.randrange(5) == 0:
            return bytes(atheris.Mutate(data, longest))
        return run.mutation(source, data)[:longest]

    options = [
        f"-seed={seed % 2**32 or 1}",
        f"-max_len={harness.LONGEST}",
        "-timeout=3600",
        "-rss_limit_mb=0",
        "-verbosity=0",
        f"-artifact_prefix={corpus}/",  # of an error of our own: findings are kept by the parent
    ]
    atheris.Setup(["fuzz", *options, str(corpus)], one, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
