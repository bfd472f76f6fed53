"""What every attack uses. It runs inside the container under attack: standard library only, nothing of the project.

An attack is a function of a `Given` that returns what it got hold of. It ends with `OSError` where the kernel or the
filter says no, and with `Refused` where nobody says so and yet nothing was gained.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

#: Seconds for one attack. Whatever hangs has not escaped.
PATIENCE = 60
NUMBERS: dict[str, int] = {}


class Refused(Exception):
    """Nothing was gained; the text says what was found instead."""


class Given:
    """What the attacker knows of the host: the secrets of the victim, and where they are."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self.folder: str = facts["folder"]  # a directory of the host, owned by the caller
        self.canary: str = facts["canary"]  # the text that only the host has
        self.host_name: str = facts["host_name"]
        self.pid: int = facts["pid"]  # of the victim, a process of the same user, as the host counts
        self.address: int = facts["address"]  # of the canary in its memory
        self.descriptor: int = facts["descriptor"]  # of the victim: open on the canary's file
        self.key: int = facts["key"]  # serial number in the caller's user keyring
        self.segment: int = facts["segment"]  # number of a System V segment
        self.abstract: str = facts["abstract"]  # name of an abstract socket, without the NUL
        self.port: int = facts["port"]  # TCP on the host's loopback interface
        self.handle: tuple[int, str] = tuple(facts["handle"])  # of the canary's file: type, bytes in hexadecimal
        self.secret: str = facts["secret"]  # path of a file with the canary in the caller's home
        self.controller: str = facts["controller"]  # of a cgroup hierarchy of version 1 that is mounted, or ""
        self.disk: int = facts["disk"]  # device number of a block device of the host


def call(name: str, *arguments: int | bytes | ctypes.Array[Any] | None) -> int:
    """A system call by its name; `OSError` with its errno."""
    libc = ctypes.CDLL(None, use_errno=True)
    raw = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    result = int(ctypes.c_long(libc.syscall(ctypes.c_long(NUMBERS[name]), *raw)).value)
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def packed(*words: int) -> bytes:
    """Numbers of 64 bits, as the kernel's structures hold them."""
    return b"".join((word & 2**64 - 1).to_bytes(8, sys.byteorder) for word in words)


def capabilities() -> int:
    """The effective set of this process, from /proc/self/status."""
    with open("/proc/self/status", encoding="utf-8") as file:
        return int(next(line for line in file if line.startswith("CapEff:")).split()[1], 16)


def look(attack: Callable[[Given], str], given: Given) -> dict[str, Any]:
    """Run one attack in this process: what came of it, for JSON."""
    signal.alarm(PATIENCE)
    try:
        return {"escaped": True, "said": attack(given)}
    except OSError as error:
        return {"escaped": False, "said": errno.errorcode.get(error.errno or 0, str(error))}
    except Refused as error:
        return {"escaped": False, "said": str(error)}
    except MemoryError:
        return {"escaped": False, "said": "no memory"}
    except Exception:  # noqa: BLE001 - a defect of the attack is reported, and fails the test
        return {"broken": traceback.format_exc()}


def apart(attack: Callable[[Given], str], given: Given) -> dict[str, Any]:
    """Run one attack in a child of its own, so that whatever becomes of it hides no other."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.write(writer, json.dumps(look(attack, given)).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        text = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if text:
        found: dict[str, Any] = json.loads(text)
        return found
    return {"escaped": False, "said": signal.Signals(-status).name if status < 0 else f"ended with {status}"}


def main(task: dict[str, Any]) -> None:
    """Run the attacks that ``task`` names, one after the other, and print a line of JSON about each."""
    NUMBERS.update(task["numbers"])
    given = Given(task["facts"])
    for name in task["attacks"]:
        module, _, function = name.rpartition(".")
        found = apart(getattr(sys.modules[module], function), given)
        print(json.dumps({"attack": name, **found}), flush=True)
