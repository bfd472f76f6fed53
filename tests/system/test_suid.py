"""What a command leaves on a volume lends nobody its owner's rights: each way to mark a file, asked of the kernel.

The host's own view of the volume is what counts: `nosuid` of the container's mount binds nobody there.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hardening.assemble import bundle
from tests.support import runs, shipped
from tests.support.features import require
from tests.support.users import ordinary

pytestmark = pytest.mark.system

#: Marks a file in every way that the kernel has, and says what it answered. The numbers are those of x86-64 and of all.
PLANT = """
import ctypes, errno, json, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
AT, MAKE = -100, os.O_CREAT | os.O_WRONLY
os.umask(0)
os.chdir(sys.argv[1])
said = {}
def call(name, number, *words):
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in words]
    said[name] = errno.errorcode[ctypes.get_errno()] if libc.syscall(number, *words) < 0 else "done"
def file(name):
    os.close(os.open(name, MAKE, 0o755))
    return name.encode()
for bit in (0o4755, 0o2755):
    call(f"chmod {bit:o}", 90, file(f"chmod-{bit:o}"), bit)
call("fchmod", 91, os.open(file("fchmod"), os.O_RDONLY), 0o4755)
call("fchmodat", 268, AT, file("fchmodat"), 0o6755)
call("fchmodat2", 452, AT, file("fchmodat2"), 0o4755, 0)
call("open", 2, b"open", MAKE, 0o4755)
call("openat", 257, AT, b"openat", MAKE, 0o2755)
call("openat2", 437, AT, b"openat2", struct.pack("QQQ", MAKE, 0o4755, 0), 24)
call("creat", 85, b"creat", 0o4755)
call("mknod", 133, b"mknod", 0o104755, 0)
call("mknodat", 259, AT, b"mknodat", 0o104755, 0)
hidden = libc.syscall(257, AT, b".", os.O_TMPFILE | os.O_RDWR, 0o4755)
if hidden >= 0:
    call("linkat", 265, AT, b"/proc/self/fd/%d" % hidden, AT, b"linkat", 0x400)
call("mkdir", 83, b"mkdir", 0o6755)
call("setxattr", 188, file("setxattr"), b"security.capability", struct.pack("<5I", 0x02000001, 1 << 7, 0, 0, 0), 20, 0)
file("plain"); os.chmod("plain", 0o1777)
print(json.dumps(said))
"""


def excepted(setting: str) -> str:
    return f'[[exceptions]]\nsetting = "{setting}"\nreason = "a test of it"\n'


OFF = f"[seccomp]\nrestrict_suid_sgid = false\n{excepted('seccomp.restrict_suid_sgid')}"
HOLD = f'[capabilities]\nadd = ["SETFCAP"]\n{excepted("capabilities.SETFCAP")}'
HOST = f'[namespaces]\nuser = "host"\n{excepted("namespaces.user")}'
ROOT = '[process]\nuser = "0:0"\n'
#: What of the host's ids the command reaches on the volume -> words of the volume, more of the layer.
STANCES = {"root, idmap": ("rw,idmap", ROOT), "root, host's ids": ("rw", HOST + ROOT), "rootless": ("rw", "")}


@contextmanager
def planted(stance: str, runtime: str, more: str = "") -> Iterator[tuple[Path, dict[str, str]]]:
    """The volume as the host sees it, after a command has tried to mark files in it, and what each call answered."""
    user = ordinary() if stance == "rootless" else None
    options, layer = STANCES[stance]
    with runs.workplace(user) as folder, runs.workplace() as ours:
        volume = folder / "volume"
        volume.mkdir()
        volumes = f'[rootfs]\nvolumes = ["{volume}:/data:{options}"]\n{excepted("rootfs.volumes./data")}'
        runs.hand_over(volume, user)
        texts = [volumes + layer, HOLD, *([more] if more else [])]
        stack = ["default", *(shipped.layer(ours, f"layer-{number}", text) for number, text in enumerate(texts))]
        assembly = shipped.assembled(stack, ["/usr/bin/python3", "-I", "-c", PLANT, "/data"], folder, user)
        bundle.write(assembly.spec, folder / "bundle")
        runs.hand_over(folder / "bundle", user)
        environment = user.environment if user is not None else os.environ
        done = subprocess.run(
            runs.launch_argv(runtime, folder, user), capture_output=True, text=True, check=False, cwd="/", env=environment,
            timeout=60, input="",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        yield volume, json.loads(done.stdout)


def marked(volume: Path) -> set[str]:
    """The files that lend rights on the host."""
    found = {path.name for path in volume.iterdir() if path.lstat().st_mode & (stat.S_ISUID | stat.S_ISGID)}
    return found | {path.name for path in volume.iterdir() if "security.capability" in os.listxattr(path)}


def cases() -> Iterator[tuple[str, str]]:
    for stance in STANCES:
        for runtime in runs.RUNTIMES:
            # runc maps the ids of mounts from 1.2 on.
            if (stance, runtime) != ("root, idmap", "runc"):
                yield stance, runtime


@pytest.mark.parametrize(("stance", "runtime"), list(cases()))
def test_no_file_that_lends_rights_is_left_on_the_host(stance: str, runtime: str) -> None:
    require("userns" if stance == "rootless" else "root")
    with planted(stance, runtime) as (volume, said):
        assert marked(volume) == set()
        assert (volume / "plain").stat().st_mode & 0o7777 == 0o1777
        # The kernel gives a new directory no such bit, so nothing is lost by letting that call be.
        assert said.pop("mkdir") == "done"
        assert said.pop("setxattr") == "ENOTSUP"
        assert said.pop("openat2") == "ENOSYS"
        assert set(said.values()) == {"EPERM"}
    with planted(stance, runtime, OFF) as (volume, said):
        assert set(said.values()) == {"done"}, said
        everything = {path.name for path in volume.iterdir()} - {"plain", "mkdir"}
        assert marked(volume) == everything > {"linkat", "setxattr", "openat2"}


def test_a_capability_of_an_idmapped_volume_would_be_the_hosts() -> None:
    """Why a user namespace is no answer: through the map the namespace's root is the host's, and so is the file's."""
    require("root")
    with planted("root, idmap", "native", OFF) as (volume, _):
        held = os.getxattr(volume / "setxattr", "security.capability")
        assert held[3] == 2, "version 2: without a root id, for every namespace"


@pytest.mark.parametrize(
    ("stance", "drop", "stays"),
    [("root, idmap", False, False), ("root, host's ids", False, True), ("root, host's ids", True, False)],
)
def test_a_bit_that_is_there_outlives_a_write_for_fsetid_of_the_host_alone(
    stance: str, drop: bool, stays: bool
) -> None:
    """What the page says of it: the restriction takes no bit away, the kernel does."""
    require("root")
    options, more = STANCES[stance]
    with runs.workplace() as folder, runs.workplace() as ours:
        program = folder / "volume/program"
        program.parent.mkdir()
        program.touch()
        program.chmod(0o4755)
        text = f'[rootfs]\nvolumes = ["{program.parent}:/data:{options}"]\n{excepted("rootfs.volumes./data")}{more}'
        layer = shipped.layer(ours, "layer", text + ('[capabilities]\ndrop = ["FSETID"]\n' if drop else ""))
        assembly = shipped.assembled(["default", layer], ["/bin/sh", "-c", "echo changed >> /data/program"], folder)
        bundle.write(assembly.spec, folder / "bundle")
        subprocess.run(
            runs.launch_argv("native", folder, None), check=True, cwd="/", timeout=60, stdin=subprocess.DEVNULL
        )
        assert program.read_text() == "changed\n"
        assert bool(program.stat().st_mode & stat.S_ISUID) is stays
