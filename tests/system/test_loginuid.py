"""The audit trail: the login uid of whoever typed `hardening run` is the command's, as the host's kernel reports it.

A login uid can be set once, so each test sets it in a fresh child, which then becomes `hardening` (and its launch stage:
the pid stays). What the host sees of the command, which still runs, is compared: through the eyes of a user namespace the
number could be another one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import runs, users
from tests.support.features import UNSET_LOGINUID, available, require
from tests.support.users import User, ordinary

pytestmark = pytest.mark.system

PERSON = "1000"
#: What the command runs for: it ends when its standard input does.
WAIT = ("sh", "-c", "echo ready; read -r line; exit 0")
RUNTIMES = ("native", "crun", "runc")
CALLERS = ("root", "user")


@contextmanager
def login_uid_of_command(loginuid: str | None, runtime: str, user: User | None) -> Iterator[tuple[str, str]]:
    """Run a command under `strict` in a session with a login uid: the command's own, and the launch stage's."""
    options = ["-q", "-i", "-p", "strict", "--runtime", runtime]
    program = users.program(user) if user is not None else str(Path(sys.executable).with_name("hardening"))
    argv = [program, "run", *options, "--", *WAIT]
    login = "" if loginuid is None else f"echo {loginuid} >/proc/self/loginuid && "
    words = ["sh", "-c", f'{login}exec "$@"', "sh", *(user.argv(argv) if user is not None else argv)]
    environment = user.environment if user is not None else dict(os.environ)
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd="/", env=environment) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            if user is not None and user.uid != os.geteuid():
                for stream in (process.stdin, process.stdout, process.stderr):
                    os.fchown(stream.fileno(), user.uid, user.gid)
            line = process.stdout.readline()
            assert line == "ready\n", process.stderr.read()
            command = runs.find(process.pid, WAIT)
            yield read_login_uid(command), read_login_uid(process.pid)
            process.stdin.close()
            assert process.wait(60) == 0
        finally:
            process.kill()


def read_login_uid(pid: int) -> str:
    return Path(f"/proc/{pid}/loginuid").read_text().strip()


def caller(name: str, runtime: str) -> User | None:
    """Skip where the host cannot do it; None for root."""
    require("loginuid-settable")
    if runtime == "crun" and not available("cgroup2-unified"):
        require("cgroup2-mount")
    if name == "user":
        require("userns")
        return ordinary()
    require("root")
    return None


@pytest.mark.parametrize("name", CALLERS)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_login_uid_of_the_person_is_the_command_s(runtime: str, name: str) -> None:
    with login_uid_of_command(PERSON, runtime, caller(name, runtime)) as (command, launcher):
        assert (command, launcher) == (PERSON, PERSON)


@pytest.mark.parametrize("name", CALLERS)
def test_without_a_login_there_is_none_to_inherit(name: str) -> None:
    """The counter-proof: the number above comes from the session, not from the launcher."""
    require("loginuid-unset")
    with login_uid_of_command(None, "native", caller(name, "native")) as (command, _):
        assert command == UNSET_LOGINUID


def test_the_receipt_says_the_same() -> None:
    require("loginuid-settable")
    program = Path(sys.executable).with_name("hardening")
    with runs.workplace() as folder:
        target = folder / "receipt.json"
        argv = [str(program), "run", "-q", "-p", "strict", "--receipt", str(target), "--", "true"]
        session = ["sh", "-c", f'echo {PERSON} >/proc/self/loginuid && exec "$@"', "sh", *argv]
        subprocess.run(session, check=True, capture_output=True, cwd="/")
        assert f'"loginuid": "{PERSON}"' in target.read_text()
