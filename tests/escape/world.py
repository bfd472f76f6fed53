"""What an attacker is after: a victim on the host, with secrets in memory, files, keys and sockets."""

from __future__ import annotations

import json
import os
import secrets
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from tests.support import runs
from tests.support.users import User

#: The victim: a process of the same user without capabilities. Prints what an attacker would have to find out.
VICTIM = """
import ctypes, json, os, signal, socket, sys
folder, canary, name, add_key, keyctl = sys.argv[1:6]
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
memory = ctypes.create_string_buffer(canary.encode())
file = os.open(folder + "/secret/canary", os.O_RDONLY)
key = libc.syscall(int(add_key), b"user", name.encode(), canary.encode(), len(canary), -4)
libc.syscall(int(keyctl), 5, key, 0x3F3F0000)  # KEYCTL_SETPERM: everything to its owner
segment = libc.shmget(0, 4096, 0o1600)
ctypes.memmove(libc.shmat(segment, None, 0), canary.encode(), len(canary))
libc.shmctl(segment, 0, None)  # goes with its last user
abstract = socket.socket(socket.AF_UNIX); abstract.bind("\\0" + name); abstract.listen()
path = socket.socket(socket.AF_UNIX); path.bind(folder + "/secret/socket"); path.listen()
tcp = socket.socket(); tcp.bind(("127.0.0.1", 0)); tcp.listen()
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
print(json.dumps({"address": ctypes.addressof(memory), "descriptor": file, "key": key, "segment": segment,
                  "abstract": name, "port": tcp.getsockname()[1]}), flush=True)
while True:
    signal.sigwait({signal.SIGUSR1})
    with open(folder + "/signalled", "a") as log:
        log.write("signalled")
"""


@attrs.frozen
class World:
    """One stance's host: who launches (None is root), and the facts that an attack is given."""

    stance: str
    user: User | None
    folder: Path
    facts: dict[str, Any]

    @property
    def canary(self) -> str:
        return str(self.facts["canary"])


@contextmanager
def world(stance: str, user: User | None, numbers: dict[str, int]) -> Iterator[World]:
    """A victim of the user who launches; it ends with the block."""
    canary = f"canary-{secrets.token_hex(8)}"
    name = f"hardening-escape-{secrets.token_hex(3)}"
    home = Path.home() if user is None else user.home
    with runs.workplace(user) as folder, _planted(home / f".{name}", canary, user) as at_home:
        secret = folder / "secret"
        secret.mkdir()
        (secret / "canary").write_text(canary)
        runs.hand_over(secret, user)
        disk = _disk(folder)
        if os.geteuid() == 0:
            _programs(folder / "programs", user, disk)
        command = [
            "/usr/bin/python3",
            "-I",
            "-S",
            "-c",
            VICTIM,
            str(folder),
            canary,
            name,
            *(str(numbers[call]) for call in ("add_key", "keyctl")),
        ]
        bare = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--", *command]
        argv = bare if user is None else user.argv(command)
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd="/") as victim:
            assert victim.stdout is not None
            try:
                facts = json.loads(victim.stdout.readline())
                facts |= {"folder": str(folder), "canary": canary, "pid": victim.pid, "host_name": socket.gethostname()}
                facts |= {"secret": str(at_home), "controller": _controller()}
                facts |= {"handle": _handle(secret / "canary"), "disk": disk}
                yield World(stance, user, folder, facts)
            finally:
                victim.kill()


@contextmanager
def _planted(path: Path, text: str, user: User | None) -> Iterator[Path]:
    """A file with a text that belongs to ``user``, until the block ends."""
    path.write_text(text)
    try:
        runs.hand_over(path, user)
        yield path
    finally:
        path.unlink()


#: Says whose rights it has; with an argument, which capabilities.
PROGRAM = """
#include <stdio.h>
#include <unistd.h>
int main(int count, char **words) {
    char text[4096];
    FILE *file = fopen("/proc/self/status", "r");
    if (count < 2) return printf("%d\\n", geteuid()) < 0;
    while (file && fgets(text, sizeof text, file)) fputs(text, stdout);
    return 0;
}
"""
NET_BIND_SERVICE = 1 << 10


def _programs(folder: Path, user: User | None, disk: int) -> None:
    """A volume of programs that lend rights, with a node of the disk and a link out of it. Only root can make it."""
    folder.mkdir()
    (folder / "whoami.c").write_text(PROGRAM)
    for name in ("whoami", "capable"):
        subprocess.run(["gcc", "-o", str(folder / name), str(folder / "whoami.c")], check=True)
    lender = 1 if user is None else first_id(user)
    os.chown(folder / "whoami", lender, lender)
    (folder / "whoami").chmod(0o4755)
    # struct vfs_ns_cap_data of linux/capability.h: revision 3 with the effective bit, the sets, the namespace's root.
    root = 0 if user is None else lender
    words = (0x03000001, NET_BIND_SERVICE, 0, 0, 0, root)
    value = b"".join(word.to_bytes(4, "little") for word in words)
    os.setxattr(folder / "capable", "security.capability", value if root else b"\1\0\0\2" + value[4:20])
    os.mknod(folder / "disk", 0o666 | stat.S_IFBLK, disk)
    # What another container has left in a volume that it can write.
    (folder / "data").symlink_to(folder.parent / "secret")
    os.chown(folder / "data", lender, lender, follow_symlinks=False)


def first_id(user: User) -> int:
    """The first of the subordinate ids of a user, whom a container maps beside the user."""
    lines = (line.split(":") for line in Path("/etc/subuid").read_text().splitlines())
    return next(int(first) for name, first, _ in lines if name == user.name)


def _controller() -> str:
    """A controller of cgroup version 1 that the host mounts by itself, or ''."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        name = line.split(":")[1]
        if name and "," not in name and "=" not in name and name != "memory":
            return name
    return ""


def _handle(path: Path) -> tuple[int, str]:
    """The file handle of a path (name_to_handle_at(2)): type, and bytes in hexadecimal."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    handle = ctypes.create_string_buffer((128).to_bytes(4, "little") + bytes(132), 136)
    done = libc.name_to_handle_at(-100, os.fsencode(path), handle, ctypes.byref(ctypes.c_int()), 0)
    assert done == 0, os.strerror(ctypes.get_errno())
    size = int.from_bytes(handle.raw[:4], "little")
    return int.from_bytes(handle.raw[4:8], "little"), handle.raw[8 : 8 + size].hex()


def _disk(folder: Path) -> int:
    """The number of a block device, the largest that root can open on this host without any container."""
    sizes: dict[int, int] = {}
    for place in Path("/sys/class/block").iterdir():
        major, minor = (place / "dev").read_text().split(":")
        sizes[os.makedev(int(major), int(minor))] = int((place / "size").read_text())
    found = sorted(sizes, key=lambda number: -sizes[number]) or [os.makedev(7, 0)]
    return next((number for number in found if os.geteuid() == 0 and _opens(folder / "probe", number)), found[0])


def _opens(path: Path, number: int) -> bool:
    os.mknod(path, 0o600 | stat.S_IFBLK, number)
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError:
        return False
    finally:
        path.unlink()
    return True
