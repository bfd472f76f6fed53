"""Containers in the background: started confined, found, read, signalled, waited for and removed, without a daemon."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from tests.support import bundles, runs
from tests.support.detached import Caller, caller, callers
from tests.support.features import require
from tests.support.patience import is_over, state, until
from tests.support.users import ordinary

pytestmark = pytest.mark.system

CASES = [("native", "user"), ("crun", "root"), ("runc", "user")]
LOOP = "while :; do sleep 0.1; done"


@pytest.fixture
def person() -> Iterator[Caller]:
    """An ordinary user: whose commands have other ids than the launcher."""
    yield from callers("user")


@pytest.fixture(params=CASES, ids="-".join)
def case(request: pytest.FixtureRequest) -> Iterator[tuple[Caller, str]]:
    """Somebody, and a runtime."""
    runtime, name = request.param
    if runtime == "crun":
        require("cgroup2-mount")
    for found in callers(name):
        yield found, runtime


def test_an_id_that_cannot_be_written_is_said_of_a_container_that_runs(person: Caller) -> None:
    """It is no failure of the launch, after which a script would begin another one."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            person.argv("run", "-q", "-d", "--name", "job", "--", "sh", "-c", LOOP), env=person.environment, check=False,
            stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, text=True, cwd="/",
        )  # fmt: skip
    found = person.one("job")
    said = f"hardening: the container {found['id']} runs; its id cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr, found["status"]) == (0, said, "running")
    person.say("rm", "-f", "job")


def test_a_life(case: tuple[Caller, str]) -> None:
    person, runtime = case
    identity = person.start("sh", "-c", f"echo out; echo err >&2; {LOOP}", options=("--name", "job"), runtime=runtime)
    found = person.one(identity)
    assert (found["name"], found["status"], found["runtime"]) == ("job", "running", runtime)
    assert found["exit_code"] is None
    until(lambda: "err" in person.logged(identity))
    said = person.call("logs", "job")
    assert (said.stdout, said.stderr) == ("out\n", "err\n")
    assert person.say("ps", "-q") == identity
    assert person.say("stop", "job") == "job"
    assert is_over(found["pid"])
    assert is_over(found["launcher_pid"])
    assert person.say("ps", "-q") == ""
    assert json.loads(person.say("ps", "-a", "--json")) == person.listed()
    assert person.say("wait", identity[:4]) == "143"
    assert person.one("job")["status"] == "exited"
    assert person.call("logs", "job").stdout == "out\n"
    assert person.say("rm", "job") == "job"
    assert person.left() == []


def test_the_id_is_printed_once_the_command_runs_under_its_confinement(case: tuple[Caller, str]) -> None:
    person, runtime = case
    command = ["sh", "-c", f"{LOOP}; : here"]
    found = person.one(person.start(*command, runtime=runtime))
    process = Path(f"/proc/{found['pid']}")
    if runtime == "native":  # under the others it is about to execute it
        assert process.joinpath("cmdline").read_bytes().split(b"\0")[:-1] == [word.encode() for word in command]
    else:
        until(lambda: b": here" in process.joinpath("cmdline").read_bytes())
    status = dict(line.split(":\t", 1) for line in process.joinpath("status").read_text().splitlines())
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert status["PPid"] == str(found["launcher_pid"])
    assert os.readlink(process / "ns/pid") != os.readlink("/proc/self/ns/pid")
    launcher = Path(f"/proc/{found['launcher_pid']}/stat").read_text().rpartition(")")[2].split()
    assert launcher[3] == str(found["launcher_pid"])  # it leads a session of its own
    assert launcher[4] == "0"  # which has no terminal


def test_a_launch_that_fails_says_why_and_leaves_nothing(case: tuple[Caller, str]) -> None:
    person, runtime = case
    done = person.call("run", "-d", "-q", "--runtime", runtime, "--name", "x", "--", "no-such-command")
    assert (done.returncode, done.stdout) == (127, "")
    assert "no-such-command" in done.stderr
    done = person.call("run", "-d", "-q", "--runtime", runtime, "--", "/etc/passwd")
    assert (done.returncode, done.stdout) == (126, "")
    assert person.left() == []


def test_a_helper_that_cannot_execute_the_command_is_a_container_that_has_ended(person: Caller) -> None:
    require("landlock")
    script, profile = person.folder / "script", person.folder / "confined.toml"
    script.write_text("#!/nowhere\n")
    script.chmod(0o755)
    profile.write_text(f'[rootfs]\nvolumes = ["{person.folder}:/v:ro,exec"]\n[landlock]\nmounts = false\n')
    options = ("-p", str(profile), "--set", "selinux.requirement=best-effort")
    identity = person.start("/v/script", options=options)
    assert person.call("wait", identity).stdout == "127\n"
    assert "its interpreter or dynamic loader does not" in person.logged(identity)
    person.say("rm", identity)


@pytest.mark.parametrize("who", ["root", "user-range"])
@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_nobody_but_the_next_ps_ends_a_container_that_has_lost_its_launcher_its_guard_and_its_bundle(
    runtime: str, who: str
) -> None:
    if runtime == "crun":
        require("cgroup2-mount")
    stance = bundles.stance(who)
    with caller(stance.user) as person:
        bundle = bundles.write(person.folder / "bundle", stance.config("sleep", "600"), user=stance.user)
        found = person.one(person.say("launch", "--runtime", runtime, "-d", str(bundle)))
        try:
            launcher = found["launcher_pid"]
            children = map(int, Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split())
            guards = [child for child in children if runs.command_line(child) == runs.command_line(launcher)]
            assert len(guards) == 1
            for pid in (*guards, launcher):
                os.kill(pid, signal.SIGKILL)
                until(partial(is_over, pid))
            assert not is_over(found["pid"])
            shutil.rmtree(bundle)
            assert person.say("ps", "-q") == ""
            assert is_over(found["pid"])
            assert person.one(found["id"])["status"] == "killed"
            assert person.left() == [f"launches/{found['id']}"]
        finally:
            with suppress(ProcessLookupError):
                os.kill(found["pid"], signal.SIGKILL)


def test_a_launcher_that_is_killed_takes_its_container_with_it_and_leaves_the_log(case: tuple[Caller, str]) -> None:
    person, runtime = case
    identity = person.start("sh", "-c", f"sleep 600 & echo said; {LOOP}", runtime=runtime)
    found = person.one(identity)
    until(lambda: person.logged(identity))
    inside = _inside(found["pid"])
    assert len(inside) > 1
    os.kill(found["launcher_pid"], signal.SIGKILL)
    assert person.say("wait", identity) == "137"
    until(lambda: all(is_over(pid) for pid in inside))
    assert person.one(identity)["status"] == "killed"
    assert person.say("logs", identity) == "said"
    assert person.say("rm", identity) == identity
    assert person.listed() == []


def _inside(pid: int) -> list[int]:
    """The processes in the PID namespace of one."""
    namespace = os.readlink(f"/proc/{pid}/ns/pid")
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(path / "ns/pid") == namespace:
                found.append(int(path.name))
        except OSError:
            continue
    return found


def test_stop_kills_what_does_not_listen(person: Caller) -> None:
    deaf = person.start("sh", "-c", f"trap '' TERM; echo ready; {LOOP}")
    polite = person.start("sh", "-c", f"trap 'echo bye; exit 3' TERM; echo ready; {LOOP}")
    for identity in (deaf, polite):
        until(partial(person.logged, identity))
    person.say("stop", "-t", "1", deaf)
    person.say("stop", "-t", "600", polite)
    assert person.say("wait", deaf, polite) == "137\n3"
    assert person.say("logs", polite) == "ready\nbye"


def test_stop_ends_all_processes_also_those_in_the_hosts_process_namespace() -> None:
    require("root")
    with caller() as person:
        loosened = {"namespaces.pid": "host", "rootfs.proc.hidepid": "off"}
        options = [f"--set={key}={value}" for key, value in loosened.items()]
        options += [f"--exception={key}=a test" for key in loosened]
        identity = person.start("sh", "-c", f"sleep 4711 & {LOOP}", options=tuple(options))
        found = person.one(identity)
        child = runs.find(found["pid"], ["sleep", "4711"])
        person.say("stop", identity)
        until(lambda: is_over(child))
        assert person.say("wait", identity) == "143"


def test_a_signal_has_its_effect(person: Caller) -> None:
    handling = person.start("sh", "-c", f"trap 'echo usr' USR1; trap 'echo pipe' PIPE; echo ready; {LOOP}")
    until(lambda: person.logged(handling))
    for name, said in (("USR1", "usr"), ("sigpipe", "pipe")):  # the launcher itself takes no SIGPIPE
        assert person.say("kill", "-s", name, handling) == handling
        until(partial(_said, person, handling, said))
    plain = person.start("sleep", "600")
    assert person.say("kill", "-s", "15", plain) == plain
    assert person.say("wait", plain) == "143"
    assert person.say("kill", handling) == handling
    assert person.say("wait", handling) == "137"
    again = person.call("kill", handling)
    assert again.returncode == 1
    assert again.stderr.startswith(f"error: {handling} does not run\nhint: ")


def test_a_container_that_was_stopped_by_a_signal_ends_all_the_same(person: Caller) -> None:
    identity = person.start("sleep", "600")
    person.say("kill", "-s", "STOP", identity)
    pid = person.one(identity)["pid"]
    until(lambda: state(pid) == "T")
    person.say("stop", "-t", "60", identity)
    assert person.say("wait", identity) == "143"


def test_those_who_wait_learn_the_exit_code_of_what_is_removed_at_its_end(person: Caller) -> None:
    fifo = person.folder / "fifo"
    os.mkfifo(fifo)
    runs.hand_over(fifo, person.user)
    argv = person.argv("run", "-d", "-q", "--rm", "-i", "--", "sh", "-c", "read -r line; exit 6")
    opening = ["sh", "-c", f'exec "$@" <{fifo}', "sh", *argv]
    with subprocess.Popen(opening, stdout=subprocess.PIPE, text=True, env=person.environment) as starter:
        with fifo.open("w") as end:
            assert starter.stdout is not None
            identity = starter.stdout.readline().strip()
            waits = [
                subprocess.Popen(
                    person.argv("wait", identity), stdout=subprocess.PIPE, text=True, env=person.environment
                )
                for _ in range(2)
            ]
            until(lambda: all(_has_open(process.pid, f"launches/{identity}/exit") for process in waits))
            end.write("go\n")
        assert [process.communicate(timeout=60)[0] for process in waits] == ["6\n", "6\n"]
    assert person.listed() == []
    assert person.left() == []


def test_what_was_composed_once_serves_any_number_of_containers_at_once(person: Caller) -> None:
    def entries() -> list[Path]:
        return [path for path in person.state.glob("cache/*/*") if path.is_dir()]

    first = person.start("sleep", "600")
    (entry,) = entries()
    written = (entry / "bundle/config.json").stat().st_mtime_ns
    second = person.start("sleep", "601")
    assert entries() == [entry]
    assert (entry / "bundle/config.json").stat().st_mtime_ns == written
    running = [item for item in person.listed() if item["status"] == "running"]
    assert [item["id"] for item in running] == [first, second]
    until(lambda: all(state(item["pid"]) == "S" for item in running))


def test_input(person: Caller) -> None:
    without = person.start("sh", "-c", "cat; stat -L -c %t:%T /proc/self/fd/0")
    assert person.say("wait", without) == "0"
    assert person.say("logs", without) == "1:3"
    given = person.say("run", "-d", "-q", "-i", "--", "cat", text="given\n")
    person.say("wait", given)
    assert person.say("logs", given) == "given"


def test_a_terminal_of_its_own_goes_to_the_log(case: tuple[Caller, str]) -> None:
    person, runtime = case
    identity = person.start("sh", "-c", "tty; echo err >&2; stty size; exit 4", options=("-t",), runtime=runtime)
    assert person.say("wait", identity) == "4"
    assert person.say("logs", identity).split() == ["/dev/pts/0", "err", "0", "0"]


def test_what_the_caller_has_open_is_not_kept_open(person: Caller) -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    identity = person.say("run", "-d", "-q", "--", "sleep", "600", pass_fds=(writer,))
    os.close(writer)
    assert os.read(reader, 1) == b""
    os.close(reader)
    assert person.one(identity)["status"] == "running"


def test_a_name_is_given_once(person: Caller) -> None:
    argv = person.argv("run", "-d", "-q", "--name", "web", "--", "sleep", "600")
    pipe = subprocess.PIPE
    both = [subprocess.Popen(argv, stdout=pipe, stderr=pipe, text=True, env=person.environment) for _ in range(2)]
    ends = [(*process.communicate(timeout=60), process.returncode) for process in both]
    assert sorted(code for _, _, code in ends) == [0, 125]
    (words,) = [errors for _, errors, code in ends if code]
    assert "the name web is taken by the container " in words
    assert len(person.listed()) == 1
    person.say("kill", "web")
    person.say("wait", "web")
    assert person.call("run", "-q", "--name", "web", "--", "true").returncode == 125  # it is kept
    person.say("rm", "web")
    assert person.call("run", "-q", "--name", "web", "--", "true").returncode == 0


def test_a_container_of_the_foreground_is_found_while_it_runs(case: tuple[Caller, str]) -> None:
    person, runtime = case
    argv = person.argv("run", "-q", "--runtime", runtime, "--", "sh", "-c", f"echo ready; {LOOP}")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=person.environment) as process:
        assert process.stdout is not None
        if person.user is not None and person.user.uid != os.geteuid():
            os.fchown(process.stdout.fileno(), person.user.uid, person.user.gid)
        assert process.stdout.readline() == "ready\n"
        until(person.listed)
        (found,) = person.listed()
        assert (found["status"], found["detached"], found["runtime"]) == ("running", False, runtime)
        refused = person.call("logs", found["id"])
        assert refused.returncode == 2
        assert "its output is where it was started" in refused.stderr
        person.say("stop", found["id"])
        assert process.wait(60) == 143
    assert person.listed() == []
    assert person.left() == []


def test_a_killed_launcher_of_the_foreground_leaves_no_container(person: Caller) -> None:
    for options in (
        (),
        (),
        ("--name", "web"),
    ):  # the second one runs what the first has composed, and removes no bundle
        argv = person.argv("run", "-q", *options, "--", "sh", "-c", f"echo ready; {LOOP}")
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=person.environment, cwd="/") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            until(lambda: [item["pid"] for item in person.listed()] not in ([], [None]))
            os.kill(person.listed()[0]["launcher_pid"], signal.SIGKILL)
        until(lambda: not list((person.state / "launches").iterdir()))


def test_others_are_not_seen() -> None:
    require("root")
    require("userns")
    with caller() as root, caller(ordinary()) as user:
        identity = root.start("sleep", "600")
        assert user.listed() == []
        assert user.call("kill", identity).returncode == 2
        listing = user.user.run(["ls", str(root.state / "launches")]) if user.user is not None else None
        assert listing is not None
        assert listing.returncode != 0
        assert root.one(identity)["status"] == "running"


@pytest.mark.parametrize("login", ["1234", ""], ids=["set", "unset"])
@pytest.mark.parametrize("runtime", ["native", "crun", "runc"])
def test_the_callers_login_uid_is_kept_or_else_the_uid(runtime: str, login: str) -> None:
    require("root")
    require("loginuid-settable" if login else "loginuid-unset")
    with caller() as person:
        argv = person.argv("run", "-d", "-q", "--runtime", runtime, "--", "sleep", "600")
        script = f'{"echo 1234 >/proc/self/loginuid && " if login else ""}exec "$@"'
        done = subprocess.run(["sh", "-c", script, "sh", *argv], capture_output=True, text=True, env=person.environment)
        assert done.returncode == 0, done.stderr
        found = person.one(done.stdout.strip())
        for pid in (found["pid"], found["launcher_pid"]):
            assert Path(f"/proc/{pid}/loginuid").read_text() == (login or "0")


def test_a_log_is_followed_to_its_end(person: Caller) -> None:
    script = "i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i + 1)); done; printf end"
    identity = person.start("sh", "-c", f"sleep 0.3; {script}; exit 2", options=("--log-size", "64K"))
    assert person.say("logs", "-f", identity) == "\n".join([*(f"line {number}" for number in range(300)), "end"])
    assert person.say("wait", identity) == "2"
    assert person.say("logs", "--tail", "2", identity) == "line 299\nend"
    stamped = person.say("logs", "-t", "--tail", "3", identity).splitlines()
    assert [line.partition(" ")[2] for line in stamped] == ["line 298", "line 299", "end"]
    since = stamped[1].partition(" ")[0]
    assert person.say("logs", "--since", since, identity).splitlines()[-1] == "end"
    assert person.say("logs", "--since", "1h", "--tail", "0", identity) == ""


def test_a_log_is_bounded(person: Caller) -> None:
    script = "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i + 1)); done"
    identity = person.start("sh", "-c", script, options=("--log-size", "16K"))
    person.say("wait", identity)
    folder = person.state / "launches" / identity
    assert sum(path.stat().st_size for path in folder.glob("log*")) <= 16384
    lines = person.say("logs", identity).splitlines()
    assert lines[-1] == "line 1999"
    first = int(lines[0].split()[1])
    assert lines == [f"line {number}" for number in range(first, 2000)]


def test_output_that_a_full_disk_does_not_take_is_told_wherever_one_looks() -> None:
    require("root")
    with caller() as person:
        place = person.state / "launches"
        place.mkdir(mode=0o711, parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=711", "small", str(place)], check=True)
        try:
            (place / ".ballast").write_bytes(bytes(128 << 10))
            script = f"trap 'echo later; exit 4' TERM; trap 'yes | head -c 8000' USR1; echo begun; {LOOP}"
            identity = person.start("sh", "-c", script)
            # On a disk that is full before it is written down, no container starts.
            until(lambda: person.logged(identity))
            os.kill(person.one(identity)["pid"], signal.SIGUSR1)
            until(lambda: person.one(identity)["lost_output"] is not None)
            (place / ".ballast").unlink()
            person.say("stop", identity)
            lost = person.one(identity)["lost_output"]
            assert 0 < lost["bytes"] < 8000
            assert lost["reason"] == "No space left on device"
            said = person.call("logs", identity)
            assert said.stdout.startswith("begun\ny\n")
            assert said.stdout.endswith("later\n")
            assert re.search("^hardening: lost [0-9]+ bytes of output: No space left", said.stderr, re.MULTILINE)
            assert f"{identity}: {lost['bytes']} bytes of output are not in its log: No space left" in said.stderr
            assert person.say("wait", identity) == "4"
            person.say("rm", identity)
        finally:
            subprocess.run(["umount", str(place)], check=True)


def _said(person: Caller, identity: str, words: str) -> bool:
    return words in person.logged(identity)


def _has_open(pid: int, name: str) -> bool:
    try:
        return any(os.readlink(path).endswith(name) for path in Path(f"/proc/{pid}/fd").iterdir())
    except FileNotFoundError:
        return False
