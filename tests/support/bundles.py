"""Small static bundles for tests: a busybox root and a plain OCI configuration."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from hardening.launch.request import LaunchRequest
from tests.support import forking, runs
from tests.support.features import available, require
from tests.support.patience import until
from tests.support.users import User, ordinary

BUSYBOX = "/usr/bin/busybox"
APPLETS = (
    *("sh", "cat", "echo", "id", "env", "ls", "mkdir", "mount", "umount", "sleep", "true", "false", "touch"),
    *("hostname", "stty", "tty", "kill", "readlink", "stat", "wc", "grep", "ip"),
)


def make_root(directory: Path) -> Path:
    """A root with a static busybox and empty mount points."""
    for name in ("bin", "dev", "proc", "sys", "tmp", "etc", "data", "run"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    shutil.copy2(BUSYBOX, directory / "bin" / "busybox")
    for applet in APPLETS:
        link = directory / "bin" / applet
        if not link.is_symlink():
            link.symlink_to("busybox")
    for path in (directory, *directory.iterdir()):
        path.chmod(0o755)
    return directory


def id_maps(outside: int, count: int) -> list[dict[str, int]]:
    """One line of a map from 0 inside."""
    return [{"containerID": 0, "hostID": outside, "size": count}]


def config(
    *args: str, uid_maps: list[dict[str, int]] | None = None, gid_maps: list[dict[str, int]] | None = None
) -> dict[str, Any]:
    """A plain configuration that native, crun and runc accept; with maps it has a user namespace."""
    kinds = ["pid", "network", "ipc", "uts", "mount", "cgroup"]
    tight = ["nosuid", "noexec", "nodev"]
    linux: dict[str, Any] = {
        "namespaces": [{"type": kind} for kind in kinds],
        "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware", "/proc/acpi"],
        "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
    }
    devpts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]
    if uid_maps is not None:
        linux["namespaces"].append({"type": "user"})
        linux["uidMappings"], linux["gidMappings"] = uid_maps, gid_maps if gid_maps is not None else uid_maps
    else:
        devpts.append("gid=5")
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0},
            "args": list(args),
            "env": ["PATH=/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {"bounding": [], "effective": [], "permitted": []},
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "bundle",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": tight},
            {
                "destination": "/dev",
                "type": "tmpfs",
                "source": "tmpfs",
                "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
            },
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": devpts},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": [*tight, "mode=1777", "size=1m"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": tight},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*tight, "ro"]},
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": [*tight, "mode=1777", "size=1m"]},
        ],
        "linux": linux,
    }


def plain(**changes: Any) -> dict[str, Any]:
    """A valid document; a keyword such as ``linux__sysctl`` sets a member."""
    document = config("true")
    for path, value in changes.items():
        place = document
        *parents, last = path.split("__")
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return document


def write(directory: Path, document: dict[str, Any], *, user: User | None = None) -> Path:
    """Write `config.json` and a busybox root into a bundle directory, which then belongs to ``user``."""
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o755)
    if not (directory / "rootfs").exists():
        make_root(directory / "rootfs")
    path = directory / "config.json"
    path.write_text(json.dumps(document))
    path.chmod(0o644)
    runs.hand_over(directory, user)
    return directory


@attrs.frozen
class Stance:
    """Who launches, and with which ids inside: ``maps`` None means no user namespace."""

    name: str
    user: User | None
    uid_maps: tuple[tuple[int, int, int], ...] | None
    gid_maps: tuple[tuple[int, int, int], ...] | None

    def config(self, *args: str) -> dict[str, Any]:
        """A plain configuration for this stance."""
        maps = [
            None if lines is None else [{"containerID": a, "hostID": b, "size": c} for a, b, c in lines]
            for lines in (self.uid_maps, self.gid_maps)
        ]
        return config(*args, uid_maps=maps[0], gid_maps=maps[1])


STANCES = ("root", "root-mapped", "user-one-id", "user-range")


def stance(name: str) -> Stance:
    """One of `STANCES`. Those of root are skipped where the tests run as an ordinary user."""
    if name.startswith("root"):
        require("root")
        maps = ((0, 400_000, 65536),) if name == "root-mapped" else None
        return Stance(name, None, maps, maps)
    require("userns")
    user = ordinary()
    if name == "user-one-id":
        return Stance(name, user, ((0, user.uid, 1),), ((0, user.gid, 1),))
    uids, gids = (_range(path, user.name) for path in ("/etc/subuid", "/etc/subgid"))
    return Stance(name, user, ((0, user.uid, 1), (1, *uids)), ((0, user.gid, 1), (1, *gids)))


def _range(path: str, name: str) -> tuple[int, int]:
    lines = [line.split(":") for line in Path(path).read_text().splitlines()]
    return next((int(first), int(count)) for owner, first, count in lines if owner == name)


def launcher(
    bundle: Path,
    runtime: str = "native",
    user: User | None = None,
    *,
    stdin: bool = False,
    remove: bool = False,
    receipt: Path | None = None,
    secrets: int = -1,
    debug: bool = False,
) -> list[str]:
    """The command line of the launcher for a bundle, as ``user``."""
    state = bundle.parent / "state"
    state.mkdir(mode=0o755, exist_ok=True)
    runs.hand_over(state, user)
    native = runtime == "native"
    program = "" if native else str(shutil.which(runtime, path="/usr/local/bin:/usr/bin:/usr/sbin"))
    request = LaunchRequest(
        id=f"test-{os.urandom(4).hex()}",
        state="" if native else str(state),
        crun=runtime == "crun",
        stdin=stdin,
        remove=remove,
        debug=debug,
        receipt=str(receipt.absolute()) if receipt else "",
        secrets=secrets,
    )
    argv = request.argv(bundle, program)
    return argv if user is None else user.argv(runs.for_user(argv, user))


def launch(
    bundle: Path,
    runtime: str = "native",
    user: User | None = None,
    *,
    text: str | None = None,
    state: Path | None = None,
    **options: Any,
) -> subprocess.CompletedProcess[str]:
    """Run a bundle to its end; ``text`` is given on standard input, and kept by the container. ``state`` is the caller's
    state directory, None for the usual one. The launcher is a fork where it inherits no descriptor."""
    argv = launcher(bundle, runtime, user, stdin=text is not None, **options)
    if "secrets" not in options:
        return forking.launched(user, argv[-1], env=_environment(user, state), text=text or "")
    return subprocess.run(
        argv,
        input=text or "",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd="/",
        env=_environment(user, state),
        pass_fds=(options["secrets"],),
    )


def _environment(user: User | None, state: Path | None) -> dict[str, str]:
    base = user.environment if user is not None else os.environ
    return {**base, "HARDENING_STATE": str(state)} if state is not None else dict(base)


@contextmanager
def started(
    bundle: Path, runtime: str = "native", user: User | None = None, *, state: Path | None = None, **options: Any
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A running bundle whose command prints a line when it is ready: the launcher, and the command's pid."""
    process = subprocess.Popen(
        launcher(bundle, runtime, user, **options),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd="/",
        env=_environment(user, state),
        pass_fds=(options["secrets"],) if "secrets" in options else (),
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("ready"), line + process.stdout.read()
        yield process, child_of(process.pid)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def await_program(pid: int, name: str) -> None:
    """Wait until a process executes a program."""
    until(lambda: Path(f"/proc/{pid}/comm").read_text().strip() == name)


def child_of(pid: int) -> int:
    """The only child of a process that runs another program, once helpers that come and go have gone."""
    own = runs.command_line(pid)

    def others() -> list[int]:
        # Beside crun and runc the launcher has a guard, which is a copy of itself.
        found = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return [child for child in found if runs.command_line(child) != own]

    return until(lambda: found[0] if len(found := others()) == 1 else 0, others)


def status_of(pid: int) -> dict[str, str]:
    """The fields of /proc/PID/status."""
    text = Path(f"/proc/{pid}/status").read_text()
    return {key: value.strip() for key, value in (line.split(":", 1) for line in text.splitlines())}


_CGROUP2_ALONE = """
mount --make-rslave /
umount --lazy /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
exec "$@"
"""


def cgroup2_alone(argv: list[str]) -> list[str]:
    """The command line of a program that takes no hybrid layout of control groups; needs root where the host has one."""
    if available("cgroup2-unified"):
        return argv
    require("cgroup2-mount")
    require("root")
    return ["unshare", "--mount", "sh", "-e", "-c", _CGROUP2_ALONE, "sh", *argv]


def alone(bundle: Path, runtime: str = "crun") -> list[str]:
    """The command line of a plain ``crun run``, without anything of ours, to compare with. Needs root."""
    require("root")
    state, name = bundle.parent / runtime, f"alone-{os.urandom(4).hex()}"
    argv = [runtime, "--root", str(state), "run", "--bundle", str(bundle), name]
    return cgroup2_alone(argv)
