"""One run of the bench: everything measured, as the data that is kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from tests.bench import comparing, composing, explaining, filters, launches, machine, memory, steps, verifying
from tests.bench.contenders import BenchError, Contender, Place
from tests.bench.page import COMPOSING, LAUNCHER
from tests.bench.samples import in_turns
from tests.bench.signed import Hub, hub
from tests.bench.targets import BESIDE, COMMAND, EXPLAIN, FIRST, INSPECT, LAUNCH, NEW, OWN, READ, RECORDED, RUN
from tests.support.users import User

TRUE = ("/bin/true",)
PROFILES = ("strict", "default")


@attrs.frozen
class Size:
    """How much is measured: rounds of launches and those before that do not count, samples of memory, repetitions of the
    rest, calls under a filter, the points of the curves, images to verify, containers to look at, the scopes of two
    policies, and profiles that are linted."""

    rounds: int = 40
    warm: int = 2
    samples: int = 5
    repeats: int = 5
    calls: int = 200_000
    layers: tuple[int, ...] = (1, 2, 5, 10, 20, 50, 100)
    profiles: tuple[int, ...] = (10, 30, 100, 300, 1000, 3000, 10000)
    images: int = 100
    containers: int = 100
    scopes: tuple[int, int] = (10, 10000)
    linted: int = 2000


#: Enough to see that everything can be measured.
TINY = Size(
    rounds=1,
    warm=0,
    samples=1,
    repeats=1,
    calls=1000,
    layers=(1, 3),
    profiles=(2, 4),
    images=2,
    containers=2,
    scopes=(2, 4),
    linted=4,
)


@attrs.frozen
class Bench:
    """What a run needs: ``folder`` is for everything that it makes, ``program`` is the ``hardening`` that is measured, and
    ``user`` an ordinary user beside root, where there is one."""

    folder: Path
    program: Path
    user: User | None
    size: Size

    @property
    def root(self) -> bool:
        """Whether root measures: memory and loaded filters are seen by root alone."""
        return os.geteuid() == 0

    def measured(self) -> dict[str, Any]:
        """The whole result: samples in milliseconds (launches, images, steps, imports), megabytes, seconds (curves,
        policies and verdicts), instructions and nanoseconds."""
        described = machine.described(self.program)
        places = dict(self._places())
        notes: list[str] = [*machine.busy(os.getloadavg()[0], len(os.sched_getaffinity(0)))]
        result: dict[str, Any] = {"machine": described, "notes": notes}
        timed = {who: self._launches(place, user) for who, (place, user) in places.items()}
        notes += [f"Not measured as {who}: {note}" for who, found in timed.items() for note in found.notes]
        result["launches"] = {who: found.samples for who, found in timed.items()}
        result["memory"] = {
            who: self._memory(place, user, timed[who].samples) for who, (place, user) in places.items() if self.root
        }
        with hub(self.folder / "hub") as found:
            say("runs of a signed image")
            image = found.push(next(iter(places.values()))[0].folder / "root")
            rooted = {who: self._rooted(found, image, place, user) for who, (place, user) in places.items()}
            say("verdicts on many images")
            result["verifying"] = self._verified(found)
        notes += [f"Not measured as {who}: {note}" for who, timed_ in rooted.items() for note in timed_.notes]
        result["images"] = {who: timed_.samples for who, timed_ in rooted.items()}
        result["curves"] = self._curves()
        say("comparing shipped stacks")
        result["comparing"] = json.loads(self._script(comparing.__file__, str(min(self.size.repeats, 3))))
        result["linting"] = self._linted()
        result["explaining"] = self._explained(next(iter(places.values()))[0])
        place = next(iter(places.values()))[0]
        result["asking"] = self._asked(place)
        result |= self._filters(place) if self.root else {"instructions": {}, "percall": {}}
        result["steps"], result["imports"] = self._steps(place), self._imports(place)
        if not self.root:
            notes.append("Memory and filters were not measured: only root can see those of others.")
        return result

    def _places(self) -> Iterator[tuple[str, tuple[Place, User | None]]]:
        if self.root:
            yield "root", (Place.made(self.folder / "root", self.program, None), None)
        user = self.user
        if user is not None:
            yield "an ordinary user", (Place.made(self.folder / "user", self.program, user), user)

    def _launches(self, place: Place, user: User | None) -> launches.Timed:
        say(f"launches in {place.folder}")

        def work() -> launches.Timed:
            return launches.timed(place.contenders(*TRUE), self.size.rounds, self.size.warm, place.folder / "errors")

        return launches.as_user(user, work)

    def _memory(self, place: Place, user: User | None, working: Container[str]) -> dict[str, list[float]]:
        say(f"memory in {place.folder}")
        command = ("/bin/sleep", "86399")
        found: dict[str, list[float]] = {}
        contenders = launches.as_user(user, partial(place.contenders, *command))
        for _ in range(self.size.samples):
            for contender in contenders:
                # What waits is the same however it was composed.
                if contender.name in working and contender.name not in (FIRST, NEW):
                    megabytes = memory.waiting(contender, command, self.folder / "errors", user)
                    found.setdefault(contender.name, []).append(megabytes)
        return found

    def _rooted(self, found: Hub, image: str, place: Place, user: User | None) -> launches.Timed:
        def work() -> launches.Timed:
            contenders = place.rooted(image, found.profile, *TRUE)
            # Two runs of a kind are all that there is to compare, so half as many rounds do.
            rounds = max(1, self.size.rounds // 2)
            timed = launches.timed(contenders, rounds, self.size.warm, place.folder / "errors")
            place.forget(image)
            return timed

        return launches.as_user(user, work)

    def _verified(self, found: Hub) -> dict[str, Any]:
        taken = verifying.measured(found, self.program, self.size.images)
        seconds = {transport: {who: spent.wall for who, spent in by.items()} for transport, by in taken.items()}
        return {"images": self.size.images, "seconds": seconds}

    def _explained(self, place: Place) -> dict[str, dict[int, list[float]]]:
        """Seconds, by what is measured and by the number of scopes."""
        say("policies of many scopes")
        words = (str(self.size.repeats), *map(str, self.size.scopes))
        read, asked = map(json.loads, self._script(explaining.__file__, *words).splitlines())
        commands = {}
        for count in self.size.scopes:
            folder = self.folder / f"scopes-{count}"
            folder.mkdir()
            [profile] = composing.write(folder, "scopes", count)
            words = ("trust", "explain", "-p", profile, f"{explaining.scope(count // 2)}:1")
            commands[str(count)] = Contender(COMMAND, (str(self.program), *words), place.environment)
        turns = {count: partial(one.seconds, self.folder / "errors") for count, one in commands.items()}
        return {EXPLAIN: asked, READ: read, COMMAND: in_turns(turns, self.size.repeats)}

    def _asked(self, place: Place) -> dict[str, dict[str, list[float]]]:
        """Seconds, by what is asked and by who answers."""
        found = {}

        def take(what: str, contenders: Sequence[Contender]) -> None:
            say(f"asking: {what}")
            turns = {one.name: partial(one.seconds, self.folder / "errors") for one in contenders}
            found[what] = in_turns(turns, self.size.repeats, warm=self.size.warm)

        for what, contenders in place.asking().items():
            take(what, contenders)
        with place.inspected(self.size.containers) as contenders:
            take(INSPECT, contenders)
        for what in RECORDED:
            say(f"asking: {what}")
            taken = [place.recorded(what) for _ in range(self.size.repeats)]
            found[what] = {name: [seconds[name] for seconds in taken] for name in (OWN, BESIDE)}
        return found

    def _script(self, path: str, *words: str) -> str:
        """What a script prints that the measured interpreter runs."""
        argv = [str(self.program.with_name("python")), path, *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd="/")
        if done.returncode != 0:
            raise BenchError(f"{Path(path).stem} {' '.join(words)}: {done.stderr.strip()[-500:]}")
        return done.stdout

    def _curves(self) -> dict[str, dict[str, list[float]]]:
        found: dict[str, dict[str, list[float]]] = {}
        for curve in composing.CURVES:
            for count in self.size.layers if curve == "layers" else self.size.profiles:
                say(f"composing: {curve}, {count}")
                repeats = self.size.repeats if count <= 300 else 1
                lines = self._script(composing.__file__, curve, str(count), str(repeats)).split()
                found.setdefault(curve, {})[str(count)] = [float(line) for line in lines]
        return found

    def _linted(self) -> dict[str, Any]:
        """Seconds after the start of the program."""
        say("lint of many profiles")
        lines = self._script(
            composing.__file__, composing.LINTED, str(self.size.linted), str(self.size.repeats)
        ).split()
        return {"files": self.size.linted, "seconds": [float(line) for line in lines]}

    def _filters(self, place: Place) -> dict[str, Any]:
        say("filters")
        instructions: dict[str, dict[str, dict[str, int]]] = {}
        percall: dict[str, dict[str, list[float]]] = {}
        program = filters.compiled(self.folder)
        for profile in PROFILES:
            paths = {}
            for name, contender in self._filtering(place, profile).items():
                with started(contender, self.folder / "errors") as pid:
                    data = filters.loaded(pid)
                instructions.setdefault(profile, {})[name] = filters.instructions(data)
                paths[name] = self.folder / f"{profile}-{name}.bpf"
                paths[name].write_bytes(data)
            if profile == PROFILES[0]:
                percall = filters.percall(program, {"none": None, **paths}, self.size.calls, self.size.repeats)
        return {"instructions": instructions, "percall": percall}

    def _filtering(self, place: Place, profile: str) -> dict[str, Contender]:
        bundle = place.bundle(*SLEEP, profile=profile)
        launch = (str(self.program), "launch", str(bundle))
        crun = ("crun", f"--root={place.folder}/crun", "--cgroup-manager=disabled", "run", f"--bundle={bundle}", "{id}")
        return {
            "hardening": Contender("hardening", launch, place.environment),
            "crun": Contender("crun", crun, place.environment),
        }

    def _steps(self, place: Place) -> dict[str, list[tuple[str, float]]]:
        if os.geteuid() != 0:
            say("no steps: newuidmap(1) gains nothing under a tracer that has no more than the user")
            return {}
        say("steps")
        found = {}
        for contender in place.contenders(*TRUE):
            if contender.name in (LAUNCH, RUN, FIRST):
                contender.seconds(self.folder / "errors")  # only what is fresh each time has not been run before
                runs = [
                    steps.traced(contender.argv, self._anew(contender, number), self.folder)
                    for number in range(self.size.repeats)
                ]
                found[contender.name] = steps.profile(runs)
        return found

    def _anew(self, contender: Contender, number: int) -> dict[str, str]:
        state = contender.environment["HARDENING_STATE"]
        return {**contender.environment, **({"HARDENING_STATE": f"{state}/steps-{number}"} if contender.fresh else {})}

    def _imports(self, place: Place) -> dict[str, dict[str, float]]:
        python = str(self.program.with_name("python"))
        launcher = (
            python,
            "-I",
            "-S",
            "-c",
            f"import sys; sys.path += {self._paths(python)}; import hardening.launch.main",
        )
        whole = str(self.program.with_name("hardening-cli"))
        run = (python, "-I", whole, "run", "--dry-run", "-q", "--rootfs", str(place.folder / "root"), "--", *TRUE)
        return {
            LAUNCHER: self._import_times(launcher, place, depth=3),
            COMPOSING: self._import_times(run, place, depth=1),
        }

    def _import_times(self, argv: tuple[str, ...], place: Place, depth: int) -> dict[str, float]:
        return steps.quickest([steps.imports(argv, place.environment, depth) for _ in range(self.size.repeats)])

    def _paths(self, python: str) -> str:
        code = (
            "import hardening, _cffi_backend, pathlib; print(sorted({str(pathlib.Path(f).parents[n]) for f, n in "
            "((hardening.__file__, 1), (_cffi_backend.__file__, 0))}))"
        )
        return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, cwd="/").stdout.strip()


SLEEP = ("/bin/sleep", "86398")


@contextmanager
def started(contender: Contender, errors: Path) -> Iterator[int]:
    """The process id of `SLEEP` under a launcher, which is ended afterwards."""
    process = contender.start(errors)
    target = memory.find(SLEEP, os.getpid())
    try:
        if target is None:
            process.kill()
            raise BenchError(f"{contender.name} does not start: {errors.read_text().strip()[-500:]}")
        yield target
    finally:
        if target is not None:
            os.kill(target, signal.SIGKILL)
        process.wait()


def say(text: str) -> None:
    """Tell what is being done."""
    print(f"bench: {text}", file=sys.stderr, flush=True)
