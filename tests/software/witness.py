"""What strace(1) sees the programs of a page touch: a witness beside what `hardening learn` has seen itself."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs

from tests.software.harness import Place, Service

_LINE = re.compile(r"(\d+) +(.*)")
_UNFINISHED, _RESUMED = " <unfinished ...>", re.compile(r"<\.\.\. \w+ resumed>")
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+)(?:<(.*)>)?")
#: A path as an argument, alone or from a descriptor of a directory on; the address of a socket.
_PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"|sun_path="((?:[^"\\]|\\.)*)"')
#: Calls that leave a path as it was, but for one that opens it to write or makes it.
_LOOKS = re.compile(
    r"access|faccessat|stat|lstat|newfstatat|statx|readlink|statfs|chdir|execve|getxattr|name_to_handle|open"
)
_WRITES = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TMPFILE")


@attrs.frozen
class Touched:
    """The paths inside that were touched without an error, and those of them that something was written to or made at."""

    paths: frozenset[str] = frozenset()
    written: frozenset[str] = frozenset()

    def __or__(self, other: Touched) -> Touched:
        return Touched(self.paths | other.paths, self.written | other.written)


def touched(lines: Sequence[str]) -> Touched:
    """What the command of a launch has touched, by what ``strace -f -y`` tells of both: all after the process that has moved
    to another root has executed it, but for what was there before."""
    paths: set[str] = set()
    written: set[str] = set()
    launcher: set[str] = set()
    begun: dict[str, str] = {}
    first, is_there = "", False
    for found in filter(None, map(_LINE.fullmatch, lines)):
        pid, text = found[1], found[2]
        if text.endswith(_UNFINISHED):
            begun[pid] = text.removesuffix(_UNFINISHED)
            continue
        call = _CALL.match(begun.pop(pid, "") + _RESUMED.sub("", text))
        if call is None or int(call[3]) < 0:
            continue
        if not is_there:
            launcher.add(pid)
            first = pid if call[1] == "pivot_root" else first
            is_there = pid == first and call[1] == "execve"
        elif pid == first or pid not in launcher:
            named = {*_named(call[2]), *([call[4]] if call[4] is not None else [])}
            places = {os.path.normpath(path) for path in named if path.startswith("/")}
            paths |= places
            if not _LOOKS.match(call[1]) or _WRITES.search(call[2]):
                written |= places
    return Touched(frozenset(paths), frozenset(written))


def _named(arguments: str) -> Iterator[str]:
    for directory, path, address in _PATH.findall(arguments):
        text = (path or address).encode().decode("unicode_escape").encode("latin-1").decode("utf-8", "replace")
        yield os.path.join(directory, text)


@attrs.frozen
class Witnessed(Place):
    """A place where each command runs under strace(1), which a receipt's own trace would keep away."""

    found: list[Touched] = attrs.Factory(list)

    def argv(self, command: Sequence[str], profiles: Sequence[str] = (), options: Sequence[str] = ()) -> list[str]:
        words = super().argv(command, profiles, options)
        place = words.index("--receipt")
        # A grandchild traces, so that signals and the exit code are the command's.
        tracing = ["strace", "-D", "-f", "-y", "-qq", "-e", "signal=none", "-e", "trace=%file,bind,pivot_root"]
        return [*tracing, "-o", str(self._pipe), *words[:place], *words[place + 2 :]]

    def run(
        self, *command: str, profiles: Sequence[str] = (), options: Sequence[str] = (), stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        given = [*(["-i"] if stdin is not None else []), *options]
        with self._listening():
            return self._call(self.argv(command, profiles, given), stdin)

    @contextmanager
    def serving(self, *command: str, profiles: Sequence[str] = (), options: Sequence[str] = ()) -> Iterator[Service]:
        with self._listening(), self._service(self.argv(command, profiles, options)) as service:
            yield service

    @property
    def _pipe(self) -> Path:
        return self.folder / "strace.pipe"

    @contextmanager
    def _listening(self) -> Iterator[None]:
        os.mkfifo(self._pipe)
        pool = ThreadPoolExecutor(1)
        told = pool.submit(self._pipe.read_text, errors="replace")
        try:
            yield
            self.found.append(touched(told.result(self.patience).splitlines()))
        finally:
            with suppress(OSError):  # nobody waits for strace any more
                os.close(os.open(self._pipe, os.O_WRONLY | os.O_NONBLOCK))
            self._pipe.unlink()
            pool.shutdown()
