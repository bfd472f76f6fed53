"""Real containers for system tests: profiles and a command -> bundle -> a runtime -> what the kernel says of the process.

`running` keeps a command going while a test looks at it from outside, `finished` waits for its end. Both compose the
given TOML texts as the layers of one stack, as an ordinary user or as whoever runs the tests. A test may name the
mechanisms that take part: what the absent ones would contribute (a root, mounts, arguments) is then filled in with a
plain busybox container, so that one mechanism can be watched alone.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from functools import cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs

from hardening.assemble import bundle, pipeline
from hardening.assemble.spec import OCI_VERSION, to_json
from hardening.base import files
from hardening.compose import composition as compose
from hardening.launch.config import confinement
from hardening.launch.request import START, LaunchRequest
from hardening.mechanism.host import Host, plain
from hardening.mechanism.mechanism import Violation
from hardening.plugin.plugins import Plugin, Plugins, load, shipped_profiles
from hardening.profile import layers
from hardening_namespaces.settings import NamespacesSettings
from tests.support import apart
from tests.support.features import available, require
from tests.support.patience import PATIENCE, until
from tests.support.users import User, program

RUNTIMES = ("native", "crun", "runc")
#: Everything that the tests write: no temporary folder of pytest, which mapped ids may not enter.
FOLDER = Path("/var/tmp")

#: Says that it is there, then runs each line that it reads and says how that ended.
SHELL = ("/bin/sh", "-c", 'echo ready; while read -r line; do eval "$line" 2>&1; echo "=$?"; done')

_APPLETS = ("cat", "date", "env", "grep", "hostname", "id", "ip", "kill", "ls", "mkdir", "mount", "nc", "od", "ps", "sed",
            "sh", "sleep", "stat", "sysctl", "touch", "true")  # fmt: skip


@attrs.frozen
class Ended:
    """A command that has ended; ``document`` is the configuration that it ran under."""

    document: Mapping[str, Any]
    code: int
    stdout: str
    stderr: str


@attrs.frozen
class Running:
    """A command that runs; ``pid`` is its process id as the test sees it."""

    bundle: Path
    document: Mapping[str, Any]
    process: subprocess.Popen[str]
    pid: int

    def read(self, name: str) -> str:
        """The text of a file below /proc/PID."""
        return Path(f"/proc/{self.pid}", name).read_text()

    @property
    def status(self) -> dict[str, str]:
        """The fields of /proc/PID/status."""
        return dict(line.split(":\t", 1) for line in self.read("status").splitlines() if ":\t" in line)

    def namespace(self, name: str, pid: int | str | None = None) -> str:
        """The namespace of a name in /proc/PID/ns, such as ``pid:[4026531836]``."""
        return os.readlink(f"/proc/{self.pid if pid is None else pid}/ns/{name}")

    def shares(self, name: str) -> bool:
        """Whether the command is in the same namespace as the test."""
        return self.namespace(name) == self.namespace(name, "self")

    @property
    def id_maps(self) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
        """The lines of uid_map and gid_map as (inside, outside, size)."""
        uids, gids = ([tuple(map(int, line.split())) for line in self.read(f"{kind}_map").splitlines()]
                      for kind in ("uid", "gid"))  # fmt: skip
        return uids, gids

    def ask(self, line: str) -> str:
        """What a line prints when the shell inside runs it, without the last newline. Its exit code must be 0."""
        code, text = self.attempt(line)
        assert code == 0, f"{line}: {text}"
        return text

    def attempt(self, line: str) -> tuple[int, str]:
        """The exit code of a line that the shell inside runs, and what it prints."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        text = _until(self.process, "=")
        body, _, code = text.rpartition("=")
        return int(code), body.rstrip("\n")

    def enter(self, command: Sequence[str], *namespaces: str) -> str:
        """What a program of the host prints when root runs it in namespaces of the command (nsenter(1))."""
        argv = ["nsenter", f"--target={self.pid}", *(f"--{name}" for name in namespaces), "--", *command]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def host_of(user: User | None, plugins: Plugins) -> Host:
    """The facts of this host as they are for ``user``, or for whoever runs the tests."""
    host = plain()
    if user is not None:
        groups = tuple(sorted(os.getgrouplist(user.name, user.gid)))
        host = attrs.evolve(host, uid=user.uid, gid=user.gid, groups=groups)
    probed = [fact for fact in (mechanism.probe(host) for mechanism in plugins.mechanisms) if fact is not None]
    return attrs.evolve(host, facts=MappingProxyType({type(fact): fact for fact in probed}))


#: Nothing that is loaded changes, and to load it takes longer than most of what is done with it.
_all = cache(load)


def installed(mechanisms: Sequence[str] | None = None) -> Plugins:
    """The installed plugins, or only those of the named mechanisms."""
    if mechanisms is None:
        return _all()
    return Plugins(Plugin(name, import_module(f"hardening_{name}"), "hardening", "") for name in mechanisms)


def composed(profiles: Sequence[str], plugins: Plugins, host: Host, folder: Path) -> compose.Composition:
    """The composition of TOML texts, written to ``folder`` as layer-0.toml, layer-1.toml, …"""
    paths = []
    for number, text in enumerate(profiles):
        path = folder / f"layer-{number}.toml"
        path.write_text(text)
        path.chmod(0o644)
        paths.append(str(path))
    stack = layers.resolve(paths, layers.SearchPath(tuple(shipped_profiles())))
    return compose.compose(stack, plugins.mechanisms, host, date.today())


def assembled(
    profiles: Sequence[str],
    command: Sequence[str],
    *,
    folder: Path,
    mechanisms: Sequence[str] | None = None,
    user: User | None = None,
) -> pipeline.Assembly:
    """The assembly for a command under a stack of TOML texts; its bundle belongs at ``folder / "bundle"``."""
    plugins = installed(mechanisms)
    host = host_of(user, plugins)
    composition = composed(profiles, plugins, host, folder)
    assembly = pipeline.assembled(plugins, composition, host, command, bundle=folder / "bundle")
    natural = (0, 0) if host.root else (host.uid, host.gid)
    namespaces = composition.settings.get("namespaces")
    if isinstance(namespaces, NamespacesSettings):
        maps = namespaces.id_maps(host)
        natural = maps.natural if maps is not None else natural
    document = filled(assembly.spec.document, command, natural, folder / "root")
    return attrs.evolve(assembly, spec=attrs.evolve(assembly.spec, config=to_json(document)))


def filled(document: Mapping[str, Any], command: Sequence[str], ids: tuple[int, int], root: Path) -> dict[str, Any]:
    """A configuration with what it lacks of a plain busybox container that runs ``command`` as ``ids``."""
    process = {
        "args": list(command),
        "cwd": "/",
        "env": ["PATH=/bin"],
        "user": {"uid": ids[0], "gid": ids[1]},
        "terminal": False,
        "noNewPrivileges": True,
    }
    mounts = [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
        {
            "destination": "/tmp",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "nodev", "size=1m", "mode=1777"],
        },
    ]
    kinds = [entry["type"] for entry in document.get("linux", {}).get("namespaces", []) if "path" not in entry]
    if "pid" not in kinds:
        # A user namespace may not mount a fresh /proc of processes that it does not own.
        mounts[0] = {"destination": "/proc", "type": "bind", "source": "/proc", "options": ["rbind", "ro"]}
    plain = {"ociVersion": OCI_VERSION, "root": {"path": str(root), "readonly": True}, "mounts": mounts, "linux": {}}
    if "root" not in document:
        busybox_root(root)
    return {**plain, **document, "process": {**process, **document.get("process", {})}}


def busybox_root(path: Path) -> Path:
    """Make ``path`` the root of a container: busybox, and empty directories to mount on."""
    if path.exists():
        return path
    for name in ("bin", "dev", "etc", "proc", "run", "sys", "tmp", "var/tmp", "data"):
        (path / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", path / "bin/busybox")
    for applet in _APPLETS:
        (path / "bin" / applet).symlink_to("busybox")
    (path / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
    return path


@contextmanager
def workplace(user: User | None = None) -> Iterator[Path]:
    """A folder that mapped ids may enter, which belongs to ``user`` and is removed afterwards."""
    folder = apart.directory("hardening-run-", str(FOLDER))
    folder.chmod(0o755)
    hand_over(folder, user)
    try:
        yield folder
    finally:
        try:
            # What cleans up after a launch that was killed, and what dies with it, takes a moment: nothing may be removed
            # while a runtime still writes there, and nobody may stay.
            deserted(folder)
        finally:
            _detach_below(folder)
            shutil.rmtree(folder)


def deserted(folder: Path) -> None:
    """Wait until nobody is left in a folder of `workplace`'s kind."""
    until(lambda: not list(_residents(folder)), lambda: list(_residents(folder)))


def _residents(folder: Path) -> Iterator[str]:
    """Other processes that have a folder on their command line, in a mount namespace that is not the caller's, or a file of
    it open: a launcher, which is locked into its directory, may be a fork whose command line is another's. What is older
    than the caller has nothing in it."""
    name, own = os.fsencode(folder.name), os.readlink("/proc/self/ns/mnt")
    with os.scandir("/proc") as found:
        processes = [entry for entry in found if entry.name.isdecimal()]
    for entry in processes:
        place = Path(entry.path)
        try:
            if _is_older(entry.name, entry.inode()):
                continue
            command = (place / "cmdline").read_bytes()
            elsewhere = name not in command and os.readlink(place / "ns/mnt") != own
            if (
                name in command
                or (elsewhere and name in (place / "mountinfo").read_bytes())
                or (place.name != str(os.getpid()) and any(folder.name in link for link in _open_files(place)))
            ):
                yield f"{place.name} {os.fsdecode(command)}"
        except OSError:  # it ended this moment, or is somebody else's
            continue


@cache
def _is_older(pid: str, inode: int) -> bool:
    """Whether a process was there before the caller, as most of a host was: asked once of each, which the ``inode`` of its
    directory tells from a later one of the same number."""
    return _started(pid) < _started("self")


def _started(pid: str) -> int:
    """When a process, or ``self``, was started, in ticks since the host was."""
    return int(files.process(pid)[files.STARTTIME])


def _open_files(place: Path) -> Iterator[str]:
    for fd in os.listdir(place / "fd"):
        with suppress(FileNotFoundError):  # it was closed meanwhile
            yield os.readlink(place / "fd" / fd)


def _detach_below(folder: Path) -> None:
    """Unmount what a container without a mount namespace has left: no removal may walk into it."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in reversed(points):
        if point.startswith(f"{folder}/"):
            subprocess.run(["umount", "--lazy", point], check=True)


def hand_over(folder: Path, user: User | None) -> None:
    """Give everything in a folder to ``user``; without one, nothing changes."""
    if user is not None and user.uid != os.geteuid():
        subprocess.run(["chown", "-R", "-h", f"{user.uid}:{user.gid}", str(folder)], check=True)


def launch_argv(
    runtime: str, folder: Path, user: User | None = None, *, receipt: Path | None = None, secrets_fd: int = -1
) -> list[str]:
    """The command line of the launcher that runs ``folder / "bundle"`` under a runtime, as ``user``; ``secrets_fd``
    holds the values of its secrets."""
    require_cgroups(runtime)
    state = Path(os.environ.get("HARDENING_STATE", folder / "state"))
    state.mkdir(mode=0o711, exist_ok=True)
    hand_over(state, user)
    request = LaunchRequest(
        id=f"test-{secrets.token_hex(4)}", state=str(state), stdin=True, receipt=str(receipt or ""), secrets=secrets_fd
    )
    package = "hardening_native" if runtime == "native" else "hardening_oci"
    plugins = Plugins([Plugin(package, import_module(package), "hardening", "")])
    argv = plugins.runtime(runtime).command(folder / "bundle", request)
    return argv if user is None else user.argv(for_user(argv, user))


def require_cgroups(runtime: str) -> None:
    """crun takes no hybrid layout: the launcher gives it cgroup2 alone, where it may mount it."""
    if runtime == "crun" and not available("cgroup2-unified"):
        require("cgroup2-mount")


def for_user(argv: list[str], user: User) -> list[str]:
    """The command line with an interpreter and a launcher that ``user`` can read."""
    script = Path(program(user))
    if script.parent == Path(sys.executable).parent:
        return argv
    site = next(script.parent.parent.glob("lib/python3*/site-packages"))
    own = argv.index(START) + 1
    return [str(script.parent / "python"), *argv[1:own], str(site), *argv[own + 1 :]]


@contextmanager
def running(
    *profiles: str,
    command: Sequence[str] = SHELL,
    runtime: str = "crun",
    mechanisms: Sequence[str] | None = None,
    user: User | None = None,
    change: Callable[[dict[str, Any]], None] | None = None,
) -> Iterator[Running]:
    """Run a command under a stack of TOML texts, by default a shell that `Running.ask` talks to.

    ``change`` may alter the configuration before it is written, to show that a test notices.
    """
    with workplace() as folder:
        document = _write(profiles, command, folder, mechanisms, user, change)
        with running_bundle(folder, document, runtime=runtime, user=user) as found:
            yield found


@contextmanager
def running_tightened(
    foreign: Mapping[str, Any],
    *profiles: str,
    runtime: str = "crun",
    mechanisms: Sequence[str] | None = None,
    user: User | None = None,
) -> Iterator[tuple[Running, tuple[Violation, ...]]]:
    """Run a configuration that was made elsewhere, tightened to a stack of TOML texts: with `SHELL` as its command and a
    busybox root in the place of its own. Also what it asked for beyond the stack.

    What goes because no mechanism that takes part answers for it is filled in again, as `assembled` does.
    """
    with workplace() as folder:
        document = json.loads(json.dumps(foreign))
        document["root"] = {**document.get("root", {}), "path": str(busybox_root(folder / "root"))}
        document["process"] |= {"args": list(SHELL), "terminal": False}
        plugins = installed(mechanisms)
        host = host_of(user, plugins)
        composition = composed(profiles, plugins, host, folder)
        assembly = pipeline.tighten(plugins, composition, host, document, bundle=folder / "bundle")
        tightened = filled(assembly.spec.document, SHELL, (0, 0), folder / "root")
        bundle.write(attrs.evolve(assembly.spec, config=to_json(tightened)), folder / "bundle")
        hand_over(folder, user)
        with running_bundle(folder, tightened, runtime=runtime, user=user) as found:
            yield found, assembly.violations


@contextmanager
def running_bundle(
    folder: Path, document: Mapping[str, Any], *, runtime: str, user: User | None = None
) -> Iterator[Running]:
    """Run ``folder / "bundle"``, whose configuration is ``document`` and whose command is `SHELL`."""
    argv = launch_argv(runtime, folder, user)
    pipe = subprocess.PIPE
    errors = folder / "stderr"
    with errors.open("w") as file:
        # The shell waits for the descriptors to be the user's own, as they are in a login: runc hands them on by fchown(2).
        process = subprocess.Popen(["sh", "-c", 'read -r go; exec "$@"', "sh", *argv], stdin=pipe, stdout=pipe, stderr=file,
                                   text=True, bufsize=1, cwd="/", env=_environment(user))  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            for descriptor in (process.stdin.fileno(), process.stdout.fileno(), file.fileno()):
                if user is not None and user.uid != os.geteuid():
                    os.fchown(descriptor, user.uid, user.gid)
            process.stdin.write("go\n")
            words = confinement.command(document)
            if tuple(words) == SHELL:
                said = _until(process, "ready")
                assert said, f"{' '.join(argv)}: {errors.read_text()}"
            yield Running(folder / "bundle", document, process, find(process.pid, words))
        finally:
            _end(process)


def finished(
    *profiles: str,
    command: Sequence[str],
    runtime: str = "crun",
    mechanisms: Sequence[str] | None = None,
    user: User | None = None,
    change: Callable[[dict[str, Any]], None] | None = None,
    input: str = "",  # noqa: A002
) -> Ended:
    """Run a command under a stack of TOML texts to its end."""
    with workplace() as folder:
        document = _write(profiles, command, folder, mechanisms, user, change)
        argv = launch_argv(runtime, folder, user)
        done = subprocess.run(
            argv,
            input=input,
            capture_output=True,
            text=True,
            cwd="/",
            env=_environment(user),
            timeout=60,
            check=False,
        )
        return Ended(document, done.returncode, done.stdout, done.stderr)


def _write(
    profiles: Sequence[str],
    command: Sequence[str],
    folder: Path,
    mechanisms: Sequence[str] | None,
    user: User | None,
    change: Callable[[dict[str, Any]], None] | None,
) -> dict[str, Any]:
    assembly = assembled(profiles, command, folder=folder, mechanisms=mechanisms, user=user)
    document = assembly.spec.document
    if change is not None:
        change(document)
    bundle.write(attrs.evolve(assembly.spec, config=to_json(document)), folder / "bundle")
    hand_over(folder, user)
    return dict(document)


def _environment(user: User | None) -> dict[str, str]:
    return dict(user.environment if user is not None else os.environ)


def _until(process: subprocess.Popen[str], mark: str) -> str:
    """Everything that a process prints up to the line that begins with ``mark``; empty where it ends before."""
    assert process.stdout is not None
    lines = []
    while line := process.stdout.readline():
        lines.append(line)
        if line.startswith(mark):
            return "".join(lines).rstrip("\n")
    return ""


def find(ancestor: int, command: Sequence[str]) -> int:
    """The process below ``ancestor`` that runs ``command``."""
    wanted = "".join(f"{argument}\0" for argument in command).encode()
    return until(lambda: next((pid for pid in descendants(ancestor) if command_line(pid) == wanted), 0),
                 lambda: f"nothing below process {ancestor} runs {' '.join(command)}")  # fmt: skip


def command_line(pid: int) -> bytes:
    """The arguments of a process, each with a null byte behind it; empty for one that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def children() -> list[str]:
    """The processes that this one has started and not waited for, zombies too."""
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


def descendants(pid: int) -> Iterator[int]:
    """A process, and every one below it."""
    yield pid
    # Any thread may be the parent: runc is a Go program.
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found = children.read_text().split()
        except OSError:
            continue
        for child in found:
            yield from descendants(int(child))


def _end(process: subprocess.Popen[str]) -> None:
    """Close the shell's input, which ends it, and wait; a command that stays is killed with all below it."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        for pid in reversed(list(descendants(process.pid))):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(PATIENCE)
    process.stdout.close()
