"""Records of real launches: one each for a launch, a refused launch, a used exception and an end, and never a secret."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from hardening.launch.record import sinks
from tests.support import audit, journal, runs, users
from tests.support.features import available, require
from tests.support.forking import typed
from tests.support.patience import until
from tests.support.users import User, ordinary

pytestmark = pytest.mark.system

CANARY = "canary-of-the-environment"
RUNTIMES = ("native", "crun", "runc")
READY = "echo ready; exec sleep 60"


@attrs.frozen
class Caller:
    """Somebody who calls `hardening`, with a state directory, and so a file of records, for this test alone."""

    user: User | None
    folder: Path

    @property
    def file(self) -> Path:
        """Where the records go that neither the audit system nor a journal takes."""
        return self.folder / "state/records" / sinks.FILE

    @property
    def program(self) -> str:
        return str(Path(sys.executable).with_name("hardening")) if self.user is None else users.program(self.user)

    @property
    def environment(self) -> dict[str, str]:
        base = dict(os.environ) if self.user is None else self.user.environment
        return {**base, "HARDENING_STATE": str(self.folder / "state")}

    def argv(self, *arguments: str) -> list[str]:
        command = [self.program, *arguments]
        return command if self.user is None else self.user.argv(command)

    def call(self, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        """Call `hardening`, which exits with ``status``."""
        done = typed(self.user, *arguments, env=self.environment, cwd=self.folder)
        assert done.returncode == status, done.stderr
        return done

    def records(self) -> list[dict[str, Any]]:
        """What `hardening log` shows of this test's own file."""
        text = self.call("log", "--json", "--from", str(self.file)).stdout
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(params=["root", "user"])
def caller(request: pytest.FixtureRequest) -> Iterator[Caller]:
    require("userns")
    if request.param == "root":
        require("root")
    user = ordinary() if request.param == "user" else None
    # Whoever has the audit system meanwhile would get root's records.
    with audit.alone(), runs.workplace(user) as folder:
        if request.param == "root":
            require("audit")
        yield Caller(user, folder)


@pytest.mark.parametrize("options", [(), ("--name", "it")])
def test_a_stack_that_is_composed_again_leaves_the_records_of_one_launch(
    caller: Caller, options: tuple[str, ...]
) -> None:
    """No signal is blocked in the launch that takes the place of the cached one."""
    profile, root = caller.folder / "app.toml", caller.folder / "root"
    blocked, good = ("grep", "SigBlk", "/proc/self/status"), f"SigBlk:\t{0:016}\n"
    line = ("run", "-q", *options, "-p", "./app.toml", "--rootfs", "./root", "--", *blocked)
    runs.busybox_root(root)
    profile.write_text('extends = ["strict"]\n')
    assert caller.call(*line).stdout == good
    assert caller.call(*line).stdout == good
    assert [record["event"] for record in caller.records()] == ["launch", "end"] * 2
    profile.write_text('extends = ["strict"]\n# changed\n')
    assert caller.call(*line).stdout == good
    assert [record["event"] for record in caller.records()] == ["launch", "end"] * 3
    root.rename(caller.folder / "gone")
    assert "rootfs" in caller.call(*line, status=2).stderr
    assert [record["event"] for record in caller.records()][6:] in ([], ["refused"])
    assert not list(caller.folder.glob("state/launches/*"))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_launch_with_an_exception_and_its_end(runtime: str, caller: Caller) -> None:
    if runtime == "crun" and not available("cgroup2-unified"):
        require("cgroup2-mount")
    options = ["-q", "-p", "strict", "--runtime", runtime, "--set", "process.rlimits.nofile=2048:4096"]
    reason = "many\x1b ledgers"
    caller.call(
        "run", *options, "--exception", f"process.rlimits.nofile={reason}", "--", "sh", "-c", "exit 7", status=7
    )
    launch, exception, end = caller.records()
    assert [launch["event"], exception["event"], end["event"]] == ["launch", "exception", "end"]
    assert len({record["id"] for record in (launch, exception, end)}) == 1
    for record in (launch, exception, end):
        assert record["command"] == ([] if record is exception else ["sh", "-c", "exit 7"])
        assert record["runtime"] == runtime
        assert record["uid"] == (caller.user.uid if caller.user else 0)
        assert len(record["spec"]) == 64
    assert [profile["name"] for profile in launch["profiles"]] == ["base", "strict", "command line"]
    assert [len(profile["sha256"] or "") for profile in launch["profiles"]] == [64, 64, 0]
    assert {"capabilities", "namespaces", "rootfs", "seccomp"} <= set(launch["enforced"])
    assert (exception["setting"], exception["reason"]) == ("process.rlimits.nofile", reason)
    assert (end["result"], end["code"], end["error"]) == ("exited", 7, None)
    assert b"\x1b" not in caller.file.read_bytes()
    assert caller.file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_refused_launch_has_one_record_whoever_refuses(runtime: str, caller: Caller) -> None:
    if runtime == "crun" and not available("cgroup2-unified"):
        require("cgroup2-mount")
    # Without a helper before the command, which would be what crun and runc have started.
    caller.call("run", "-q", "-p", "base", "--runtime", runtime, "--", "no-such-command", status=127)
    if runtime == "native":
        caller.call("run", "-q", "-p", "no-such-profile", "--", "true", status=2)
    by_launcher, *by_command_line = caller.records()
    assert (by_launcher["event"], by_launcher["code"], by_launcher["command"]) == ("refused", 127, ["no-such-command"])
    assert "no-such-command" in by_launcher["error"]
    for record in by_command_line:
        assert (record["event"], record["code"]) == ("refused", 2)
        assert 'no such profile: "no-such-profile"' in record["error"]
    assert len(by_command_line) == (runtime == "native")


@pytest.mark.parametrize("words", [("run", "-q", "-p", "strict", "--", "true"), ("launch", "{folder}/bundle")])
def test_a_launch_from_a_folder_that_is_gone_is_refused_and_recorded(caller: Caller, words: tuple[str, ...]) -> None:
    caller.call("compose", "-q", "-p", "strict", "-o", "bundle", "--", "true")
    line = [word.format(folder=caller.folder) for word in words]
    gone = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"'
    argv = ["sh", "-c", gone, "sh", caller.program, *line]
    done = subprocess.run(
        argv if caller.user is None else caller.user.argv(argv), env=caller.environment, cwd=caller.folder,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (125, "")
    # A shell that begins in such a folder may say so, too.
    assert done.stderr.endswith(
        "error: the working directory does not exist any more\nhint: change to another one (cd)\n"
    )
    (record,) = caller.records()
    assert (record["event"], record["code"]) == ("refused", 125)
    assert record["error"] == "the working directory does not exist any more"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("caller", ["root"], indirect=True)
def test_a_signal_that_ends_a_command_is_in_its_record(runtime: str, number: signal.Signals, caller: Caller) -> None:
    if runtime == "crun" and not available("cgroup2-unified"):
        require("cgroup2-mount")
    command = ("sleep", "60")
    words = caller.argv("run", "-q", "-p", "strict", "--runtime", runtime, "--", *command)
    with subprocess.Popen(words, env=caller.environment, cwd="/") as process:
        inside = runs.find(process.pid, command)
        # What ends a process by default ends process 1 of a namespace only by the help of the launcher.
        os.kill(inside if number == signal.SIGKILL else process.pid, number)
        assert process.wait(60) == 128 + number
    _, end = caller.records()
    assert (end["result"], end["signal"], end["code"]) == ("killed", number, 128 + number)
    assert 0 < end["seconds"] < 60
    assert f"signal {number:d}" in caller.call("log", "--from", str(caller.file)).stdout


def test_no_value_of_the_environment_is_recorded(caller: Caller) -> None:
    profile = caller.folder / "secretive.toml"
    profile.write_text(f'extends = ["strict"]\n[process.set_environment]\nA = "{CANARY}"\n')
    profile.chmod(0o644)
    said = ["-e", f"B={CANARY}", "--set", f"process.set_environment.C={CANARY}", "-p", str(profile)]
    caller.call("run", "-q", *said, "--", "sh", "-c", 'test -n "$A" && test "$A" = "$B" && test "$B" = "$C"')
    caller.call("run", "-q", *said, "--", "no-such-command", status=127)
    caller.call("run", "-q", *said, "--set", f"limits.process.set_environment.D={CANARY}", "--", "true", status=2)
    for mistyped in (f"TOKEN {CANARY}", f"TOKEN:{CANARY}", f"A-B=x\n{CANARY}"):
        caller.call("run", "-q", "-p", "strict", "-e", mistyped, "--", "true", status=2)
    # Quoted by a message, as one text of several.
    caller.call("run", "-q", "--set", f'process.environment=["TERM","X={CANARY}"]', "--", "true", status=2)
    assert [record["event"] for record in caller.records()] == ["launch", "end", *6 * ["refused"]]
    assert CANARY not in caller.file.read_text()


@pytest.mark.parametrize("caller", ["user"], indirect=True)
def test_who_composes_asks_or_tries_leaves_no_record(caller: Caller) -> None:
    caller.call("compose", "-q", "-p", "strict", "--", "true")
    caller.call("explain", "-p", "strict", "rootfs.read_only")
    caller.call("run", "--dry-run", "-p", "strict", "--", "true")
    caller.call("doctor", "-p", "strict")
    assert not caller.file.exists() or caller.file.read_bytes() == b""


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("caller", ["user"], indirect=True)
def test_the_guard_records_the_end_of_a_launcher_that_is_killed(runtime: str, caller: Caller) -> None:
    if runtime == "crun" and not available("cgroup2-unified"):
        require("cgroup2-mount")
    # A native launch has a guard at once where something would be left of it: an entry with a name, in this case.
    options = ["--name", "guarded"] if runtime == "native" else ["--runtime", runtime]
    words = caller.argv("run", "-q", "-p", "strict", *options, "--", "sh", "-c", READY)
    with subprocess.Popen(words, env=caller.environment, stdout=subprocess.PIPE, text=True, cwd="/") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert "running" in caller.call("log", "--from", str(caller.file)).stdout
        process.kill()
    launch, end = so_many(caller, 2)
    assert (end["event"], end["result"], end["id"]) == ("end", "abandoned", launch["id"])
    assert end["pid"] == launch["pid"] == process.pid
    assert "launcher killed" in caller.call("log", "--from", str(caller.file)).stdout


@pytest.mark.parametrize(
    ("caller", "needs"), [("user", "moment"), ("root", "moment"), ("root", "group")], indirect=["caller"]
)
def test_the_guard_of_a_control_group_or_of_a_command_that_runs_a_while_records_the_end(
    needs: str, caller: Caller
) -> None:
    if needs == "group":
        require("cgroups")
    options = ["--pids-limit", "50"] if needs == "group" else []
    words = caller.argv("run", "-q", "-p", "strict", *options, "--", "sh", "-c", READY)
    with subprocess.Popen(words, env=caller.environment, stdout=subprocess.PIPE, text=True, cwd="/") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        if needs == "moment":
            until(lambda: list((caller.folder / "state/launches").glob("[0-9a-f]*")))
        process.kill()
    launch, end = so_many(caller, 2)
    assert (end["event"], end["result"], end["code"]) == ("end", "abandoned", 137)
    assert (end["id"], end["pid"]) == (launch["id"], launch["pid"])


@pytest.mark.parametrize("caller", ["user"], indirect=True)
def test_the_guard_records_what_it_cannot_take_away_and_takes_the_rest(caller: Caller) -> None:
    words = caller.argv("run", "-q", "--fresh", "-p", "strict", "--name", "guarded", "--", "sh", "-c", READY)
    with subprocess.Popen(words, env=caller.environment, stdout=subprocess.PIPE, text=True, cwd="/") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        (container,) = (caller.folder / "state/launches").glob("[0-9a-f]*")
        until(lambda: json.loads((container / "container.json").read_text()).get("process"))
        (container / "exit").unlink()
        (container / "exit").mkdir()
        process.kill()
    end = so_many(caller, 2)[1]
    assert end["result"] == "abandoned"
    assert end["error"].startswith("the launcher was killed; ")
    assert "is not a regular file" in end["error"]
    assert list((caller.folder / "state/launches").iterdir()) == []


@pytest.mark.parametrize("caller", ["root"], indirect=True)
def test_without_a_guard_a_launcher_that_is_killed_leaves_no_end(caller: Caller) -> None:
    words = caller.argv("run", "-q", "-p", "strict", "--", "sh", "-c", READY)
    with subprocess.Popen(words, env=caller.environment, stdout=subprocess.PIPE, text=True, cwd="/") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(signal.SIGSTOP)
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        process.kill()
    assert [record["event"] for record in caller.records()] == ["launch"]
    assert "no end recorded" in caller.call("log", "--from", str(caller.file)).stdout


def so_many(caller: Caller, count: int) -> list[dict[str, Any]]:
    """The records, once there are so many."""
    return until(lambda: found if len(found := caller.records()) >= count else [], caller.records)


def test_a_detached_command_is_recorded_with_its_caller_s_terminal(caller: Caller) -> None:
    reader, writer = os.pipe()
    child, master = pty.fork()
    if child == 0:
        os.write(writer, os.ttyname(0).encode())
        os.chdir("/")
        argv = caller.argv("run", "-q", "-d", "--rm", "-p", "strict", "--", "sh", "-c", "exit 5")
        os.execvpe(argv[0], argv, caller.environment)
    name = os.read(reader, 100).decode()
    os.waitpid(child, 0)
    for descriptor in (master, reader, writer):
        os.close(descriptor)
    launch, end = so_many(caller, 2)
    assert f"/dev/{launch['terminal']}" == f"/dev/{end['terminal']}" == name
    assert end["code"] == 5


@pytest.fixture
def journald(caller: Caller) -> Iterator[journal.Journal]:
    require("root")
    with journal.running() as running:
        yield running


def in_journal(running: journal.Journal, caller: Caller) -> list[dict[str, Any]]:
    done = running.run(["journalctl", "-o", "json", "--no-pager", "-t", "hardening"])
    entries = [json.loads(line) for line in done.stdout.splitlines()]
    return [entry for entry in entries if int(entry["_UID"]) == (caller.user.uid if caller.user else 0)]


def test_the_journal_takes_what_the_audit_system_does_not(caller: Caller, journald: journal.Journal) -> None:
    environment = {**caller.environment, "XDG_RUNTIME_DIR": str(caller.folder)}
    argv = [caller.program, "run", "-q", "-p", "strict", "-e", f"A={CANARY}", "--", "sh", "-c", "exit 6"]
    done = journald.run(argv, caller.user, environment)
    assert done.returncode == 6, done.stderr
    entries = until(lambda: found if len(found := in_journal(journald, caller)) == 2 else [])
    assert [entry["HARDENING_EVENT"] for entry in entries] == ["launch", "end"]
    assert CANARY not in json.dumps(entries)
    assert not caller.file.exists()
    shown = journald.run([caller.program, "log", "--json", "--id", entries[0]["HARDENING_ID"]], None, environment)
    launch, end = (json.loads(line) for line in shown.stdout.splitlines())
    assert (launch["source"], launch["command"], end["code"]) == ("journald", ["sh", "-c", "exit 6"], 6)
    assert launch["uid"] == (caller.user.uid if caller.user else 0)
    # Gone, it is no reason not to launch: the file is there.
    holder = subprocess.Popen(journald.argv(["sleep", "60"]))
    try:
        still = journal.Journal(holder.pid)
        journald.stop()
        until(lambda: journald.run(["true"]).returncode != 0)
        done = still.run(argv, caller.user, environment)
        assert done.returncode == 6, done.stderr
    finally:
        holder.kill()
        holder.wait()
    assert [record["event"] for record in caller.records()] == ["launch", "end"]


#: In a mount namespace in which root has no place for records outside the state directory.
NOWHERE_ELSE = 'mount -t tmpfs -o ro tmpfs /var/log && mount -t tmpfs -o ro tmpfs /run && exec "$@"'
#: In a state directory of 4 MiB, which the command fills; then shows the records.
SMALL = """
mount -t tmpfs -o size=4m,mode=755 tmpfs {folder}
mkdir -p {folder}/data {folder}/state/records
chmod 700 {folder}/state/records
# The first record fits into the first page, and the next one needs another.
head -c 3000 /dev/zero | tr '\\0' '\\n' >{folder}/state/records/records.jsonl
chmod 600 {folder}/state/records/records.jsonl
chmod 777 {folder}/data
"$@"
code=$?
tr -s '\\n' <{folder}/state/records/records.jsonl
exit $code
"""


@pytest.fixture
def lonely() -> Iterator[Caller]:
    require("root")
    require("userns")
    with audit.alone(), runs.workplace() as folder:
        require("audit")
        yield Caller(None, folder)


def call_there(caller: Caller, *arguments: str, script: str = 'exec "$@"') -> subprocess.CompletedProcess[str]:
    """Call `hardening` by a shell script where nothing else takes its records."""
    argv = ["sh", "-c", script, "sh", *caller.argv(*arguments)]
    words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", NOWHERE_ELSE, "sh", *argv]
    return subprocess.run(words, env=caller.environment, capture_output=True, text=True, check=False)


def test_a_launch_that_nothing_records_is_refused(lonely: Caller) -> None:
    (lonely.folder / "state").mkdir()
    (lonely.folder / "state/records").touch()
    (lonely.folder / "data").mkdir()
    volume = f"{lonely.folder}/data:/data"
    done = call_there(lonely, "run", "-q", "-p", "default", "-v", volume, "--", "sh", "-c", "echo ran >&2")
    assert done.returncode == 125, done.stderr
    assert "the launch cannot be recorded: " in done.stderr
    assert "hint: `hardening doctor` shows where records go" in done.stderr
    assert "ran\n" not in done.stderr
    shown = call_there(lonely, "doctor")
    assert shown.returncode == 1
    (line,) = [line for line in shown.stdout.splitlines() if line.split()[:2] == ["host", "records"]]
    assert line.split()[2] == "fail"


def test_an_end_that_nothing_records_is_said_and_changes_no_exit_code(lonely: Caller) -> None:
    """The disk is full by then, of the command's own doing."""
    command = ["--", "sh", "-c", "cat /dev/zero >/data/fill; exit 9"]
    options = ["-q", "-p", "default", "-v", f"{lonely.folder}/data:/data"]
    done = call_there(lonely, "run", *options, *command, script=SMALL.format(folder=lonely.folder))
    assert done.returncode == 9, done.stderr
    assert "cannot be recorded: " in done.stderr
    assert [json.loads(line)["event"] for line in done.stdout.splitlines() if line] == ["launch"]


@pytest.mark.parametrize("caller", ["user"], indirect=True)
def test_a_plan_that_is_run_again_leaves_records_of_its_own(caller: Caller) -> None:
    for _ in range(3):
        caller.call("run", "-q", "-p", "strict", "--", "true")
    found = caller.records()
    assert [record["event"] for record in found] == ["launch", "end"] * 3
    assert len({record["id"] for record in found}) == 3
    assert len({json.dumps(record["profiles"]) for record in found if record["event"] == "launch"}) == 1
