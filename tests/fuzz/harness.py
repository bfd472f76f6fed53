"""What a target of the fuzzer is, and one process that gives it inputs: what it lets pass, and what is a finding.

A target reads what others wrote. An input is a finding if it raises something that is no message, takes longer or more
memory than a reader may, or is accepted and breaks the target's model (an `AssertionError`).
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, cached_property
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import attrs

from hardening.errors import HardeningError

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
REACHED = HERE / "reached"
#: Seconds of processor time and MiB that one input may take. The tests, beside seven others, take five times the seconds.
SECONDS, MEMORY = 2.0, 450
LONGEST = 1 << 16

Reader = Callable[[bytes, Path], None]
Words = Sequence[Any]
Mutate = Callable[[Random, bytes, Words], bytes]


@attrs.frozen(eq=False, slots=False)
class Target:
    """One reader. ``read`` gets an input and an empty directory of its process; what it raises of ``refusals`` is a message.
    ``of`` are the modules that are to be covered; ``short`` is how many inputs the tests try; ``jailed``: as uid 65534."""

    name: str
    read: Reader
    mutate: Mutate
    seeds: Callable[[], Iterable[bytes]]
    of: Sequence[str]
    refusals: tuple[type[Exception], ...]
    short: int
    jailed: bool

    @cached_property
    def words(self) -> Words:
        """The vocabulary of its inputs: lines that are JSON are that, and others what they are."""
        return [_word(line) for line in _lines(HERE / "words" / self.name)]

    @cached_property
    def pool(self) -> list[bytes]:
        """Its seeds, and what led the fuzzer to lines that no seed reaches."""
        return [*self.begun, *self.reached]

    @cached_property
    def begun(self) -> list[bytes]:
        """Its seeds: those that are made, and the files of its corpus, what is right and what was a finding once."""
        place = HERE / "corpus" / self.name
        kept = sorted(place.iterdir()) if place.is_dir() else []
        return [*self.seeds(), *(path.read_bytes() for path in kept)]

    @cached_property
    def reached(self) -> list[bytes]:
        """What `--keep` has kept: a line is an input, as a JSON string of a character a byte."""
        return [json.loads(line).encode("latin-1") for line in _lines(REACHED / self.name)]


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines() if path.exists() else []


def _word(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return line


def target(
    mutate: Mutate,
    of: str,
    *,
    seeds: Callable[[], Iterable[bytes]] = tuple,
    refusals: tuple[type[Exception], ...] = (HardeningError,),
    short: int = 400,
    jailed: bool = False,
) -> Callable[[Reader], Target]:
    """A function as a target of its own name; ``of`` has names of modules and spaces."""
    return lambda read: Target(read.__name__.rstrip("_"), read, mutate, seeds, of.split(), refusals, short, jailed)


class Endless(BaseException):
    """An input that does not come to an end."""


@attrs.define(eq=False)
class Run:
    """What one target makes of inputs, in one process."""

    target: Target
    folder: Path
    seconds: float = SECONDS
    accepted: int = 0
    refused: int = 0
    slowest: float = 0.0
    findings: dict[str, tuple[bytes, str]] = attrs.field(factory=dict)
    times: Counter[str] = attrs.field(factory=Counter)

    def __attrs_post_init__(self) -> None:
        signal.signal(signal.SIGPROF, _endless)

    @property
    def inputs(self) -> int:
        return self.accepted + self.refused + sum(self.times.values())

    def one(self, data: bytes) -> None:
        """Give it one input."""
        if self.target.jailed and os.geteuid() == 0:
            self._jail()
        before, most = _spent(), _most()
        signal.setitimer(signal.ITIMER_PROF, 10 * self.seconds)
        try:
            self.target.read(data, self.folder)
            self.accepted += 1
        except self.target.refusals as error:
            str(error).encode()  # what cannot be printed is no message
            self.refused += 1
        except (Exception, Endless) as error:  # noqa: BLE001  # whatever else it is, it is a finding
            self._found(data, _name(error), "".join(traceback.format_exception(error)))
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        spent, grown = _spent() - before, (_most() - most) / 1024
        self.slowest = max(self.slowest, spent)
        if spent > self.seconds:
            self._found(data, "slow", f"{spent:.1f} s")
        if grown > MEMORY:
            self._found(data, "large", f"{grown:.0f} MiB more")

    def _jail(self) -> None:
        """Give root's rights up, as late as may be: the clone and its environment may lie where only root may enter."""
        _ = self.target.pool, self.target.words
        os.chown(self.folder, 65534, 65534)
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)

    def _found(self, data: bytes, name: str, text: str) -> None:
        self.times[name] += 1
        if name not in self.findings or len(data) < len(self.findings[name][0]):
            self.findings[name] = (data, text)

    def mutated(self, seed: int, count: int) -> None:
        """Give it every seed, and what was kept, and then ``count`` inputs that were made of the seeds, of which more are
        right than of what reaches rare lines: the same ones of the same seed."""
        random = Random(f"{self.target.name} {seed}")
        for data in self.target.pool:
            self.one(data)
        for _ in range(count):
            self.one(self.mutation(random, random.choice(self.target.begun)))

    def mutation(self, random: Random, data: bytes) -> bytes:
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            data = self.target.mutate(random, data, self.target.words)
        return data[:LONGEST]

    def report(self) -> dict[str, Any]:
        """What came of it, as JSON data."""
        return {
            "target": self.target.name, "inputs": self.inputs, "accepted": self.accepted, "refused": self.refused,
            "slowest": self.slowest, "most": _most() // 1024, "times": dict(self.times),
            "findings": {name: [data.hex(), text] for name, (data, text) in self.findings.items()},
        }  # fmt: skip


def _endless(*_: object) -> None:
    raise Endless


def _spent() -> float:
    """Seconds of processor time, with that of children."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _most() -> int:
    """KiB of memory that this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _name(error: BaseException) -> str:
    """What was raised, and by which two of the project's own lines: of findings that share it one is kept."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(str(ROOT))]
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[-2:] if frame.name != "one"]
    return f"{type(error).__name__} {' '.join(places)}"


@cache
def targets() -> dict[str, Target]:
    """All targets, by name."""
    from tests.fuzz import images, policies, profiles, programs, scores, written

    found = [
        item for module in (profiles, scores, written, images, policies, programs) for item in vars(module).values()
    ]
    return {item.name: item for item in found if isinstance(item, Target)}


def temporary() -> tempfile.TemporaryDirectory[str]:
    """A directory that goes again, and that who has no rights can be led to; in memory (shm_open(3)): a file that is
    written again and again waits a hundred times as long for a disk."""
    return tempfile.TemporaryDirectory(prefix="hardening-fuzz-", dir="/dev/shm")


def in_child(run: Callable[[Path], Run]) -> dict[str, Any]:
    """Run in a child process, which may give up its rights, with a directory of its own; and give what it reports."""
    with temporary() as folder:
        return _in_child(run, Path(folder))


def _in_child(run: Callable[[Path], Run], folder: Path) -> dict[str, Any]:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(reader)
            with open(writer, "w") as file:
                json.dump(run(folder).report(), file)
            code = 0
        except BaseException:  # noqa: BLE001  # it must not return into its parent's work
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writer)
    with open(reader) as file:
        text = file.read()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code == 0, f"the child ended with {code}"
    found: dict[str, Any] = json.loads(text)
    return found


def functions(module: str) -> Iterator[tuple[str, int]]:
    """The lines of a module that run when one of its functions does: file and number."""
    import importlib.util
    import inspect

    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    waiting: list[Any] = [compile(Path(spec.origin).read_text(), spec.origin, "exec")]
    while waiting:
        code = waiting.pop()
        waiting += [item for item in code.co_consts if hasattr(item, "co_lines")]
        if code.co_flags & inspect.CO_OPTIMIZED:
            yield from {(spec.origin, line) for *_, line in code.co_lines() if line and line != code.co_firstlineno}


@contextlib.contextmanager
def covered() -> Iterator[set[tuple[str, int]]]:
    """The lines of ours, without those of tests, that are run meanwhile; none before Python 3.12."""
    import sys

    lines: set[tuple[str, int]] = set()
    ours = (f"{ROOT}/hardening/", f"{ROOT}/plugins/")
    watch = getattr(sys, "monitoring", None)
    if watch is None:
        yield lines
        return

    def line(code: Any, number: int) -> object:
        if code.co_filename.startswith(ours):
            lines.add((code.co_filename, number))
        return watch.DISABLE  # once is enough

    watch.use_tool_id(watch.COVERAGE_ID, "fuzz")
    watch.register_callback(watch.COVERAGE_ID, watch.events.LINE, line)
    watch.set_events(watch.COVERAGE_ID, watch.events.LINE)
    watch.restart_events()  # of lines that somebody has seen before
    try:
        yield lines
    finally:
        watch.set_events(watch.COVERAGE_ID, 0)
        watch.free_tool_id(watch.COVERAGE_ID)


def fewest(run: Run, found: Iterable[bytes]) -> list[bytes]:
    """Of inputs those, the shortest first, that reach lines which neither a seed nor a shorter one does."""
    kept = []
    with covered() as lines:
        for data in run.target.begun:
            run.one(data)
        for data in sorted({*run.target.reached, *found}, key=lambda item: (len(item), item)):
            before = len(lines)
            run.one(data)
            if len(lines) > before:
                kept.append(data)
    return kept


def keep(place: Path, name: str, finding: str, data: bytes, text: str) -> Path:
    """Write a finding down, with what it raised beside it."""
    path = place / name / sha256(finding.encode()).hexdigest()[:12]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".bin").write_bytes(data)
    path.with_suffix(".txt").write_text(f"{finding}\n{text}\n", "utf-8", "backslashreplace")
    return path.with_suffix(".bin")
