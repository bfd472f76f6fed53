"""Real programs under the profile that stands on their page.

`placed` makes a folder with the files of a page of docs/software, and does in it what the page tells root or an ordinary
user to do first. `Place.run` runs a command under the page's profile to its end, `Place.serving` keeps a service going
while a test talks to it; both check the kernel's receipt: nothing that was composed may be missing.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any

import attrs
import tomli_w

from hardening.assemble import bundle, pipeline
from hardening.assemble.pipeline import examine
from hardening.errors import HardeningError
from hardening.report import verification
from hardening.runs import receipt
from tests.docs.examples import ROOT, blocks, commands
from tests.support import runs, shipped
from tests.support.forking import typed
from tests.support.patience import is_over, until
from tests.support.users import User, program

PAGES = ROOT / "docs/software"
#: What a host may lack without a profile's fault.
EXCUSED = {"selinux.enabled"}
#: Seconds after which a program that does not answer is taken for broken; fewer where it is expected to be.
PATIENCE, SHORT_PATIENCE = 120.0, 0.8


@attrs.frozen
class Service:
    """A program that runs; ``log`` is what it has said."""

    process: subprocess.Popen[bytes]
    log_file: Path
    patience: float

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def until(self, found: Callable[[], Any]) -> Any:
        """Wait until ``found`` gives something other than None or False; the service must not end meanwhile."""
        end = time.monotonic() + self.patience
        while time.monotonic() < end:
            ended = self.process.poll()
            if (result := found()) not in (None, False):
                return result
            assert ended is None, f"ended with {ended}: {self.log}"
            time.sleep(0.02)
        raise AssertionError(f"nothing after {self.patience} seconds: {self.log}")

    def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        """Signal the launcher, which passes it on, and wait: the exit code. What dies with a launcher that is killed is gone
        as well then, and so is its hold on its files."""
        below = list(runs.descendants(self.process.pid)) if by == signal.SIGKILL else []
        self.process.send_signal(by)
        code = self.process.wait(self.patience if by != signal.SIGKILL else PATIENCE)
        until(lambda: all(map(is_over, below)))
        return code


@attrs.frozen
class Place:
    """A folder with the files of one page, and who works in it: None is whoever runs the tests.

    After ``patience`` seconds without an answer a program is taken for broken. ``direct`` starts the launcher without
    the command line before it, to save time; then no options can be given."""

    name: str
    folder: Path
    user: User | None
    patience: float = PATIENCE
    direct: bool = False

    @property
    def profile(self) -> Path:
        return self.folder / f"{self.name}.toml"

    def argv(self, command: Sequence[str], profiles: Sequence[str] = (), options: Sequence[str] = ()) -> list[str]:
        """The command line that a reader of the page types, with a receipt."""
        if self.direct:
            return self._stage(command, profiles)
        return self._as_user([self._program(), *self._words(command, profiles, options)])

    def _words(self, command: Sequence[str], profiles: Sequence[str], options: Sequence[str]) -> list[str]:
        (self.folder / "receipt.json").unlink(missing_ok=True)
        stack = [part for name in profiles or (f"./{self.name}.toml",) for part in ("-p", name)]
        return ["run", "-q", *stack, "--receipt", "receipt.json", *options, "--", *command]

    def run(
        self,
        *command: str,
        profiles: Sequence[str] = (),
        options: Sequence[str] = (),
        stdin: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command under the page's profile, or under others, to its end. Given ``stdin``, it reads that."""
        if self.direct:
            done = self._call(self._stage(command, profiles), stdin)
        else:
            words = self._words(command, profiles, [*(["-i"] if stdin is not None else []), *options])
            done = typed(self.user, *words, cwd=self.folder, env=self._environment(), text=stdin or "")
        if done.returncode == 0 or (self.folder / "receipt.json").exists():
            self._confined(profiles)
        return done

    @contextmanager
    def serving(self, *command: str, profiles: Sequence[str] = (), options: Sequence[str] = ()) -> Iterator[Service]:
        """Keep a service running; what still runs at the end is stopped."""
        with self._service(self.argv(command, profiles, options)) as service:
            attrs.evolve(service, patience=PATIENCE).until(lambda: (self.folder / "receipt.json").exists())
            yield service
        self._confined(profiles)

    def outside(self, *command: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """A command of the same user on the host, in no container."""
        return self._call(self._as_user(command), stdin)

    def folders(self, *names: str) -> None:
        """Make the folders that the page has not made yet; they belong to the user."""
        for name in names:
            (self.folder / name).mkdir(exist_ok=True)
            runs.hand_over(self.folder / name, self.user)

    def file(self, name: str, text: str) -> None:
        """Write a file that belongs to the user."""
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o644)
        runs.hand_over(path, self.user)

    @contextmanager
    def _service(self, argv: Sequence[str]) -> Iterator[Service]:
        log = self.folder / "service.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                argv, cwd=self.folder, env=self._environment(), stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )
        service = Service(process, log, self.patience)
        try:
            yield service
        finally:
            if process.poll() is None:
                service.stop(signal.SIGKILL)

    def _stage(self, command: Sequence[str], profiles: Sequence[str]) -> list[str]:
        (self.folder / "receipt.json").unlink(missing_ok=True)
        assembly = shipped.assembled(self._named(profiles), command, self.folder, self.user)
        target = self.folder / "bundle"
        shutil.rmtree(target, ignore_errors=True)
        bundle.write(assembly.spec, target)
        runs.hand_over(target, self.user)
        return runs.launch_argv("native", self.folder, self.user, receipt=self.folder / "receipt.json")

    def _confined(self, profiles: Sequence[str]) -> None:
        """The kernel's receipt of the last run holds everything that was composed."""
        composition = shipped.composed(self._named(profiles), self.user)
        plugins, host = shipped.here(self.user)
        context = examine(composition, host)
        context = attrs.evolve(context, spec=pipeline.assembled(plugins, composition, host, context=context).spec)
        checks = receipt.verify(composition, context, receipt.read(self.folder / "receipt.json"))
        lines = verification.judge(composition, checks, context.unsupported)
        assert {line.leaf for line in lines} >= {"capabilities.*", "seccomp.*", "rootfs.read_only", "namespaces.user"}
        assert [line for line in lines if not verification.holds([line]) and line.leaf not in EXCUSED] == []

    def _named(self, profiles: Sequence[str]) -> list[str]:
        return [str(self.folder / name) if name.startswith("./") else name for name in profiles] or [str(self.profile)]

    def _program(self) -> str:
        return program(self.user) if self.user is not None else str(Path(sys.executable).parent / "hardening")

    def _as_user(self, command: Sequence[str]) -> list[str]:
        return self.user.argv(command) if self.user is not None else list(command)

    def _environment(self) -> Mapping[str, str]:
        return self.user.environment if self.user is not None else os.environ

    def _call(self, argv: Sequence[str], stdin: str | None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv, cwd=self.folder, env=self._environment(), input=stdin or "", capture_output=True, text=True,
            timeout=self.patience, check=False,
        )  # fmt: skip


@contextmanager
def placed(name: str, user: User | None, *, direct: bool = False) -> Iterator[Place]:
    """A folder with the files of docs/software/NAME.md; what the page tells this user to do first is done."""
    with runs.workplace(user) as folder:
        place = Place(name, folder, user, direct=direct)
        who = "root" if user is None and os.geteuid() == 0 else "user"
        for block in blocks(PAGES / f"{name}.md"):
            if "file" in block.marks:
                place.file(block.marks["file"], block.text)
            elif block.marks.get("as") == who:
                for command in commands(block):
                    done = place.outside("sh", "-c", command.text)
                    assert done.returncode == command.code, f"{block.place}: {done.stderr}"
        yield place


def loosenings(profile: str) -> Iterator[tuple[str, str]]:
    """Each thing that a layer says, and the layer without it; what it extends and its exceptions stay."""
    data = tomllib.loads(profile)
    for path in _said(data, ()):
        rest = tomllib.loads(profile)
        *above, last = path
        table: Any = rest
        for key in above:
            table = table[key]
        what = table.pop(last)
        yield f"{'.'.join(map(str, above))}: {what}", tomli_w.dumps(rest)


def _said(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict) and (not path or isinstance(path[-1], str)):
        for key, item in value.items():
            if path or key not in ("description", "extends", "exceptions"):
                yield from _said(item, (*path, key))
    elif isinstance(value, list):
        for index in range(len(value)):
            yield (*path, index)
    else:
        yield path


def unneeded(place: Place, works: Callable[[Place], None]) -> list[str]:
    """What could be taken out of the page's profile, one at a time, so that ``works`` still raises nothing."""
    text = place.profile.read_text()
    left_over = []
    works(attrs.evolve(place, direct=True))
    for what, without in loosenings(text):
        place.file(place.profile.name, without)
        try:
            works(attrs.evolve(place, patience=SHORT_PATIENCE, direct=True))
        except (AssertionError, HardeningError, OSError, HTTPException, subprocess.TimeoutExpired):
            continue
        left_over.append(what)
    place.file(place.profile.name, text)
    return left_over
