"""Measure what stacks of filters in unlike forms come to: ``python -m tests.plugins.seccomp.measure``; with ``-q -n 12 -e
12`` whether the programs are the same at any quota of processor time.

Every layer by itself, the strictest answer, is what the kernel makes of filters that are installed one after another: the
composed program is held against that, on three architectures. Exit code 1: it is looser somewhere, or refused.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import combinations_with_replacement
from pathlib import Path
from random import Random

import attrs

from hardening.base.values import frozen
from hardening.errors import HardeningError
from hardening.mechanism.host import Host
from hardening_seccomp import SeccompSettings, bpf
from hardening_seccomp.actions import Action, ActionKind, stricter
from hardening_seccomp.compile import Compiled, compile_filter
from hardening_seccomp.spans import kernel_token
from hardening_seccomp.spec import filter_of
from tests.plugins.seccomp import kernel, stacks
from tests.plugins.seccomp.written import ARCHITECTURES, EDGES, LIBRARY, NAMES, SHAPES, Written, layer, number_of

PAIRS = [pair for pair in combinations_with_replacement(SHAPES, 2) if pair != ("partial", "partial")]
HEADS = ("form", "stacks", "points", "looser", "stricter", "%", "flattened", "refused", "kernel", "differs")
ENTRIES = 6  # of a layer, at most
VECTORS = 12  # of each call
ASKED = 3  # of them, of the kernel

Point = tuple[str, str, tuple[int, ...]]


@frozen
class Stack:
    """Some layers, what they are as forms, and the calls by which they are judged."""

    name: str
    form: str
    layers: tuple[Written, ...]
    points: tuple[Point, ...]

    @classmethod
    def of(cls, form: str, layers: Sequence[Written], random: Random, name: str = "the stack") -> Stack:
        return cls(name, form, tuple(layers), tuple(dict.fromkeys(_points(layers, random))))

    @classmethod
    def numbered(cls, number: int, most: int = ENTRIES) -> Stack:
        """The same one for the same number: seven in ten are pairs, of every two forms alike, the others three layers."""
        random = Random(number)
        if number % 10 < 7:
            shapes: Sequence[str] = PAIRS[(number // 10 * 7 + number % 10) % len(PAIRS)]
            form = " + ".join(shapes)
        else:
            shapes = (random.choice(SHAPES[:-1]), random.choice(SHAPES), random.choice(SHAPES))
            form = "three alike" if len(set(shapes)) == 1 else "three unlike"
        layers = [layer(shape, random, most) for shape in shapes]
        random.shuffle(layers)
        return cls.of(form, layers, random, f"stack {number}")

    def stacked(self, point: Point) -> Action:
        """What the kernel answers where every layer is a filter by itself: of equally strict answers the later layer's."""
        first, *others = (one.answer(*point) for one in self.layers)
        for other in others:
            first = stricter(first, other)
        return first

    def compiled(self, folder: Path) -> Compiled:
        """The composed filter."""
        texts = [one.text(folder, number) for number, one in enumerate(self.layers)]
        found = stacks.composed(folder, *texts, on=host()).settings["seccomp"]
        assert isinstance(found, SeccompSettings)
        return compile_filter(filter_of(found, stacks.context(host())), LIBRARY)


@cache
def host() -> Host:
    return stacks.this_host()


def _points(layers: Sequence[Written], random: Random) -> Iterator[Point]:
    """Calls at and beside what the layers compare with; other architectures than the first have 32 bits of an argument."""
    for name in NAMES:
        near = [{0, 1, random.choice(EDGES)} for _ in range(6)]
        for one in layers:
            for condition in (condition for entry in one.entries if entry[0] == name for condition in entry[2]):
                near[condition.index] |= {condition.value, condition.value + 1, max(condition.value - 1, 0)}
        for _ in range(VECTORS):
            vector = [random.choice(sorted(values)) for values in near]
            for architecture in ARCHITECTURES:
                seen = bpf.U32 if architecture != "x86_64" else -1
                yield architecture, name, tuple(argument & seen for argument in vector)


@attrs.define
class Row:
    """What was counted of stacks of one form; ``wrong`` has a line for each thing that must not be."""

    counts: Counter[str] = attrs.field(factory=Counter)
    wrong: list[str] = attrs.field(factory=list)

    def cells(self) -> list[str]:
        share = 100 * self.counts["stricter"] / max(self.counts["points"], 1)
        return [f"{share:.2f}" if head == "%" else str(self.counts[head]) for head in HEADS[1:]]


def judged(number: int, most: int = ENTRIES, *, ask: bool = False) -> tuple[str, Row]:
    """The stack of a number: its form, and what was counted."""
    stack = Stack.numbered(number, most)
    return stack.form, judge(stack, ask=ask)


def judge(stack: Stack, *, ask: bool) -> Row:
    """What was counted of one stack; with ``ask`` the kernel says what it makes of it, too."""
    row = Row(Counter(stacks=1))
    with tempfile.TemporaryDirectory() as folder:
        try:
            compiled = stack.compiled(Path(folder))
        except HardeningError as error:
            row.counts["refused"] += 1
            row.wrong.append(f"{stack.name}: {error}")
            return row
    program = bpf.decode(compiled.program)
    row.counts["flattened"] += len(compiled.written)
    answers = {}
    for point in stack.points:
        architecture, name, vector = point
        token, number = kernel_token(LIBRARY, architecture), number_of(architecture, name)
        answers[point] = bpf.evaluate(program, token, number, vector).action
        exact = name not in compiled.written
        _judge(row, stack.stacked(point), answers[point], f"{stack.name}: {point}", exact=exact)
    if ask:
        _ask(row, stack, compiled.program, answers)
    return row


def _judge(row: Row, stacked: Action, answered: Action, where: str, *, exact: bool) -> None:
    row.counts["points"] += 1
    row.counts["looser"] += answered.kind < stacked.kind
    row.counts["stricter"] += answered.kind > stacked.kind
    if answered.kind < stacked.kind or (exact and answered != stacked and answered.kind is not ActionKind.ERRNO):
        row.wrong.append(f"{where}: stacked {stacked}, composed {answered}")


def _ask(row: Row, stack: Stack, program: bytes, answers: dict[Point, Action]) -> None:
    """Install every layer as a filter of its own in one child, and the composed program in another."""
    few = list(answers)[:: VECTORS // ASKED]
    calls = [(architecture, number_of(architecture, name), vector) for architecture, name, vector in few]
    apart = kernel.verdicts([one.program() for one in stack.layers], calls)
    alone = kernel.verdicts([program], calls)
    for point, theirs, ours in zip(few, apart, alone, strict=True):
        row.counts["kernel"] += 1
        if (theirs, ours) != (kernel.expected(stack.stacked(point)), kernel.expected(answers[point])):
            row.counts["differs"] += 1
            row.wrong.append(
                f"{stack.name}: {point}: the kernel says {theirs} of the layers, {ours} of the composed one"
            )


def summed(found: Iterable[tuple[str, Row]]) -> dict[str, Row]:
    """The rows by form, and all of them."""
    rows: dict[str, Row] = {}
    for form, row in found:
        for key in (form, "all"):
            total = rows.setdefault(key, Row())
            total.counts += row.counts
            total.wrong += row.wrong
    return dict(sorted(rows.items(), key=lambda item: (item[0] == "all", item[0].startswith("three"), item[0])))


def is_asked(number: int, every: int) -> bool:
    """Whether the kernel is asked of a stack, one of so ``every`` many, of each form: the last digit has the form."""
    return bool(every) and number % every == number // 10 % every


def one(asked: tuple[int, int, bool]) -> tuple[str, Row]:
    """`judged`, for a pool: the number, most entries, and whether the kernel is asked."""
    return judged(asked[0], asked[1], ask=asked[2])


def measured(wanted: Sequence[tuple[int, int, bool]], jobs: int, seconds: float) -> Iterator[tuple[str, Row]]:
    """What is done in that time."""
    end = time.monotonic() + seconds
    with ProcessPoolExecutor(jobs) as pool:
        for found in pool.map(one, wanted):
            yield found
            if time.monotonic() > end:
                pool.shutdown(cancel_futures=True)
                return


@contextmanager
def quota(percent: int) -> Iterator[Path]:
    """A control group, of either version, whose processes have that share of one processor."""
    unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    folder = Path("/sys/fs/cgroup", "" if unified else "cpu", f"hardening-measure-{os.getpid()}")
    if unified:
        folder.with_name("cgroup.subtree_control").write_text("+cpu")
    folder.mkdir()
    try:
        if unified:
            (folder / "cpu.max").write_text(f"{1000 * percent} 100000")
        else:
            (folder / "cpu.cfs_period_us").write_text("100000")
            (folder / "cpu.cfs_quota_us").write_text(f"{1000 * percent}")
        yield folder / "cgroup.procs"
    finally:
        folder.rmdir()


def digests(members: Path | None, asked: Sequence[tuple[int, int]]) -> list[str]:
    """Of what stacks of these numbers and most entries become, the programs and the documents, composed in a child; in the
    control group whose list of ``members`` is given."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if members is not None:
                members.write_text("0")
            with os.fdopen(writer, "w") as file:
                for one in asked:
                    with tempfile.TemporaryDirectory() as folder:
                        found = Stack.numbered(*one).compiled(Path(folder))
                    data = found.program + json.dumps(found.document, sort_keys=True).encode()
                    print(hashlib.sha256(data).hexdigest(), len(found.written), file=file, flush=True)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        lines = file.read().splitlines()
    os.waitpid(child, 0)
    return lines


def throttled(asked: Sequence[tuple[int, int]], percents: Sequence[int] = (100, 25, 6)) -> bool:
    """Compose under each quota, and print how many programs are those of a process without one."""
    free = digests(None, asked)
    flattened = sum(not line.endswith(" 0") for line in free)
    print("quota | stacks | flattened in | same programs | seconds")
    alike = len(free) == len(asked)
    for percent in percents:
        began = time.monotonic()
        with quota(percent) as members:
            found = digests(members, asked)
        same = sum(one == other for one, other in zip(free, found, strict=False))
        alike &= same == len(asked)
        print(f"{percent} % | {len(asked)} | {flattened} | {same} | {time.monotonic() - began:.0f}", flush=True)
    return alike


def show(rows: dict[str, Row]) -> None:
    print(" | ".join(HEADS))
    for form, row in rows.items():
        print(" | ".join([form, *row.cells()]))
    for line in rows["all"].wrong[:50]:
        print(line)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.plugins.seccomp.measure", description=__doc__)
    parser.add_argument("-n", "--stacks", type=int, default=2000)
    parser.add_argument("-k", "--kernel", type=int, default=400, help="of how many the kernel is asked")
    parser.add_argument("-e", "--entries", type=int, default=ENTRIES, help="of a layer, at most")
    parser.add_argument("-m", "--minutes", type=float, default=600, help="after which it ends with what is done")
    parser.add_argument(
        "-q", "--quotas", action="store_true", help="compose under quotas of 100, 25 and 6 percent instead"
    )
    parser.add_argument("-j", "--jobs", type=int, default=len(os.sched_getaffinity(0)))
    asked = parser.parse_args()
    if asked.quotas:
        return int(not throttled([(number, asked.entries) for number in range(asked.stacks)]))
    every = max(asked.stacks // asked.kernel, 1) if asked.kernel else 0
    wanted = [(number, asked.entries, is_asked(number, every)) for number in range(asked.stacks)]
    rows = summed(measured(wanted, asked.jobs, 60 * asked.minutes))
    show(rows)
    return int(bool(rows["all"].wrong))


if __name__ == "__main__":
    sys.exit(main())
