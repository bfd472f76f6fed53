"""Where the time of a launch goes: between the system calls that mark its steps, and by the modules that are imported."""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

from tests.bench.contenders import BenchError

#: strace stops at these alone (--seccomp-bpf): what lies between them runs at its usual speed.
MARKS = "execve,clone,clone3,fork,vfork,unshare,pivot_root,seccomp,exit_group"
_LINE = re.compile(r"(?P<pid>\d+) +(?P<time>\d+\.\d+) (?P<call>\w+)\((?P<arguments>.*)")
_IMPORT = re.compile(r"import time: +(?P<own>\d+) \| +\d+ \| +(?P<module>[\w.]+)")
_WORDS = {
    "unshare": "namespaces are made",
    "pivot_root": "the root is in place",
    "seccomp": "the filter is loaded",
}


def traced(argv: Sequence[str], environment: Mapping[str, str], folder: Path) -> list[tuple[str, float]]:
    """The steps of one run, in order, and the milliseconds each took. Raises `BenchError`."""
    trace = folder / "trace"
    command = ["strace", "-f", "--seccomp-bpf", "-ttt", "-s", "200", "-e", f"trace={MARKS}", "-o", str(trace), *argv]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd="/")
    if done.returncode != 0:
        raise BenchError(f"strace: {done.stderr.strip()}")
    return list(steps(trace.read_text().splitlines()))


def steps(lines: Sequence[str]) -> Iterator[tuple[str, float]]:
    """What strace wrote, as steps: each ends with its mark. Marks of one kind that follow each other are one."""
    marks: list[tuple[str, float]] = []
    for line in lines:
        found = _LINE.match(line)
        label = _label(found["call"], found["arguments"]) if found else None
        if found and label:
            if marks and marks[-1][0] == label:
                marks.pop()
            marks.append((label, float(found["time"])))
    for (_, before), (label, after) in pairwise(marks):
        yield label, (after - before) * 1e3


def _label(call: str, arguments: str) -> str | None:
    if call == "execve":
        words = re.findall(r'"([^"]*)"', arguments)
        return f"{Path(words[0]).name} is executed" if words and "ENOENT" not in arguments else None
    if call == "exit_group":
        return "a process ends"
    if call in ("clone", "clone3", "fork", "vfork"):
        return "the container's process is there" if "CLONE_NEW" in arguments else "a process is started"
    return _WORDS.get(call)


def profile(runs: Sequence[Sequence[tuple[str, float]]]) -> list[tuple[str, float]]:
    """The medians of runs with the same steps; those with others than the first are left out."""
    labels = [label for label, _ in runs[0]]
    alike = [run for run in runs if [label for label, _ in run] == labels]
    return [(label, median(run[index][1] for run in alike)) for index, label in enumerate(labels)]


def imports(argv: Sequence[str], environment: Mapping[str, str], depth: int) -> dict[str, float]:
    """Milliseconds that a Python program spends in importing, by package: the first ``depth`` parts of modules' names. The
    interpreter is the first word of ``argv``."""
    command = [argv[0], "-X", "importtime", *argv[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd="/")
    return import_times(done.stderr.splitlines(), depth)


def quickest(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The least that each package took in any run, the longest first: what is more than that was the machine's."""
    names = {name for run in runs for name in run}
    least = {name: min(run[name] for run in runs if name in run) for name in names}
    return dict(sorted(least.items(), key=lambda item: (-item[1], item[0])))


def import_times(lines: Sequence[str], depth: int = 1) -> dict[str, float]:
    """What ``-X importtime`` wrote, by package, the longest first."""
    found: dict[str, float] = defaultdict(float)
    for line in lines:
        match = _IMPORT.match(line)
        if match:
            found[".".join(match["module"].split(".")[:depth])] += int(match["own"]) / 1e3
    return dict(sorted(found.items(), key=lambda item: -item[1]))
