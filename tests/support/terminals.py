"""Terminals for tests: a person's side of one, and a shell with job control that runs in it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shlex
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import attrs

from tests.support.patience import PATIENCE

PROMPT = "\n@ "


@attrs.define
class Screen:
    """A person's side of a terminal: ``seen`` is all that was shown so far, ``read`` how much of it was looked at."""

    master: int
    seen: str = ""
    read: int = 0

    def expect(self, words: str) -> str:
        """Wait for words after what was looked at before; what stands up to them."""
        end = time.monotonic() + PATIENCE
        while (at := self.seen.find(words, self.read)) < 0:
            assert time.monotonic() < end, f"{words!r} is not in {self.seen[self.read :]!r}"
            self._fill()
        found = self.seen[self.read : at]
        self.read = at + len(words)
        return found

    def _fill(self) -> None:
        if select.select([self.master], [], [], 0.1)[0]:
            self.seen += os.read(self.master, 4096).decode(errors="replace").replace("\r", "")

    def type(self, text: str) -> None:
        """Type keys."""
        os.write(self.master, text.encode())

    def resize(self, rows: int, columns: int) -> None:
        """Give the terminal another size."""
        size = rows.to_bytes(2, "little") + columns.to_bytes(2, "little") + bytes(4)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, size)

    @property
    def foreground(self) -> int:
        """The process group that has the terminal."""
        return os.tcgetpgrp(self.master)


@attrs.define
class Shell(Screen):
    """An interactive shell, whose jobs are commands. ``pid`` is the shell's own."""

    pid: int = 0

    def start(self, argv: Sequence[str], *, background: bool = False) -> None:
        """Begin a command as a job."""
        self.type(f"{shlex.join(argv)}{' &' if background else ''}\n")

    def ask(self, line: str) -> str:
        """What a line prints, at the prompt."""
        self.type(f"{line}; echo '<'done'>'\n")
        said = self.expect("<done>").rpartition("'<'done'>'\n")[2]
        self.expect(PROMPT)  # so that nobody takes it for the one behind the next command
        return said.replace("@ ", "").strip()  # typed ahead of a prompt

    def modes(self) -> str:
        """The modes of the terminal as stty(1) shows them, at a moment at which the shell runs it."""
        return self.ask("stty -g")


@contextmanager
def shell() -> Iterator[Shell]:
    """A bash in a terminal of its own. It and what it has started are hung up at the end."""
    pid, master = pty.fork()
    if pid == 0:
        variables = {"PS1": "@ ", "HISTFILE": "/dev/null", "TERM": "dumb", "INPUTRC": "/dev/null", "COLUMNS": "500"}
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"], {**os.environ, **variables})
    found = Shell(master, pid=pid)
    try:
        found.resize(33, 500)
        found.expect("@ ")
        yield found
    finally:
        os.close(master)
        os.waitpid(pid, 0)
