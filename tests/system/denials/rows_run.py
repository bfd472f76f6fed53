"""How a row is run: its folder, its stack, its command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs

from tests.support.forking import typed
from tests.support.runs import workplace
from tests.support.users import User, program
from tests.system.denials.rows import Row


@attrs.frozen
class Place:
    """A row's folder, prepared, and who stands in it; None for whoever runs the tests."""

    row: Row
    folder: Path
    user: User | None

    @property
    def program(self) -> str:
        """The program that the caller types."""
        return program(self.user) if self.user is not None else str(Path(sys.executable).with_name("hardening"))

    def profile(self, name: str, text: str, extends: str) -> Path:
        """A profile that is written here."""
        path = self.folder / f"{name}.toml"
        path.write_text(
            (f'extends = ["{extends}"]\n' if extends else "")
            + text.replace("{folder}", str(self.folder)).replace("{{", "{").replace("}}", "}")
        )
        return path

    def line(self, verb: str, *words: str, fixed: bool = False) -> list[str]:
        """The command line that runs the row, or asks about it."""
        row = self.row
        profile = self.profile("row", row.stack, row.base)
        if fixed:
            profile = self.profile("fixed", row.fix or "", str(profile))
        shown = ["-v", f"{self.folder}:{self.folder}:ro"] if row.shown else []
        shown += (
            ["--exception", f"rootfs.volumes.{self.folder}=the row's folder"]
            if row.shown and row.base == "strict"
            else []
        )
        options = [*row.options, *shown, *(row.fix_options if fixed else ())]
        command = [word.replace("{folder}", str(self.folder)) for word in row.command]
        return [*row.before, self.program, verb, *words, "-p", str(profile), *options, "--", *command]

    def run(self, argv: Sequence[str], seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """A command line as its caller types it."""
        user = self.user
        env = {**(user.environment if user is not None else os.environ), "HARDENING_STATE": str(self.folder / "state")}
        if argv[0] == self.program:
            return typed(user, *argv[1:], cwd=self.folder, env=env)
        argv = user.argv(argv) if user is not None else list(argv)
        return subprocess.run(
            argv, capture_output=True, text=True, timeout=seconds, env=env, cwd=self.folder, stdin=subprocess.DEVNULL
        )


@contextmanager
def place(row: Row, user: User | None) -> Iterator[Place]:
    """A prepared folder, which goes afterwards."""
    with workplace(user) as folder:
        folder.chmod(0o755)
        if row.prepare is not None:
            row.prepare(folder)
        yield Place(row, folder, user)
