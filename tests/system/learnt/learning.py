"""One command learnt, and run again under the layer that came of it."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from tests.support.runs import hand_over, workplace
from tests.support.users import User, program
from tests.system.learnt.commands import DATA, Case, prepare

_BASE = """extends = ["strict"]
[process]
cwd = "{data}"
[rootfs]
volumes = ["{folder}:{data}:{options}"]
[[exceptions]]
setting = "rootfs.volumes.{data}"
reason = "what the command is tried on"
"""


@attrs.frozen
class Learnt:
    """What came of a command: the processor time of learning it, what `learn` said, the layer, None without one, and whether
    the command succeeded under it in one more run."""

    case: Case
    seconds: float
    said: str
    layer: dict[str, Any] | None
    replays: bool

    @property
    def calls(self) -> frozenset[str]:
        """The system calls that the layer's own filter allows, with whatever arguments; none where it has no filter."""
        table = (self.layer or {}).get("seccomp", {})
        return frozenset(table.get("allow", ())).union(*(rule["names"] for rule in table.get("rules", ())))

    @property
    def loosened(self) -> list[str]:
        """The leaves that the layer loosens."""
        return [item["setting"] for item in (self.layer or {}).get("exceptions", ())]

    @property
    def writable(self) -> list[str]:
        """The places that are left writable."""
        table = (self.layer or {}).get("rootfs", {})
        gone = {*table.get("tmpfs", {}).get("drop", ()), *table.get("volumes", {}).get("drop", ())}
        gone |= {place.partition(":")[0] for place in table.get("tmpfs", {}).get("add", ()) if "mode=1555" in place}
        gone |= {DATA for volume in table.get("volumes", {}).get("add", ()) if "rw" not in volume.split(":")[2:]}
        return [place for place in (DATA, "/run", "/tmp", "/var/tmp") if place not in gone]


@attrs.frozen
class _Place:
    folder: Path
    user: User | None

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Call the program as its caller types it."""
        own = program(self.user) if self.user is not None else str(Path(sys.executable).with_name("hardening"))
        argv = self.user.argv([own, *words]) if self.user is not None else [own, *words]
        base = self.user.environment if self.user is not None else os.environ
        return subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=self.folder, timeout=600,
            env={**base, "TERM": "vt100", "HARDENING_STATE": str(self.folder / "state")},
        )  # fmt: skip


@contextmanager
def _place(user: User | None) -> Iterator[_Place]:
    with workplace(user) as folder:
        data = folder / "data"
        data.mkdir()
        prepare(data)
        hand_over(data, user)
        options = "rw,idmap" if user is None and os.geteuid() == 0 else "rw"
        (folder / "base.toml").write_text(_BASE.format(folder=data, data=DATA, options=options))
        yield _Place(folder, user)


def learnt(case: Case, user: User | None, words: Sequence[str] = ()) -> Learnt:
    """Have a command learnt by ``user``, or by whoever runs the tests, with further ``words`` for `learn`."""
    with _place(user) as place:
        before = _seconds()
        done = place.call("learn", "-p", "./base.toml", "-o", "layer.toml", *words, "--", *case.argv)
        seconds = _seconds() - before
        if done.returncode != 0:
            return Learnt(case, seconds, done.stderr, None, False)
        layer = tomllib.loads((place.folder / "layer.toml").read_text())
        again = place.call("run", "-q", "-p", "./layer.toml", "--", *case.argv)
        return Learnt(case, seconds, done.stderr + again.stderr, layer, again.returncode == 0)


def _seconds() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime
