"""What an attacker is after: a victim on the host, with secrets in memory, files, keys and sockets."""

from __future__ import annotations

import json
import os
import secrets
import socket
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
number = int(name[-6:], 16)
segment = libc.shmget(number, 4096, 0o1600)
ctypes.memmove(libc.shmat(segment, None, 0), canary.encode(), len(canary))
libc.shmctl(segment, 0, None)  # goes with its last user
abstract = socket.socket(socket.AF_UNIX); abstract.bind("\\0" + name); abstract.listen()
tcp = socket.socket(); tcp.bind(("127.0.0.1", 0)); tcp.listen()
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
print(json.dumps({"address": ctypes.addressof(memory), "descriptor": file, "key": key, "segment": number,
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
    with runs.workplace(user) as folder:
        secret = folder / "secret"
        secret.mkdir()
        (secret / "canary").write_text(canary)
        runs.hand_over(secret, user)
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
                facts |= {"handle": _handle(secret / "canary"), "disk": _disk()}
                yield World(stance, user, folder, facts)
            finally:
                victim.kill()


def _handle(path: Path) -> tuple[int, str]:
    """The file handle of a path (name_to_handle_at(2)): type, and bytes in hexadecimal."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    handle = ctypes.create_string_buffer((128).to_bytes(4, "little") + bytes(132), 136)
    done = libc.name_to_handle_at(-100, os.fsencode(path), handle, ctypes.byref(ctypes.c_int()), 0)
    assert done == 0, os.strerror(ctypes.get_errno())
    size = int.from_bytes(handle.raw[:4], "little")
    return int.from_bytes(handle.raw[4:8], "little"), handle.raw[8 : 8 + size].hex()


def _disk() -> int:
    """The number of a block device that this host has."""
    for place in sorted(Path("/sys/class/block").iterdir()):
        if (place / "size").read_text().strip() != "0":
            major, minor = (place / "dev").read_text().split(":")
            return os.makedev(int(major), int(minor))
    return os.makedev(7, 0)
