"""The audit trail: the login uid of whoever typed `hardening run` is the command's, as the host's kernel reports it.

A login uid can be set once, so each test sets it in a fresh child, which then becomes `hardening` (and its launcher:
the pid stays). What the host sees of the command, which still runs, is compared: through the eyes of a user namespace the
number could be another one.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import audit, runs, users
from tests.support.features import available, require
from tests.support.users import User, ordinary

pytestmark = pytest.mark.system

PERSON = "1000"
#: What the command runs for: it ends when its standard input does.
WAIT = ("sh", "-c", "echo ready; read -r line; exit 0")
RUNTIMES = ("native", "crun", "runc")
CALLERS = ("root", "user")


@contextmanager
def login_uid_of_command(
    loginuid: str | None, runtime: str, user: User | None, *within: str
) -> Iterator[tuple[str, str]]:
    """Run a command under `strict` in a session with a login uid: the command's own, and the launcher's. ``within`` are
    words before those of the program."""
    options = ["-q", "-i", "-p", "strict", "--runtime", runtime]
    program = users.program(user) if user is not None else str(Path(sys.executable).with_name("hardening"))
    argv = [*within, program, "run", *options, "--", *WAIT]
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
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_without_a_login_it_is_the_caller_s_uid(runtime: str, name: str) -> None:
    """The second time is a cache entry's."""
    require("loginuid-unset")
    user = caller(name, runtime)
    uid = str(user.uid if user is not None else 0)
    for _ in range(2):
        with login_uid_of_command(None, runtime, user) as found:
            assert found == (uid, uid)


def test_in_a_user_namespace_it_is_the_uid_outside() -> None:
    require("loginuid-unset")
    user = caller("user", "native")
    assert user is not None
    with runs.workplace(user) as state:
        within = ("unshare", "--user", "--map-root-user", "env", f"HARDENING_STATE={state}")
        with login_uid_of_command(None, "native", user, *within) as found:
            assert found == (str(user.uid), str(user.uid))


def test_a_login_uid_that_the_user_namespace_cannot_name_is_kept() -> None:
    require("loginuid-settable")
    require("userns")
    person = ordinary()
    argv = [users.program(person), "run", "-q", "-p", "strict", "--", "sh", "-c", "echo 0 >/proc/self/loginuid"]
    session = person.argv(["unshare", "--user", "--map-root-user", *argv])
    login = ["sh", "-c", 'echo 1 >/proc/self/loginuid && exec "$@"', "sh", *session]
    with runs.workplace(person) as state:
        environment = {**person.environment, "HARDENING_STATE": str(state)}
        done = subprocess.run(login, cwd="/", env=environment, capture_output=True, text=True, check=False)
        launch, end = map(json.loads, (state / "records/records.jsonl").read_text().splitlines())
    assert launch["loginuid"] is None
    assert launch["session"] is not None
    assert end["code"] != 0, done.stderr  # the command could not write to it


def test_audit_control_in_the_host_s_user_namespace_changes_it_and_is_told(tmp_path: Path) -> None:
    """The counter-proof: the write that is refused above, with the one capability that permits it."""
    require("root")
    require("loginuid-settable")
    profile = tmp_path / "auditor.toml"
    profile.write_text(
        '[namespaces]\nuser = "host"\n[process]\nuser = "0:0"\n[selinux]\nrequirement = "best-effort"\n'
        '[capabilities]\nadd = ["AUDIT_CONTROL"]\n'
    )
    argv = [str(Path(sys.executable).with_name("hardening")), "run", "-p", str(profile), "--", "sh", "-c"]
    script = f"echo {PERSON} >/proc/self/loginuid; cat /proc/self/loginuid"
    done = subprocess.run([*argv, script], capture_output=True, text=True, check=False)
    assert done.stdout == PERSON, done.stderr
    assert "AUDIT_CONTROL is dangerous: turns the audit trail off, and sets the login uid" in done.stderr
    without = subprocess.run(
        [*argv[:-4], "--cap-drop", "AUDIT_CONTROL", *argv[-3:], script], capture_output=True, text=True
    )
    assert without.stdout != PERSON


@pytest.mark.parametrize("command", ["run", "doctor"])
def test_where_it_cannot_be_set_nothing_runs(command: str) -> None:
    require("loginuid-unset")
    require("root")
    program = Path(sys.executable).with_name("hardening")
    words = ["run", "-q", "-p", "strict", "--", "echo", "ran"] if command == "run" else ["doctor"]
    script = 'mount -o remount,bind,ro /proc && exec "$@"'
    with audit.alone(), runs.workplace() as state:  # or the audit system could get the record of the refusal
        argv = ["unshare", "--mount", "sh", "-c", script, "sh", str(program), *words]
        environment = {**os.environ, "HARDENING_STATE": str(state)}
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
        if command == "run":
            refusal = "/proc/self/loginuid: the caller's login uid cannot be set: Read-only file system"
            assert done.returncode == 125
            assert f"hardening: {refusal}\nhint: " in done.stderr
            assert done.stdout == ""
            (record,) = map(json.loads, (state / "records/records.jsonl").read_text().splitlines())
            assert (record["event"], record["error"], record["loginuid"]) == ("refused", refusal, None)
        else:
            assert done.returncode == 1
            assert re.search(r"login uid +fail +cannot be set: Read-only file system", done.stdout)


def test_the_receipt_says_the_same() -> None:
    require("loginuid-settable")
    program = Path(sys.executable).with_name("hardening")
    with runs.workplace() as folder:
        target = folder / "receipt.json"
        argv = [str(program), "run", "-q", "-p", "strict", "--receipt", str(target), "--", "true"]
        session = ["sh", "-c", f'echo {PERSON} >/proc/self/loginuid && exec "$@"', "sh", *argv]
        subprocess.run(session, check=True, capture_output=True, cwd="/")
        assert f'"loginuid": "{PERSON}"' in target.read_text()
