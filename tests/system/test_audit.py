"""Who touched that file? The audit system names the person behind a command, and our own record stands beside it.

auditd(8) runs here with a log of its own. A person logs in, by a login uid that a fresh child sets as pam_loginuid(8)
does, and changes a watched file of the host through a volume: as an ordinary user, and having become root.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.support import audit, runs, users
from tests.support.audit import AuditSystem
from tests.support.features import UNSET_LOGINUID, available, require
from tests.support.forking import typed
from tests.support.patience import until
from tests.support.users import User, ordinary

pytestmark = pytest.mark.system

SECRET = "canary-of-the-environment"
HARDENING = str(Path(sys.executable).with_name("hardening"))


@attrs.frozen
class Place:
    """The audit system, a folder of the person's own with a file in it, and the person."""

    audit: AuditSystem
    folder: Path
    person: User

    @property
    def ledger(self) -> Path:
        """The file that the tests watch."""
        return self.folder / "ledger"

    def log_in_and_run(self, caller: str, *arguments: str, login: bool = True) -> subprocess.CompletedProcess[str]:
        """Call `hardening` as the person who has logged in, ``user``, or as who that person has become, ``root``; without
        ``login`` as cron(8) and build pipelines do, where nobody has."""
        if caller == "root":
            before = f"open('/proc/self/loginuid', 'w').write('{self.person.uid}')\n" if login else ""
            return typed(None, *arguments, cwd="/", env=os.environ, before=before)
        session = words = self.person.argv([users.program(self.person), *arguments])
        if login:
            session = ["sh", "-c", f'echo {self.person.uid} >/proc/self/loginuid && exec "$@"', "sh", *words]
        return subprocess.run(
            session, cwd="/", env=self.person.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False,
        )  # fmt: skip


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    require("root")
    require("loginuid-settable")
    require("userns")
    with audit.alone(), runs.workplace() as folder, runs.workplace() as log:
        require("audit")
        person = ordinary()
        (folder / "ledger").write_text("1\n")
        os.chown(folder / "ledger", person.uid, person.gid)
        (folder / "ledger").chmod(0o666)
        with audit.daemon(log) as system:
            yield Place(system, folder, person)


def volume(place: Place, caller: str, runtime: str) -> list[str]:
    """Options for the folder at /data, with its ids mapped where root's container has others, and the runtime can."""
    return ["-v", f"{place.folder}:/data{':idmap' if caller == 'root' and runtime != 'runc' else ''}"]


def claim(person: str) -> str:
    """What a shell does to put the blame on somebody else: as that person, as root, and as nobody at all."""
    return (
        f'for id in {person} 0 {UNSET_LOGINUID}; do echo $id >/proc/self/loginuid && echo "now $id"; done 2>/dev/null'
    )


def test_whoever_has_no_login_uid_may_claim_anybody_s() -> None:
    """The counter-proof, without `hardening`: it is the kernel's rule, and holds in a container as well."""
    require("loginuid-unset")
    for wrapped in ([], ["unshare", "--user", "--map-root-user"]):
        done = subprocess.run([*wrapped, "sh", "-c", claim("0")], capture_output=True, text=True)
        assert "now 0\n" in done.stdout


@pytest.mark.parametrize("caller", ["root", "user"])
@pytest.mark.parametrize("runtime", ["native", "crun", "runc"])
@pytest.mark.parametrize("login", [True, False], ids=["set", "unset"])
def test_a_command_that_touches_a_watched_file_is_found_with_the_login_uid(
    login: bool, runtime: str, caller: str, place: Place
) -> None:
    """Whatever it claims. Where nobody has logged in, it is the real uid of the caller: the table of
    docs/reference/records.md."""
    if not login:
        require("loginuid-unset")
    if caller == "root":
        require("idmapped")
    if runtime == "crun" and not available("cgroup2-unified"):
        require("cgroup2-mount")
    auid = place.person.uid if login or caller == "user" else 0
    key = f"ledger-{secrets.token_hex(4)}"
    script = f"{claim('1000')}; echo {key} >>/data/ledger"
    with place.audit.watching(place.ledger, key):
        options = ["-q", "-p", "default", "--runtime", runtime, *volume(place, caller, runtime)]
        done = place.log_in_and_run(caller, "run", *options, "--", "sh", "-c", script, login=login)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        found = place.audit.search("type=PATH", "-k", key, "--syscall", "openat")
    assert set(re.findall(r"\bauid=(\d+)", found)) == {str(auid)}
    assert key in place.ledger.read_text()
    # The kernel's own word: the path as the command knows it, the file as the host has it, and the person.
    path = re.search(r"^type=PATH .*name=\"/data/ledger\" inode=(\d+)", found, re.MULTILINE)
    call = re.search(
        r"^type=SYSCALL .*success=yes .*ppid=(\d+) .*auid=(\d+) uid=(\d+) .* ses=(\d+) ", found, re.MULTILINE
    )
    assert path is not None
    assert call is not None
    assert int(path[1]) == place.ledger.stat().st_ino
    assert int(call[2]) == auid
    if caller == "user":
        assert int(call[3]) == place.person.uid
    assert f'key="{key}"' in found
    # And our record beside it.
    launch, end = records(place, caller, script, 2, auid)
    assert launch["loginuid"] == end["loginuid"] == auid
    assert launch["session"] == end["session"] == int(call[4])
    assert launch["uid"] == (place.person.uid if caller == "user" else 0)
    assert (end["result"], end["code"]) == ("exited", 0)
    assert launch["runtime"] == runtime
    assert [profile["name"] for profile in launch["profiles"]] == ["base", "default", "command line"]
    assert "seccomp" in launch["enforced"]
    if runtime == "native":
        assert int(call[1]) == launch["pid"]


def records(place: Place, caller: str, word: str, count: int, auid: int | None = None) -> list[dict[str, Any]]:
    """The ``count`` records of the command with this argument: of root in the audit log, to which the daemon writes a moment
    after the kernel has its message; of an ordinary user in a file of their own."""
    only = ["--json", "--auid", str(place.person.uid if auid is None else auid)]

    def ours() -> list[dict[str, Any]]:
        if caller == "user":
            done = place.person.run([users.program(place.person), "log", *only])
        else:
            argv = [HARDENING, "log", "--from", str(place.audit.log), *only]
            done = subprocess.run(argv, capture_output=True, text=True, check=True)
        found = [json.loads(line) for line in done.stdout.splitlines()]
        launches = {record["id"] for record in found if word in record.get("command", ())}
        return [record for record in found if record["id"] in launches]

    return until(lambda: [found] if len(found := ours()) == count else [], ours)[0]


def test_a_refused_launch_and_a_used_exception_stand_in_the_audit_log(place: Place) -> None:
    reason = 'look into "it"'
    exception = ["--exception", f"process.rlimits.nofile={reason}"]
    loosening = ["--set", "process.rlimits.nofile=2048:4096", "-e", f"SECRET={SECRET}"]
    refused = place.log_in_and_run("root", "run", "-q", "-p", "strict", *loosening, "--", "echo", "refused")
    assert refused.returncode == 2
    done = place.log_in_and_run("root", "run", "-q", "-p", "strict", *loosening, *exception, "--", "echo", "excepted")
    assert done.returncode == 0, done.stderr
    (record,) = records(place, "root", "refused", 1)
    assert (record["event"], record["code"], record["loginuid"]) == ("refused", 2, place.person.uid)
    assert "process.rlimits.nofile: 2048:4096 is looser than" in record["error"]
    launch, excepted, end = records(place, "root", "excepted", 3)
    assert [launch["event"], excepted["event"], end["event"]] == ["launch", "exception", "end"]
    assert (excepted["setting"], excepted["reason"]) == ("process.rlimits.nofile", reason)
    assert launch["id"] == excepted["id"] == end["id"]
    failed = place.audit.search(
        "op=start", "-m", "VIRT_CONTROL", "--success", "no", "--loginuid", str(place.person.uid)
    )
    assert failed
    assert SECRET not in place.audit.log.read_text()


def test_who_may_not_write_to_the_audit_system_leaves_no_record_there(place: Place) -> None:
    word = secrets.token_hex(8)
    done = place.log_in_and_run("user", "run", "-q", "-p", "strict", "--", "echo", word)
    assert done.stdout == f"{word}\n", done.stderr
    assert records(place, "user", word, 2)
    later = place.log_in_and_run("root", "run", "-q", "-p", "strict", "--", "echo", f"after {word}")
    assert later.returncode == 0, later.stderr
    # Whoever comes later is there already.
    assert records(place, "root", f"after {word}", 2)
    assert records(place, "root", word, 0) == []


#: In a mount namespace of its own, so that what is written beside the state directory stays there. The command waits for
#: the shell, which puts a directory in the place of the file of records.
UNASKABLE = """
mount -t tmpfs tmpfs /var/log || exit 1
state=$HARDENING_STATE
mkfifo "$state/go" || exit 1
setpriv --bounding-set -audit_control "$@" <>"$state/go" >"$state/out" &
while ! grep -q ready "$state/out"; do sleep 0.05; done
mv "$state/records/records.jsonl" "$state/launch" && mkdir "$state/records/records.jsonl" || exit 1
echo go >"$state/go"
wait $!
code=$?
cat "$state/launch" /var/log/hardening/records.jsonl
exit $code
"""


def test_who_cannot_ask_whether_audit_records_are_kept_leaves_each_there_once_and_beside(place: Place) -> None:
    """Without CAP_AUDIT_CONTROL. The sink beside is another one at the end, and the audit system has that record by then."""
    word = "x" * 3000
    with runs.workplace() as state:
        options = ["-q", "-i", "-p", "strict", "--", "sh", "-c", "echo ready; read line; exit 7", word]
        argv = ["unshare", "--mount", "sh", "-c", UNASKABLE, "sh", HARDENING, "run", *options]
        environment = {**os.environ, "HARDENING_STATE": str(state)}
        done = subprocess.run(
            argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 7, done.stderr
    beside = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(record["event"], record["command"][-1]) for record in beside] == [("launch", word), ("end", word)]
    ours = f'vm="{beside[0]["id"]}"'
    # Whoever comes later is there already.
    later = place.log_in_and_run("root", "run", "-q", "-p", "strict", "--", "echo", "after unasked")
    assert later.returncode == 0, later.stderr
    assert records(place, "root", "after unasked", 2)
    assert [line.count("op=start") for line in place.audit.log.read_text().splitlines() if ours in line] == [1, 0]


def test_doctor_says_that_records_go_to_the_audit_system(place: Place) -> None:
    for caller, sink in (("root", "the audit system"), ("user", str(place.person.home))):
        done = place.log_in_and_run(caller, "doctor", "--json")
        (line,) = [line for line in json.loads(done.stdout) if line["name"] == "records"]
        assert (line["mark"], line["detail"].startswith(sink)) == ("ok", True), line
