"""Containers in the background, through the command line, with a state directory of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from hardening.report.containers import data
from hardening.runs.containers import known
from hardening.runs.logs import Log
from tests.support import runs, users
from tests.support.features import require
from tests.support.forking import typed
from tests.support.users import User, ordinary


@attrs.frozen
class Caller:
    """Somebody who calls `hardening`; ``state`` is their state directory, in a folder for what they need."""

    user: User | None
    folder: Path

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets"

    @property
    def images(self) -> Path:
        return self.folder / "images"

    @property
    def program(self) -> str:
        """The program that they start."""
        return users.program(self.user) if self.user is not None else str(Path(sys.executable).with_name("hardening"))

    def argv(self, *words: str) -> list[str]:
        """The command line of a call."""
        argv = [self.program, *words]
        return self.user.argv(argv) if self.user is not None else argv

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a call."""
        base = self.user.environment if self.user is not None else dict(os.environ)
        own = {"HARDENING_STATE": self.state, "HARDENING_SECRETS": self.secrets, "HARDENING_IMAGES": self.images}
        return {**base, **{name: str(path) for name, path in own.items()}, "NO_COLOR": "1"}

    def call(self, *words: str, text: str | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
        """Call it and wait for its end: in a fork, but with ``options`` of `subprocess.run`."""
        if not options:
            return typed(self.user, *words, cwd="/", env=self.environment, text=text or "")
        return subprocess.run(
            self.argv(*words), input=text, stdin=subprocess.DEVNULL if text is None else None, capture_output=True,
            text=True, cwd="/", env=self.environment, timeout=60, check=False, **options,
        )  # fmt: skip

    def say(self, *words: str, **options: Any) -> str:
        """What a call prints, which must not fail."""
        done = self.call(*words, **options)
        assert done.returncode == 0, done.stderr
        return done.stdout.rstrip("\n")

    def start(self, *command: str, options: tuple[str, ...] = (), runtime: str = "native") -> str:
        """Start a container in the background: its id."""
        return self.say("run", "-d", "-q", "--runtime", runtime, *options, "--", *command)

    def listed(self) -> list[dict[str, Any]]:
        """What `ps -a --json` says, asked without a start of the program."""
        with users.owner(self.folder):  # the state may be made just now
            return data(known(self.state / "launches"))

    def one(self, identity: str) -> dict[str, Any]:
        """What `ps -a --json` says of one container."""
        (found,) = [item for item in self.listed() if identity in (item["id"], item["name"])]
        return found

    def logged(self, identity: str) -> str:
        """What stands in a container's log, both streams, asked without a start of the program."""
        with Log(self.state / "launches" / identity) as log:
            return b"".join(record.text + b"\n" * record.ends for record in log.history()).decode()

    def left(self) -> list[str]:
        """What lies in the state directory, but for the empty folders that stay."""
        return [str(path.relative_to(self.state)) for path in self.state.glob("launches/*")]


def callers(name: str) -> Iterator[Caller]:
    """``root``, or the ordinary ``user``: what a fixture yields from."""
    if name == "root":
        require("root")
        with caller() as found:
            yield found
    else:
        require("userns")
        with caller(ordinary()) as found:
            yield found


@contextmanager
def caller(user: User | None = None) -> Iterator[Caller]:
    """Somebody with an empty state directory; what they left running is removed at the end."""
    with runs.workplace(user) as folder:
        found = Caller(user, folder)
        try:
            yield found
        finally:
            if any(found.state.glob("launches/*")):
                found.call("rm", "-f", "-a")
