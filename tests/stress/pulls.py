"""Pulls that are killed at random moments: the store verifies after each, and the next pull succeeds."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import attrs

from tests.stress.tally import Tally
from tests.support.forking import typed
from tests.support.images import archive, entry, folder, layout, shell
from tests.support.patience import PATIENCE
from tests.support.users import User

ACCEPT = ("--set", 'trust.default="accept"')


@attrs.frozen
class Puller:
    """Who pulls (``user`` None: the caller), with which program, into a store in a place of their own."""

    program: str
    place: Path
    user: User | None = None
    #: The registry that the images are pulled from, which has no TLS; without one, they are layouts in the place.
    registry: str = ""

    def name(self, which: int) -> str:
        """The name of one of the images of `prepare`."""
        return f"{self.registry}/image{which}:v1" if self.registry else f"oci:{self.place}/image{which}"

    def pull(self, which: int) -> tuple[str, ...]:
        """The line that pulls it."""
        return ("pull", "-q", *ACCEPT, *(("--tls-verify=false",) if self.registry else ()), self.name(which))

    @property
    def environment(self) -> Mapping[str, str]:
        """A login's, with everything that a pull writes to in the place."""
        own = self.user.environment if self.user is not None else dict(os.environ)
        return {**own, "HARDENING_STATE": str(self.place / "state"), "HARDENING_IMAGES": str(self.place / "images")}

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Type a line, in a process group of its own."""
        argv = [self.program, *words]
        return subprocess.Popen(
            self.user.argv(argv) if self.user is not None else argv, cwd=self.place, env=self.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def type(self, *words: str) -> tuple[int, str]:
        """Type a line and wait for its end: exit code, and what it said."""
        done = typed(self.user, *words, cwd=self.place, env=self.environment, merged=True)
        return done.returncode, done.stdout


def prepare(place: Path, registry: str = "") -> None:
    """Two images of a few layers, which share the first; in a registry as well."""
    for number in (1, 2):
        own = [folder(f"d{number}"), *(entry(f"d{number}/{name}", os.urandom(20_000)) for name in range(40))]
        layout(place / f"image{number}", [shell(), archive(own), archive([entry(f"d{number}/.wh.3", b"")])])
        if registry:
            target = f"docker://{registry}/image{number}:v1"
            copy = ["skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci:{place}/image{number}:v1", target]
            subprocess.run(copy, check=True, capture_output=True, timeout=PATIENCE)


def kill_at_random(puller: Puller, count: int, seed: int) -> Tally:
    """SIGKILL to the whole group of a pull, or to its first process alone, at moments that are spread over its length."""
    tally = Tally(f"pulls from {'a registry' if puller.registry else 'a layout'}: SIGKILL at random")
    chance = random.Random(seed)
    begun = time.monotonic()
    problem = _pull(puller, 1)
    length = time.monotonic() - begun
    for number in range(count):
        which, whole, moment = chance.choice((1, 2)), chance.random() < 0.5, chance.uniform(0, length * 1.1)
        if chance.random() < 0.5:
            puller.type("rmi", "-f", puller.name(which))
        what = f"{'group' if whole else 'parent'} after {moment * 1000:.0f} ms (seed {seed}, number {number})"
        process = puller.start(*puller.pull(which))
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            (os.killpg if whole else os.kill)(process.pid, signal.SIGKILL)
        process.communicate(timeout=PATIENCE)
        tally.count += 1
        tally.ran += process.returncode == 0
        problem = problem or _check(puller) or (_pull(puller, which) if number % 10 == 9 else "")
        if problem:
            tally.problems.append(f"{what}: {problem}")
            problem = ""
    for which in (1, 2):
        problem = _pull(puller, which) or _check(puller) or _leftover(puller)
        if problem:
            tally.problems.append(f"at the end: {problem}")
    return tally


def _pull(puller: Puller, which: int) -> str:
    code, said = puller.type(*puller.pull(which))
    return "" if code == 0 else f"a pull that nobody killed fails: {said}"


def _check(puller: Puller) -> str:
    code, said = puller.type("images", "--check")
    return "" if code == 0 else said


def _leftover(puller: Puller) -> str:
    """What lies in `partial` after a pull that went well."""
    left = os.listdir(puller.place / "images/partial") if (puller.place / "images").exists() else []
    return f"left behind: {left}" if left else ""
