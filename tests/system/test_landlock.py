"""What Landlock denies by itself: every other mechanism of the stack permits it, and without Landlock the kernel does.

One program in the container tries everything in turn, once confined and once not: a row that answers the same both times is
none.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import attrs
import pytest

from tests.support import runs
from tests.support.features import require
from tests.support.observed import Observe
from tests.support.patience import until
from tests.support.users import User, ordinary

pytestmark = pytest.mark.system

#: What is tried, each row with the setting that denies it and what the kernel answers then; unconfined it is permitted.
ROWS = {
    "read a file": ("read", "EACCES"),
    "list a directory": ("read", "EACCES"),
    "write a file": ("write", "EACCES"),
    "make a file": ("write", "EACCES"),
    "make a directory": ("write", "EACCES"),
    "remove a file": ("write", "EACCES"),
    "truncate a file": ("write", "EACCES"),
    "move a file out": ("write", "EACCES"),
    "execute a program": ("execute", "EACCES"),
    "control a device": ("ioctl", "EACCES"),
    "mount": ("mounts", "EPERM"),
    "bind a port": ("bind", "EACCES"),
    "connect to a port": ("connect", "EACCES"),
    "an abstract socket": ("abstract_sockets", "EPERM"),
    "a signal": ("signals", "EPERM"),
}
#: What is permitted in both: Landlock denies nothing else.
PERMITTED = (
    "write inside",
    "move inside",
    "execute inside",
    "connect inside",
    "signal inside",
    "open stdout again",
)
#: Ways around `bind` and `connect` that kernels close one after another: open or closed, and no promise rests on it.
HOLES = ("connect by fast open", "connect by MPTCP", "bind by MPTCP", "listen unbound")

PROBE = r"""
import ctypes, errno, fcntl, json, os, signal, socket, subprocess, sys
FACTS = json.loads(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)

def write(path):
    with open(path, "w") as file: file.write("x")

def execute(path):
    child = os.fork()
    if not child:
        try: os.execv(path, [path])
        except OSError as error: os._exit(error.errno)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code: raise OSError(code, "")

def mount():
    if libc.mount(b"tmpfs", b"/data/in", b"tmpfs", 0, b""): raise OSError(ctypes.get_errno(), "")
    libc.umount2(b"/data/in", 2)

def ioctl():
    with open("/dev/null") as file: fcntl.ioctl(file, 0x5401)  # TCGETS, of what is no terminal

def connect(address, family=socket.AF_INET, protocol=0):
    with socket.socket(family, socket.SOCK_STREAM, protocol) as made: made.connect(address)

def bind(protocol=0):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol) as made: made.bind(("127.0.0.1", FACTS["bind"]))

def fast_open():
    with socket.socket() as made:
        made.sendto(b"x", 0x20000000, ("127.0.0.1", FACTS["forbidden"]))  # MSG_FASTOPEN
        assert made.getpeername()[1] == FACTS["forbidden"]

def listen():
    with socket.socket() as made:
        made.listen()
        assert made.getsockname()[1]

def own_signal():
    child = os.fork()
    if not child: signal.pause()
    os.kill(child, signal.SIGKILL); os.waitpid(child, 0)

TRIED = {
    "read a file": lambda: open("/data/out/file").close(),
    "list a directory": lambda: os.listdir("/data/out"),
    "write a file": lambda: open("/data/out/file", "r+").close(),
    "make a file": lambda: write("/data/out/new"),
    "make a directory": lambda: os.mkdir("/data/out/directory"),
    "remove a file": lambda: os.unlink("/data/out/gone"),
    "truncate a file": lambda: os.truncate("/data/out/file", 0),
    "move a file out": lambda: os.rename("/data/in/file", "/data/out/moved"),
    "execute a program": lambda: execute("/data/out/program"),
    "control a device": ioctl,
    "mount": mount,
    "bind a port": bind,
    "connect to a port": lambda: connect(("127.0.0.1", FACTS["forbidden"])),
    "an abstract socket": lambda: connect("\0" + FACTS["abstract"], socket.AF_UNIX),
    "a signal": lambda: os.kill(FACTS["process"], 0),
    "write inside": lambda: write("/data/in/new"),
    "move inside": lambda: os.rename("/data/in/new", "/data/in/below/new"),
    "execute inside": lambda: execute("/data/in/program"),
    "connect inside": lambda: connect(("127.0.0.1", FACTS["permitted"])),
    "signal inside": own_signal,
    "open stdout again": lambda: open("/dev/stdout", "a").close(),
    "connect by fast open": fast_open,
    "connect by MPTCP": lambda: connect(("127.0.0.1", FACTS["forbidden"]), protocol=262),
    "bind by MPTCP": lambda: bind(262),
    "listen unbound": listen,
}
found = {}
for name, attempt in TRIED.items():
    try:
        attempt()
        found[name] = ""
    except OSError as error:
        found[name] = errno.errorcode[error.errno]
print(json.dumps(found))
"""


@attrs.frozen
class World:
    """What there is outside: a volume, listeners, and a process of the caller's."""

    folder: Path
    facts: dict[str, object]

    def layers(self, caller: str, *, confined: bool) -> list[str]:
        """A stack that permits everything but by Landlock."""
        ids = 'user = "host"' if caller == "root" else 'user = "private"'
        rules = f"""
mounts = false
abstract_sockets = false
signals = false
read = ["/usr", "/lib", "/lib64", "/bin", "/etc", "/dev", "/proc", "/data/in"]
write = ["/data/in", "/dev", "/proc"]
execute = ["/usr", "/lib", "/lib64", "/bin", "/data/in"]
ioctl = []
bind = [1]
connect = [{self.facts["permitted"]}]
"""
        return [
            f"""
[selinux]
enabled = false
[namespaces]
time = "host"
net = "host"
pid = "host"
{ids}
[capabilities]
add = ["ALL"]
[seccomp]
default = "allow"
restrict_suid_sgid = false
[rootfs]
proc.hidepid = "off"
proc.subset = ""
volumes = ["{self.folder}:/data:rw,exec"]
[landlock]
{rules if confined else ""}
"""
        ]


@contextmanager
def world(folder: Path, user: User | None) -> Iterator[World]:
    for name in ("in/below", "out"):
        (folder / "data" / name).mkdir(parents=True)
    for name in ("in/file", "out/file", "out/gone"):
        (folder / "data" / name).write_text("text")
    for name in ("in", "out"):
        shutil.copy("/usr/bin/true", folder / "data" / name / "program")
    runs.hand_over(folder, user)
    with ExitStack() as stack:
        ports = []
        for _ in range(2):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            ports.append(listener.getsockname()[1])
        abstract = stack.enter_context(socket.socket(socket.AF_UNIX))
        name = f"hardening-test-{os.getpid()}"
        abstract.bind(f"\0{name}")
        abstract.listen()
        sleeper = ["sleep", "300"]
        process = subprocess.Popen(sleeper if user is None else user.argv(sleeper))
        stack.callback(process.wait)
        stack.callback(process.kill)
        if user is not None:
            until(lambda: runs.command_line(process.pid).startswith(b"sleep"), lambda: "no process of the user's")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            bind = free.getsockname()[1]
        yield World(folder / "data", {"permitted": ports[0], "forbidden": ports[1], "abstract": name,
                                      "process": process.pid, "bind": bind})  # fmt: skip


def tried(
    found: World, caller: str, runtime: str, user: User | None, folder: Path, *, confined: bool
) -> dict[str, str]:
    command = ["/usr/bin/python3", "-I", "-S", "-c", PROBE, json.dumps(found.facts)]
    done = runs.finished(*found.layers(caller, confined=confined), command=command, runtime=runtime, user=user)
    assert done.code == 0, done.stderr
    answers: dict[str, str] = json.loads(done.stdout)
    return answers


def judge(on: dict[str, str], off: dict[str, str]) -> None:
    """Hold the answers with and without Landlock against the table. Raises AssertionError."""
    holes = {name: on[name] for name in HOLES}
    assert set(holes.values()) <= {"", "EACCES"}
    assert on == {**{name: answer for name, (_, answer) in ROWS.items()}, **dict.fromkeys(PERMITTED, ""), **holes}
    assert off == {**dict.fromkeys((*ROWS, *PERMITTED, *HOLES), ""), "control a device": "ENOTTY"}


def answered(caller: str, runtime: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the kernel's answers with Landlock and without."""
    require("landlock")
    require("root" if caller == "root" else "userns")
    user = ordinary() if caller == "user" else None
    answers = []
    for confined in (True, False):
        with runs.workplace() as folder, world(folder, user) as found:
            answers.append(tried(found, caller, runtime, user, folder, confined=confined))
    on, off = answers
    return on, off


@pytest.mark.parametrize("runtime", runs.RUNTIMES)
@pytest.mark.parametrize("caller", ["root", "user"])
def test_each_denial_is_landlocks_alone(caller: str, runtime: str, observe: Observe) -> None:
    on, off = answered(caller, runtime)
    judge(on, off)
    for name in HOLES:
        observe(f"Landlock of Linux {os.uname().release}", name, on[name] or "not denied")


def test_a_hole_may_be_open_or_closed_and_a_denial_of_the_table_may_not_be_missing() -> None:
    on, off = answered("root", "native")
    for name in HOLES:
        judge({**on, name: "" if on[name] else "EACCES"}, off)
    for name in ROWS:
        with pytest.raises(AssertionError):
            judge({**on, name: off[name]}, off)
    with pytest.raises(AssertionError):
        judge(off, off)


@pytest.mark.parametrize("runtime", runs.RUNTIMES)
def test_a_command_that_cannot_be_executed_is_told_as_without_landlock(runtime: str) -> None:
    require("landlock")
    require("root")
    said = {
        "script": (127, "/data/script: exists, but its interpreter or dynamic loader does not"),
        "garbage": (126, "/data/garbage: cannot be executed: Exec format error"),
    }
    with runs.workplace() as folder:
        for name, text in (("script", "#!/no/such\n"), ("garbage", "\1\2")):
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        plain = f"""
[selinux]
enabled = false
[namespaces]
time = "host"
[rootfs]
volumes = ["{folder}:/data:ro,exec"]
"""
        stacks = [f"{plain}[landlock]\nbind = [1]\n", *([plain] if runtime == "native" else [])]
        for name, (code, words) in said.items():
            for stack in stacks:  # what crun and runc say of it without a helper is theirs
                done = runs.finished(stack, command=[f"/data/{name}"], runtime=runtime)
                heard = done.stderr.removeprefix("hardening: ").removeprefix("config.json:/process/args/0: ")
                assert (done.code, heard) == (code, f"{words}\n")
