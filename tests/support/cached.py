"""A folder in which lines are typed, and what is stored of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from hardening.base.digest import sha256
from hardening.launch import fingerprints
from hardening.launch.request import LaunchRequest
from tests.support.forking import typed
from tests.support.patience import until
from tests.support.runs import busybox_root, workplace
from tests.support.users import User, program

#: What the start of `hardening run` asks, and nothing else: the bundle of the entry that is valid, or an empty line.
_FIND = """
import sys
sys.path += sys.argv.pop(1).split(":")
from hardening.base import files
from hardening.launch import cache
files.restore_environment()
found = cache.find(sys.argv[1:], files.environment())
print("" if found is None else found.bundle.directory)
"""
PROGRAM = Path(sys.executable).with_name("hardening")
#: The whole program, without the short way of `PROGRAM`.
WHOLE = (sys.executable, "-I", "-B", str(PROGRAM.with_name("hardening-cli")))
OPEN = 'extends = ["default"]\n[process]\numask = "{}"\n'
PROFILE = 'extends = ["strict"]\n[process]\numask = "{}"\n'
UMASK = ("run", "-q", "-p", "./app.toml", "--", "sh", "-c", "umask")
WAIT = ("sh", "-c", "echo ready; read -r line; exit 3")
#: What `typed_place` types.
LINE = (
    *("run", "-q", "-p", "./app.toml", "--rootfs", "./tree", "-v", "./data:/data", "-u", "root"),
    *("--", "sh", "-c", "umask"),
)


@attrs.frozen
class Place:
    """``folder`` is where lines are typed; the state directory is in it. ``program`` is the argv before the words; ``user``
    types them, or whoever runs the tests."""

    folder: Path
    program: tuple[str, ...] = (str(PROGRAM),)
    environment: Mapping[str, str] = attrs.field(factory=lambda: dict(os.environ))
    user: User | None = None

    @classmethod
    def of(cls, folder: Path, user: User) -> Place:
        """A place of a user's, with their program and environment."""
        return cls(folder, tuple(user.argv([program(user)])), user.environment, user)

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.folder / "state"

    def surroundings(self, changes: Mapping[str, str | None] | None = None) -> dict[str, str]:
        """The environment of a line: a configuration of the place's own, some variables changed, or with None taken away."""
        own = {"HARDENING_STATE": str(self.state), "XDG_CONFIG_HOME": str(self.folder / "config")}
        found: dict[str, str | None] = {**self.environment, **own, **(changes or {})}
        return {name: value for name, value in found.items() if value is not None}

    def type(
        self,
        *words: str,
        changes: Mapping[str, str | None] | None = None,
        umask: int = -1,
        cwd: Path | str = "",
        **options: Any,
    ) -> subprocess.CompletedProcess[str]:
        """Type a line and wait for its end: in a fork, but with ``options`` of `subprocess.run` or by another program."""
        if (self.user is not None or self.program == (str(PROGRAM),)) and not options:
            return typed(self.user, *words, cwd=cwd or self.folder, env=self.surroundings(changes), umask=umask)
        settings = {"cwd": cwd or self.folder, "stdin": subprocess.DEVNULL, "timeout": 120, **options}
        return subprocess.run(
            [*self.program, *words], env=self.surroundings(changes), capture_output=True, text=True, check=False,
            umask=umask, **settings,
        )  # fmt: skip

    def finds(
        self, *words: str, changes: Mapping[str, str | None] | None = None, umask: int = -1, **options: Any
    ) -> bool:
        """Whether an entry is valid for a line. One that never will be again is gone afterwards."""
        argv = LaunchRequest().argv("/")
        places = argv[argv.index("-c") + 2]
        settings = {"cwd": self.folder, "stdin": subprocess.DEVNULL, **options}

        def found() -> bool:
            done = subprocess.run(
                [sys.executable, "-I", "-S", "-c", _FIND, places, *words], env=self.surroundings(changes),
                capture_output=True, text=True, check=True, umask=umask, **settings,
            )  # fmt: skip
            return bool(done.stdout.strip())

        entry = next(iter(self.entries()), None)
        kept = b"" if entry is None else entry.read_bytes()
        if found():
            return True
        if entry is None or _is_of_these_mounts(kept):
            return False
        entry.write_bytes(kept)  # others mount, too: it counts again when the table is as it was
        until(lambda: _is_of_these_mounts(kept))
        return found()

    def entries(self) -> list[Path]:
        """The entries that are kept."""
        return sorted(self.state.glob("cache/*/*/entry.json"))

    def bundle(self) -> Path:
        """The bundle of the only entry."""
        (entry,) = self.entries()
        return entry.parent / "bundle"

    def read(self) -> dict[str, Any]:
        """The only entry."""
        (entry,) = self.entries()
        found: dict[str, Any] = json.loads(entry.read_bytes().split(b"\n", 1)[1])
        return found

    def keep(self) -> None:
        """Remember what is stored, for `restore`."""
        shutil.copytree(self.state, self.folder / "kept", symlinks=True)

    def restore(self) -> None:
        """Have stored again what was remembered."""
        shutil.rmtree(self.state)
        shutil.copytree(self.folder / "kept", self.state, symlinks=True)


def _is_of_these_mounts(entry: bytes) -> bool:
    """Whether no mount has come or gone since an entry was kept, or it is none any more."""
    try:
        stored = json.loads(entry.partition(b"\n")[2])["inputs"]["mounts"].items()
    except (ValueError, KeyError, TypeError, AttributeError):
        return True
    return all(fingerprints.mounts(kinds) == seen for kinds, seen in stored)


@contextmanager
def typed_place() -> Iterator[Place]:
    """A place where `LINE` was typed, which depends on much; `Place.restore` brings its entry back."""
    with workplace() as folder:
        here = Place(folder)
        (folder / "app.toml").write_text(OPEN.format("077"))
        busybox_root(folder / "tree")
        (folder / "tree/etc/group").write_text("root:x:0:\n")
        (folder / "data").mkdir()
        done = here.type(*LINE)
        assert (done.returncode, done.stdout) == (0, "0077\n"), done.stderr
        here.keep()
        yield here


def write_alike(path: Path, text: str) -> None:
    """Replace a file by one of the same size, and of the same time as far as that can be had."""
    before = path.stat()
    assert len(text.encode()) == before.st_size
    write_alike_bytes(path, text.encode())
    assert (path.stat().st_mtime_ns, path.stat().st_size) == (before.st_mtime_ns, before.st_size)


def write_alike_bytes(path: Path, data: bytes) -> None:
    """Replace a file by one of the same time, as far as that can be had."""
    before = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def rewrite(entry: Path, **values: object) -> None:
    """Change an entry, and have it look as if it had been written so."""
    found = json.loads(entry.read_bytes().split(b"\n", 1)[1]) | values
    text = json.dumps(found).encode()
    entry.write_bytes(sha256(text).encode() + b"\n" + text)
