"""Who is measured: the same command in the same busybox root, under each launcher."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs

from tests.bench.targets import (
    BESIDE,
    DIRECTORY,
    FAILING,
    FIRST,
    FORESEEN,
    IMAGE,
    LANDLOCK,
    LAUNCH,
    NEW,
    OWN,
    RUN,
    RUNTIMES,
    SCORE,
    WHY,
    rooted,
)
from tests.support.bundles import make_root
from tests.support.users import User

PROFILE = "strict"


#: Of `PROFILE` what the helper before the command is for.
LANDLOCKED = {"mounts": "true", "abstract_sockets": "true", "signals": "true", "ioctl": '["/"]'}
#: A command that `PROFILE` denies one system call (personality(2)).
DENIED = ("python3", "-c", "import ctypes; exit(ctypes.CDLL(None).personality(0x40000) < 0)")
#: What is recorded: commands that ask the kernel for much in little time.
SCRIPTS = {
    "learn processes": "for i in $(seq 100); do /bin/true; done",
    "learn make": r"""
        cd /tmp; printf 'all: %s\n' "$(seq -f f%g -s ' ' 40)" >Makefile
        printf 'f%%:\n\t@echo $@ >$@\n\t@cat $@ >$@.copy\n' >>Makefile; make -s
    """,
    "learn git": """
        export HOME=/tmp; git init -q /tmp/repository; cd /tmp/repository; for i in $(seq 40); do echo $i >f$i; done
        git add -A; git -c user.name=a -c user.email=a@b commit -qm a; git status >/dev/null; git log >/dev/null; git gc -q
    """,
}
_SECONDS = re.compile(r"^recorded in ([\d.]+) s, and in ([\d.]+) s unrecorded$", re.MULTILINE)


class BenchError(Exception):
    """Something to be measured does not work here; the message says what."""


@contextmanager
def _put_aside(descriptor: int) -> Iterator[None]:
    """Whatever is open as a descriptor, if anything is, comes back as it was."""
    try:
        kept = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, descriptor + 1)
    except OSError:  # nothing
        kept = -1
    try:
        yield
    finally:
        if kept >= 0:
            os.dup2(kept, descriptor, inheritable=False)
        os.close(kept if kept >= 0 else descriptor)


@attrs.frozen
class Contender:
    """A launcher of one command. ``{id}`` in ``argv`` is replaced by a name of its own for each run; ``filter`` is a file
    that is open as descriptor 9; with ``fresh`` each run gets a state directory in which nothing has been composed yet, and
    with ``folders`` a folder of its own there to stand in."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    filter: Path | None = None
    fresh: bool = False
    folders: Path | None = None

    def start(self, errors: Path) -> subprocess.Popen[bytes]:
        """Start it, with nothing to read and nobody to read it."""
        identity = f"bench-{time.monotonic_ns():x}"
        environment = dict(self.environment)
        if self.fresh:
            environment["HARDENING_STATE"] = f"{environment['HARDENING_STATE']}/{identity}"
        folder = "/" if self.folders is None else tempfile.mkdtemp(dir=self.folders)
        # Files of our own: crun gives the container what it is handed, and that must not be the host's null device.
        with self._filter() as keep, errors.open("wb") as output, tempfile.TemporaryFile() as nothing:
            return subprocess.Popen(
                [word.replace("{id}", identity) for word in self.argv],
                stdin=nothing, stdout=output, stderr=output,
                cwd=folder, env=environment, pass_fds=keep,
            )  # fmt: skip

    @contextmanager
    def _filter(self) -> Iterator[Sequence[int]]:
        if self.filter is None:
            yield ()
            return
        with self.filter.open("rb") as file, _put_aside(9):
            os.dup2(file.fileno(), 9, inheritable=True)
            yield (9,)

    def seconds(self, errors: Path) -> float:
        """How long one run takes, from start to end. Raises `BenchError` where it fails."""
        before = time.perf_counter()
        code = self.start(errors).wait()
        taken = time.perf_counter() - before
        if code != 0:
            raise BenchError(f"{self.name} ends with {code}: {errors.read_text().strip()[-500:]}")
        return taken


@attrs.frozen
class Place:
    """Where the launchers of one user work: a root, bundles and state directories. ``program`` is the ``hardening`` that is
    measured."""

    folder: Path
    program: Path
    environment: Mapping[str, str]

    @classmethod
    def made(cls, folder: Path, program: Path, user: User | None) -> Place:
        """Make the folder for ``user``, or for whoever runs this."""
        for name in ("state", "crun", "runc", "podman", "fresh", "folders", "runtime"):
            (folder / name).mkdir(mode=0o700 if name == "runtime" else 0o777, parents=True)
        make_root(folder / "root")
        shutil.copytree(folder / "root", folder / "podman-root", symlinks=True)
        folder.chmod(0o755)
        base = dict(os.environ) if user is None else user.environment
        # What is measured is the installed program, with nothing of the bench's own interpreter.
        base = {name: value for name, value in base.items() if not name.startswith("PYTHON") and name != "VIRTUAL_ENV"}
        (folder / "auth.json").write_text("{}")  # an ordinary user cannot look for one in /run/containers
        places = {
            "HARDENING_STATE": folder / "state",
            "HARDENING_IMAGES": folder / "images",
            "REGISTRY_AUTH_FILE": folder / "auth.json",
            "TMPDIR": folder,
            "XDG_RUNTIME_DIR": folder / "runtime",
        }
        environment = {**base, **{name: str(place) for name, place in places.items()}}
        if user is not None:
            subprocess.run(["chown", "-R", "-h", f"{user.uid}:{user.gid}", str(folder)], check=True)
        return cls(folder, program, environment)

    def bundle(self, *command: str, profile: str = PROFILE, options: Sequence[str] = ()) -> Path:
        """A bundle that runs a command in the root."""
        bundle = Path(tempfile.mkdtemp(dir=self.folder)) / "bundle"
        words = ("-q", "-p", profile, *options, "--rootfs", str(self.folder / "root"), "-o", str(bundle))
        self._hardening("compose", *words, "--", *command)
        bundle.parent.chmod(0o755)
        return bundle

    def rooted(self, image: str, profile: Path, *command: str) -> list[Contender]:
        """Runs of a command in the root as a directory, and as an image that is pulled by now, under each runtime; the
        ``profile`` says which images are accepted."""
        stack = ("-q", "-p", str(profile), "-p", PROFILE)
        self._hardening("pull", *stack, "--tls-verify=false", image)
        roots = {DIRECTORY: ("--rootfs", str(self.folder / "root")), IMAGE: (image,)}
        return [
            Contender(
                rooted(kind, runtime),
                (str(self.program), "run", "--runtime", runtime, *stack, *root, "--", *command),
                self.environment,
            )
            for runtime in RUNTIMES
            for kind, root in roots.items()
        ]

    def asking(self) -> dict[str, list[Contender]]:
        """Each command that asks what a command needs, and what does the least of it: strace(1), objdump(1), and for the
        line after a run that fails one that succeeds."""
        root = self.folder / "root"
        checked = ("sh", "-c", '"$@"; test $? -le 1', "sh", str(self.program), "check", PROFILE, "--against", str(root))
        run = (str(self.program), "run", "-p", PROFILE, "--rootfs", str(root), "--")
        pairs = {
            WHY: (
                (str(self.program), "why", "-p", PROFILE, "--", *DENIED),
                ("strace", "-f", "-o", "/dev/null", *DENIED),
            ),
            FORESEEN: (checked, ("objdump", "-d", str(root / "bin/busybox"))),
            FAILING: (("sh", "-c", '! "$@"', "sh", *run, "false"), ("sh", "-c", '"$@"', "sh", *run, "true")),
        }
        without = [
            word
            for name, value in LANDLOCKED.items()
            for word in ("--set", f"landlock.{name}={value}", "--exception", f"landlock.{name}=measured")
        ]
        own, beside = (str(self.bundle("/bin/true", options=options)) for options in ((), without))
        pairs[LANDLOCK] = ((str(self.program), "launch", own), (str(self.program), "launch", beside))
        asked = {
            what: [Contender(OWN, own, self.environment), Contender(BESIDE, beside, self.environment)]
            for what, (own, beside) in pairs.items()
        }
        # Both for the first time: a stack that was composed before is not composed for its score.
        asked[SCORE] = [
            Contender(name, (str(self.program), command, "-p", PROFILE), self.environment, fresh=True)
            for name, command in ((OWN, "score"), (BESIDE, "compose"))
        ]
        return asked

    @contextmanager
    def inspected(self, count: int) -> Iterator[list[Contender]]:
        """A look at so many containers, against a stack and without one."""
        stack = ("-p", PROFILE, "--rootfs", str(self.folder / "root"))
        try:
            for _ in range(count):
                self._hardening("run", "-q", "-d", *stack, "--", "/bin/sleep", "86394")
            words = (str(self.program), "inspect", "--all")
            yield [Contender(name, (*words, *more), self.environment) for name, more in ((OWN, stack), (BESIDE, ()))]
        finally:
            self._hardening("rm", "-f", "--all")

    def recorded(self, what: str) -> dict[str, float]:
        """Seconds of a command of `SCRIPTS`, recorded and under the layer that was learnt."""
        told = self._hardening("learn", "-p", PROFILE, "-o", os.devnull, "--", "sh", "-ec", SCRIPTS[what])
        found = _SECONDS.search(told)
        if found is None:
            raise BenchError(f"hardening learn says nothing of its time: {told.strip()}")
        return {OWN: float(found[1]), BESIDE: float(found[2])}

    def forget(self, image: str) -> None:
        """Remove an image that was run: its root may belong to ids that only a user namespace of the caller's can remove."""
        self._hardening("rmi", "-f", image)

    def _hardening(self, *words: str) -> str:
        """Run it, and return what it says on standard error."""
        argv = [str(self.program), *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, env=self.environment, cwd="/")
        if done.returncode != 0:
            raise BenchError(f"hardening {words[0]} ends with {done.returncode}: {done.stderr.strip()}")
        return done.stderr

    def contenders(self, *command: str) -> list[Contender]:
        """All launchers of a command."""
        bundle = self.bundle(*command)
        root = str(self.folder / "root")
        run = (str(self.program), "run", "-q", "-p", PROFILE, "--rootfs", root, "--", *command)
        crun = ("crun", f"--root={self.folder}/crun", "--cgroup-manager=disabled")
        runc = ("runc", f"--root={self.folder}/runc")
        podman = ("podman", f"--root={self.folder}/podman", f"--runroot={self.folder}/podman/run", "--storage-driver=vfs",
                  "--cgroup-manager=cgroupfs", "--log-level=error", "run", "--rm", "--cgroups=disabled", "--network=none",
                  "--rootfs", str(self.folder / "podman-root"))  # fmt: skip
        bwrap = ("bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--ro-bind", root, "/",
                 "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--seccomp", "9")  # fmt: skip
        fresh = {**self.environment, "HARDENING_STATE": str(self.folder / "fresh")}
        return [
            Contender(LAUNCH, (str(self.program), "launch", str(bundle)), self.environment),
            Contender(RUN, run, self.environment),
            Contender(NEW, (*run, "{id}"), self.environment, folders=self.folder / "folders"),
            Contender(FIRST, run, fresh, fresh=True),
            Contender("crun", (*crun, "run", f"--bundle={bundle}", "{id}"), self.environment),
            Contender("runc", (*runc, "run", f"--bundle={bundle}", "{id}"), self.environment),
            Contender("bubblewrap", (*bwrap, "--", *command), self.environment, filter=bundle / "seccomp.bpf"),
            Contender("podman", (*podman, *command), self.environment),
        ]


def end_pauses(folder: Path) -> None:
    """End the processes by which podman keeps the namespaces of ordinary users in the places below ``folder``
    (podman-system-migrate(1))."""
    for file in folder.glob("*/runtime/libpod/tmp/pause.pid"):
        os.kill(int(file.read_text()), signal.SIGKILL)
