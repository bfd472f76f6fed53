"""What `hardening why` says is so: what it offers works, and nothing else is blamed. Nothing of its runs stays."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.features import require
from tests.support.forking import typed
from tests.support.patience import PATIENCE, until
from tests.support.runs import workplace
from tests.support.users import User, ordinary, program

pytestmark = pytest.mark.system

_CALL = (
    "import ctypes, os, sys\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    "def call(number, *arguments):\n"
    "    if libc.syscall(number, *arguments) < 0: sys.exit(os.strerror(ctypes.get_errno()))\n"
)
#: Perl makes a tenth of the calls that Python makes before it comes to these, and each is traced in each run.
_KEYCTL = 'syscall(250, 0, -3, 0) < 0 and die "$!\\n";'
KEYCTL = ("perl", "-e", _KEYCTL)
#: Two calls that are denied, one behind the other, and one that is tried and does not matter.
TWO = ("perl", "-e", f'syscall(298, 0, 0, -1, -1, 0); {_KEYCTL} syscall(238, 0, 0, 0) < 0 and die "$!\\n"')


class Place:
    """A folder, and who stands in it."""

    def __init__(self, folder: Path, user: User | None) -> None:
        self.folder, self.user = folder, user

    def argv(self, *words: str) -> list[str]:
        """A command line of the program."""
        if self.user is None:
            return [str(Path(sys.executable).with_name("hardening")), *words]
        return self.user.argv([program(self.user), *words])

    @property
    def environment(self) -> dict[str, str]:
        """What it is called with."""
        base = self.user.environment if self.user is not None else os.environ
        return {**base, "HARDENING_STATE": str(self.folder / "state")}

    def call(self, *words: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Call the program."""
        return typed(self.user, *words, cwd=self.folder, env=self.environment, text=text)

    def why(self, *words: str) -> dict[str, Any]:
        """The answer, as JSON."""
        done = self.call("why", "--json", *words)
        assert done.returncode in (0, 1), done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        assert (done.returncode == 0) == (found["outcome"] in ("nothing needed", "found", "enough"))
        return found

    def volume(self) -> Path:
        """A folder that the caller may write to."""
        made = self.folder / "volume"
        made.mkdir()
        if self.user is not None:
            os.chown(made, self.user.uid, self.user.gid)
        return made

    def left(self) -> list[str]:
        """What is left of launches."""
        launches = self.folder / "state/launches"
        return os.listdir(launches) if launches.is_dir() else []


@pytest.fixture(params=["root", "user"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """A folder of root's, or of an ordinary user's."""
    require("userns")
    if request.param == "root":
        require("root")
    user = ordinary() if request.param == "user" else None
    with workplace(user) as folder:
        here = Place(folder, user)
        yield here
        assert here.left() == []


def needed(found: dict[str, Any]) -> set[str]:
    """The leaves that must be loosened."""
    return {item["leaf"] for item in found["denials"] if item["needed"]}


def test_what_is_offered_is_enough_and_all_of_it_is_needed(place: Place) -> None:
    found = place.why("-p", "strict", "--", *TWO)
    assert (found["outcome"], needed(found)) == ("found", {"seccomp.keyctl", "seccomp.set_mempolicy"})
    assert place.call("run", "-q", "-p", "strict", *found["loosening"]["options"], "--", *TWO).returncode == 0
    (place.folder / "loose.toml").write_text(found["loosening"]["toml"])
    assert place.call("run", "-q", "-p", "strict", "-p", "./loose.toml", "--", *TWO).returncode == 0
    for one in found["smallest"]:
        assert place.call("run", "-q", "-p", "strict", *one["options"], "--", *TWO).returncode != 0


def test_what_a_run_warns_of_is_warned_of_where_it_is_offered(place: Place) -> None:
    done = place.call("why", "-o", "app.toml", "-p", "strict", "--", *KEYCTL)
    said = "warning: seccomp.keyctl: keyctl is allowed ("
    assert f"\n{said}" in done.stdout
    assert (place.folder / "app.toml").read_text().startswith(f"# {said}")
    assert "keyctl is allowed (" in place.call("run", "-p", "./app.toml", "--", *KEYCTL).stderr


def test_what_was_typed_is_replaced_by_what_is_offered(place: Place) -> None:
    shown = place.folder / "shown"
    shown.mkdir()
    shown.chmod(0o777)
    if place.user is not None:
        os.chown(shown, place.user.uid, place.user.gid)
    typed, command = f"{shown}:/data:ro,noexec", ("sh", "-c", "echo x >/data/new")
    found = place.why("-p", "default", "-v", typed, "--", *command)["loosening"]
    assert found["replaces"] == [f"-v {typed}"]
    done = place.call("run", "-q", "-p", "default", *found["options"], "--", *command)
    assert done.returncode == 0, done.stderr
    assert (shown / "new").exists()


def test_what_was_typed_is_tried_with_the_exception_that_it_needs_and_the_layer_has_both(place: Place) -> None:
    volume = place.folder / "volume"
    volume.mkdir()
    options = ("-v", f"{volume}:{volume}:ro", "-w", str(volume))
    assert place.call("run", "-q", "-p", "strict", *options, "--", "true").returncode == 2
    found = place.why("-o", "app.toml", "-p", "strict", *options, "--", *KEYCTL)
    assert (found["outcome"], needed(found)) == ("found", {"seccomp.keyctl"})
    assert (
        place.call("run", "-q", "-p", "strict", *options, *found["loosening"]["options"], "--", *KEYCTL).returncode == 0
    )
    assert place.call("run", "-q", "-p", "./app.toml", *options, "--", *KEYCTL).returncode == 0
    assert place.call("run", "-q", "-p", "./app.toml", "--", *KEYCTL).returncode == 0
    found = place.why("-p", "strict", *options, "--", "true")
    assert (found["outcome"], found["smallest"]) == ("nothing needed", [])
    assert f"rootfs.volumes.{volume}" in " ".join(found["loosening"]["options"])


def test_no_layer_is_written_where_the_command_may_write(place: Place) -> None:
    volume = place.volume()
    for name in ("why", "learn"):
        done = place.call(name, "-o", f"{volume}/app.toml", "-p", "strict", "-v", f"{volume}:{volume}", "--", "true")
        assert (done.returncode, list(volume.iterdir())) == (2, [])
        assert "write it beside that: -o " in done.stderr


def test_what_was_typed_beyond_a_limit_is_refused(place: Place) -> None:
    (place.folder / "org.toml").write_text('extends = ["strict"]\n[limits.seccomp]\ndeny = ["keyctl"]\n')
    done = place.call("why", "-p", "./org.toml", "--seccomp-allow", "keyctl", "--", *KEYCTL)
    assert done.returncode == 2, done.stdout
    assert "org.toml" in done.stderr


def test_who_stands_beside_what_the_command_looks_for_is_told(place: Place) -> None:
    (place.folder / "word").write_text("x")
    place.folder.chmod(0o755)
    found = place.why("-p", "strict", "--", "cat", "word")
    assert found["outcome"] == "not by this stack"
    assert found["hint"].startswith("word is looked for in /, where the command starts")


def test_one_denial_takes_four_runs(place: Place) -> None:
    found = place.why("-p", "strict", "--", *KEYCTL)
    assert (needed(found), found["runs"]) == ({"seccomp.keyctl"}, 4)
    assert [item["confirmed"] for item in found["denials"]] == [True]


@pytest.mark.parametrize(
    "command",
    [
        ("false",),
        ("sh", "-c", "exit 159"),
        ("cat", "/no/such/file"),
        ("sh", "-c", "kill -SYS $$"),
        ("no-such-command",),
    ],
    ids=lambda command: command[-1],
)
def test_nothing_is_blamed_for_a_failure_of_the_commands_own(command: tuple[str, ...], place: Place) -> None:
    found = place.why("-p", "strict", "--", *command)
    assert (found["outcome"], found["denials"]) == ("not by this stack", [])


def test_each_run_is_a_launch_with_a_record_and_what_it_prints_is_seen_once(place: Place) -> None:
    done = place.call("why", "--json", "-p", "strict", "--", "sh", "-c", 'echo printed; "$0" "$@"', *KEYCTL)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines().count("printed") == 1
    records = place.call(
        "log", "--json", "--from", str(place.folder / "state/records/records.jsonl")
    ).stdout.splitlines()
    assert len({json.loads(line)["id"] for line in records}) == json.loads(done.stdout)["runs"]


@pytest.mark.parametrize("value", ["Zm9v1/QmFyMTIz", "Zm9v1//sec ret/./QmFyMTIz", "Zm9v1\x1b\té/QmFyMTIz"])
def test_no_part_of_a_value_is_told_of_a_path_with_it(value: str, place: Place) -> None:
    """Neither of the path as it was cleaned, nor of the folder in it that is missing."""
    script = 'touch "/etc/$TOKEN"; cat "/etc/$TOKEN"'
    found = place.why("--once", "-p", "strict", "-e", f"TOKEN={value}", "--", "sh", "-c", script)
    told = json.dumps(found, ensure_ascii=False)
    assert "/etc/…" in told
    for part in ("Zm9v", "sec ret", "QmFyMTIz"):
        assert part not in told


def test_a_command_that_succeeds_needs_nothing(place: Place) -> None:
    found = place.why("-p", "strict", "--", "sh", "-c", "keyctl show 2>/dev/null; true")
    assert (found["outcome"], found["runs"], found["denials"]) == ("nothing needed", 1, [])


@pytest.mark.complete  # tests/hardening/why/test_smallest.py, and the controls, have what a limit forbids
def test_what_a_limit_forbids_is_never_tried(place: Place) -> None:
    (place.folder / "org.toml").write_text('extends = ["strict"]\n[limits.seccomp]\ndeny = ["keyctl"]\n')
    found = place.why("-p", "./org.toml", "--", *KEYCTL)
    assert (found["outcome"], needed(found)) == ("limited", set())
    assert "org.toml" in found["denials"][0]["barrier"]


def test_who_reads_a_hidden_file_as_an_empty_one_is_told_so(place: Place) -> None:
    """Unless the caller could not read it on the host either. It is no call that fails, and nothing speaks of it."""
    found = place.why("-p", "default", "--", "getent", "shadow", "root")
    leaves = [item["leaf"] for item in found["denials"]]
    if place.user is None:
        assert (found["outcome"], leaves) == ("limited", ["rootfs.hidden_paths./etc/shadow"])
    else:
        assert (found["outcome"], leaves) == ("not by this stack", [])


def test_what_a_program_has_looked_at_is_told_where_a_loosening_changes_its_words(place: Place) -> None:
    code = (
        "import os, sys\nsys.exit('no password' if 'HARDENING_STATE' in os.environ else 'HARDENING_STATE is not set')"
    )
    found = place.why("-p", "default", "--", "python3", "-c", code)
    assert (found["outcome"], needed(found)) == ("denied", set())
    (denial,) = found["denials"]
    assert denial["leaf"] == "process.environment.HARDENING_STATE"
    assert [came.partition(" it says ")[2] for came in denial["tried"]] == ["something else, and fails all the same"]
    found = place.why("-p", "default", "--", "sh", "-c", "echo HARDENING_STATE, CAP_NET_RAW, $$ >&2; exit 3")
    assert (found["outcome"], found["denials"]) == ("not by this stack", [])


def test_what_a_limit_forbids_is_no_fact_where_a_program_speaks_of_something_else(place: Place) -> None:
    (place.folder / "org.toml").write_text('extends = ["strict"]\n[limits.seccomp]\ndeny = ["socket"]\n')
    code = "import os, socket, sys\ntry: socket.socket()\nexcept PermissionError: pass\n"
    code += "sys.exit('licence check: ' + os.strerror(1))"
    found = place.why("-p", "./org.toml", "--", "python3", "-c", code)
    assert (found["outcome"], needed(found), found["smallest"]) == ("limited", set(), [])
    assert found["answer"].startswith("this may be why, and cannot be tried: ")
    assert not any(item["confirmed"] for item in found["denials"])


@pytest.mark.parametrize("then", ["pass", "print(error, file=sys.stderr)"])
def test_a_command_that_fails_every_other_time_is_blamed_on_nothing_that_it_does_without(
    place: Place, then: str
) -> None:
    volume = place.volume()
    code = f"import os, socket, sys\ntry: socket.socket()\nexcept PermissionError as error: {then}\n"
    code += "try: os.unlink('/data/pid')\nexcept FileNotFoundError: open('/data/pid', 'w'); sys.exit(3)"
    option = "/data:rw,idmap" if place.user is None else "/data:rw"
    found = place.why(
        "--in-place", "-p", "strict", "-v", f"{volume}:{option}", "--exception", "rootfs.volumes./data=a test", "--",
        "python3", "-c", code,
    )  # fmt: skip
    assert (found["outcome"], needed(found)) == ("flaky", set())


def test_what_no_loosening_is_enough_for_is_told_with_what_was_tried(place: Place) -> None:
    found = place.why("-p", "strict", "--", "mkdir", "/usr/nothing-of-this-name")
    assert (found["outcome"], needed(found)) == ("denied", set())
    (denial,) = found["denials"]
    assert (denial["leaf"], denial["errno"]) == ("rootfs.read_only", "EROFS")
    assert any("EEXIST" in came for came in denial["tried"])


def test_what_fails_next_is_told_where_a_loosening_is_not_enough(place: Place) -> None:
    found = place.why("-p", "strict", "--", "sh", "-c", "cat /proc/uptime && cat /missing")
    assert (found["outcome"], needed(found)) == ("denied", set())
    (denial,) = found["denials"]
    assert denial["leaf"] == "rootfs.proc.subset"
    assert "it goes well, and then openat /missing (read) is ENOENT" in denial["tried"][0]


def test_one_run_confirms_nothing(place: Place) -> None:
    found = place.why("--once", "-p", "strict", "--", *KEYCTL)
    assert (found["outcome"], found["runs"]) == ("unknown", 1)
    assert (found["denials"][0]["leaf"], needed(found)) == ("seccomp.keyctl", set())
    assert not any(item["confirmed"] for item in found["denials"])


def test_a_command_that_fails_by_chance_is_flaky(place: Place) -> None:
    place.folder.chmod(0o755)
    command = ("sh", "-c", "exit $(($(date +%N | sed 's/^0*//') % 89 + 1))")
    # Now and then two runs of it end alike.
    found = [place.why("-p", "strict", "--", *command) for _ in range(2)]
    assert ("flaky", []) in [(item["outcome"], item["denials"]) for item in found]
    assert {item["outcome"] for item in found} <= {"flaky", "not by this stack"}


def test_what_is_written_to_a_volume_is_thrown_away(place: Place) -> None:
    volume = place.volume()
    script = "echo changed > /data/file && test $(ls /data | wc -l) = 1 && exit 1"
    option = "/data:rw,idmap" if place.user is None else "/data:rw"
    found = place.why(
        "-p", "strict", "-v", f"{volume}:{option}", "--exception", "rootfs.volumes./data=a test", "--", "sh", "-c", script
    )  # fmt: skip
    assert found["outcome"] == "not by this stack"
    assert os.listdir(volume) == []


def test_a_check_says_when_it_has_succeeded(place: Place) -> None:
    code = "import time\ntry:\n    call(250, 0, -3, 0)\n    print('up', flush=True)\nfinally:\n    time.sleep(600)"
    begin = time.monotonic()
    found = place.why(
        "--timeout", "3", "--until", "test $(ls /proc/$HARDENING_PID/task | wc -l) = 1 && ! grep -q nothing /dev/null",
        "-p", "strict", "--", "python3", "-c", _CALL + code,
    )  # fmt: skip
    assert found["outcome"] == "nothing needed"
    assert time.monotonic() - begin < PATIENCE


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _serving(port: int) -> tuple[str, ...]:
    """A server that says a word to whoever connects, and lets them close the connection: who closes it keeps its port."""
    code = f"import os, socket\nserver = socket.create_server(('127.0.0.1', {port}))\nwhile True:\n"
    return ("python3", "-c", f"{code} one = server.accept()[0]; os.write(one.fileno(), b'x'); os.read(one.fileno(), 1)")


def _asks(port: int) -> str:
    """A check that it does."""
    return f"bash -c 'read -n 1 -t 2 word < /dev/tcp/127.0.0.1/{port} && test $word = x'"


def test_a_server_that_nobody_reaches_is_given_the_network_and_not_waited_for(place: Place) -> None:
    port = _free_port()
    found = place.why("--until", _asks(port), "-p", "default", "--", *_serving(port))
    assert (found["outcome"], needed(found)) == ("found", {"namespaces.net"})
    assert found["denials"][0]["text"] == f"reach tcp 127.0.0.1:{port} from outside"


@pytest.mark.complete  # tests/hardening/why/test_smallest.py has it of made-up programs
def test_a_server_that_is_denied_what_it_asks_for_has_it_all_in_one_answer(place: Place) -> None:
    port = _free_port()
    found = place.why("--until", _asks(port), "-p", "strict", "--", *_serving(port))
    wanted = {"namespaces.net", *(f"seccomp.{name}" for name in ("accept4", "bind", "listen", "socket"))}
    assert (found["outcome"], needed(found) >= wanted) == ("found", True)


def test_a_server_without_a_check_is_at_work_where_it_waits(place: Place) -> None:
    found = place.why("-p", "default", "--", *_serving(_free_port()))
    assert (found["outcome"], found["runs"]) == ("unknown", 1)
    assert "--until" in found["answer"]
    assert found["seconds"] < 45


@pytest.mark.complete  # tests/hardening/why/test_smallest.py ends searches at each of their steps
def test_a_search_ends_in_time_with_what_was_enough(place: Place) -> None:
    found = place.why("--limit", "0.1", "-p", "strict", "--", *KEYCTL)
    assert (found["outcome"], found["runs"]) == ("unknown", 1)
    assert found["denials"][0]["leaf"] == "seccomp.keyctl"


def test_a_command_that_never_ends_is_told_as_far_as_it_came(place: Place) -> None:
    done = place.call(
        "why", "--json", "--timeout", "4", "-p", "strict", "--", "sh", "-c", "echo up; cat /no/such/file; sleep 60"
    )
    found = json.loads(done.stdout)
    assert (found["outcome"], found["runs"]) == ("unknown", 1)
    assert done.stderr.startswith("up\n")
    assert "the command was still at work after " in done.stderr
    assert "--timeout" in done.stderr


def test_what_a_command_is_denied_that_tries_it_for_ever_is_found(place: Place) -> None:
    code = _CALL + "import time\nwhile libc.syscall(250, 0, -3, 0) < 0: time.sleep(0.1)"
    found = place.why("--timeout", "5", "-p", "strict", "--", "python3", "-c", code)
    assert (found["outcome"], needed(found)) == ("found", {"seccomp.keyctl"})


#: Commands that do not end, or leave somebody behind who has their descriptors.
ENDLESS = {
    "it leaves others behind": "setsid sh -c 'sleep {0} & exec sleep {0}' & exec sleep {0}",
    "it hears no signal": "trap '' TERM INT HUP; while :; do sleep {0}; done",
    "it stops itself": "sleep {0} & kill -STOP $$",
    "it forks for ever": "while :; do sleep {0} & sleep 0.01; done",
}
#: Whose processes are none of a namespace that ends with its first one, and that shows all of the host's.
HOSTS_PROCESSES = (
    "--set", 'namespaces.pid="host"', "--exception", "namespaces.pid=a test",
    "--set", 'rootfs.proc.hidepid="off"', "--exception", "rootfs.proc.hidepid=a test",
)  # fmt: skip


@pytest.mark.sampled
@pytest.mark.parametrize("options", [(), HOSTS_PROCESSES], ids=["own", "host"])
@pytest.mark.parametrize("how", ENDLESS)
def test_no_command_outlasts_its_time(how: str, options: tuple[str, ...], place: Place) -> None:
    seconds = f"1{os.getpid()}{place.folder.name[-4:].encode().hex()}"  # which tells its processes from others
    found = place.why(
        "--once", "--timeout", "2", "-p", "default", *options, "--", "sh", "-c", ENDLESS[how].format(seconds)
    )
    assert (found["outcome"], found["runs"]) == ("unknown", 1)
    assert found["seconds"] < 60
    left = [one for one in Path("/proc").glob("[0-9]*/cmdline") if seconds.encode() in _read(one)]
    assert not left


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended
        return b""


def test_a_check_that_never_answers_holds_up_no_run(place: Place) -> None:
    found = place.why("--timeout", "2", "--until", "sleep 1000", "-p", "default", "--", "sleep", "1000")
    assert found["seconds"] < 30 * found["runs"], "which is what one check may take"


def test_a_command_that_never_passes_its_check_is_blamed_on_nobody_and_not_on_itself(place: Place) -> None:
    """Each of its runs is ended by the search: 137 is no exit code of its own, and what it spoke of may be why."""
    code = (
        "import os, socket, time\ntry: socket.socket()\nexcept OSError as error: os.write(2, error.strerror.encode())\n"
    )
    done = place.call(
        "why",
        "--json",
        "--timeout",
        "3",
        "--until",
        "false",
        "-p",
        "strict",
        "--",
        "python3",
        "-c",
        f"{code}time.sleep(60)",
    )
    found = json.loads(done.stdout)
    assert (done.returncode, found["outcome"], found["smallest"]) == (1, "unknown", [])
    assert "--timeout" in found["answer"]
    assert "seccomp.socket" in {item["leaf"] for item in found["denials"]}
    assert "seccomp.socket" not in {item["leaf"] for item in found["probes"]}


def test_a_command_that_is_slow_with_a_loosening_is_not_taken_for_one_that_succeeds(place: Place) -> None:
    """It fails in the end."""
    code = f"{_CALL}call(250, 0, -3, 0)\nimport time\ntime.sleep(60)\nsys.exit('failed')"
    found = place.why("--timeout", "6", "-p", "strict", "--", "python3", "-c", code)
    assert (found["outcome"], found["smallest"]) == ("still at work", [])
    assert "which it was not without" in found["answer"]
    assert [(item["leaf"], item["confirmed"]) for item in found["denials"]] == [("seccomp.keyctl", False)]
    assert found["loosening"]["toml"]


def test_an_interrupt_shows_what_was_seen_so_far(place: Place) -> None:
    process = subprocess.Popen(
        place.argv("why", "--json", "-p", "strict", "--", "sh", "-c", "echo up >&2; exec sleep 60"), cwd=place.folder,
        env=place.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    assert process.stderr.readline() == "up\n"
    subprocess.run(["kill", "-INT", str(_of_python(process.pid))], check=True)
    answer, _ = process.communicate(timeout=60)
    assert json.loads(answer)["outcome"] == "unknown"
    assert process.returncode == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_one_that_is_ended_leaves_no_copy(place: Place, number: signal.Signals) -> None:
    volume = place.volume()
    process = subprocess.Popen(
        place.argv("why", "--json", "-p", "strict", "-v", f"{volume}:/data:rw",
                   "--exception", "rootfs.volumes./data=a test", "--", "sh", "-c", "echo up >&2; exec sleep 60"),
        cwd=place.folder, env=place.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    assert process.stderr.readline() == "up\n"
    assert [*place.folder.glob("state/launches/*/copies")]
    os.kill(_of_python(process.pid), number)
    answer, _ = process.communicate(timeout=60)
    assert json.loads(answer)["outcome"] == "unknown"
    assert place.left() == []


def _of_python(pid: int) -> int:
    """The program itself, where something has started it that waits for it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    name = Path(f"/proc/{pid}/comm").read_text()
    return pid if "hardening" in name or "python" in name or not children else _of_python(int(children[0]))


@pytest.mark.parametrize(
    ("option", "command", "told"),
    [("ro", ("touch", "/data/tool"), "read-only"), ("noexec", ("/data/tool",), "noexec")],
)
def test_what_the_host_refuses_of_a_volume_is_told_as_the_hosts(
    option: str, command: tuple[str, ...], told: str
) -> None:
    require("root")
    with workplace() as folder:
        place, volume = Place(folder, None), folder / "volume"
        volume.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=777", "tmpfs", volume], check=True)
        try:
            (volume / "tool").write_bytes(Path("/bin/true").read_bytes())
            (volume / "tool").chmod(0o777)
            subprocess.run(["mount", "-o", f"remount,{option}", volume], check=True)
            words = ("-p", "debug", "-v", f"{volume}:/data:rw,exec", "--exception", "rootfs.volumes./data=a test", "--")
            found = place.why(*words, *command)
            assert place.call("run", "-q", *words, *command).returncode != 0
        finally:
            subprocess.run(["umount", volume], check=True)
        assert (found["outcome"], needed(found)) == ("not by this stack", set())
        assert f"the host has mounted the file system of {volume}/tool {told}" in found["answer"]


def test_nothing_is_confirmed_by_copies_that_have_other_owners() -> None:
    require("root")
    user = ordinary()
    with workplace(user) as folder:
        place = Place(folder, user)
        volume = place.volume()
        (volume / "file").write_text("root's")
        words = ("-p", "strict", "-v", f"{volume}:/data:rw", "--exception", "rootfs.volumes./data=a test", "--")
        append = ("sh", "-c", 'echo more >> /data/file && exec "$0" "$@"')
        succeeded, denied = place.why(*words, *append, "true"), place.why(*words, *append, *KEYCTL)
        learnt = place.call("learn", *words, *append, "true")
    assert succeeded["outcome"] == "unknown"
    assert denied["denials"]
    assert needed(denied) == set()
    for found in (succeeded, denied):
        assert f"{volume}/file has another owner" in found["hint"]
    assert (learnt.returncode, learnt.stdout) == (1, "")
    assert f"({volume}/file has another owner" in learnt.stderr


def test_a_service_in_a_volume_is_told_as_one_that_no_copy_has(place: Place) -> None:
    volume = place.folder / "volume"
    volume.mkdir()
    volume.chmod(0o777)
    words = ("-p", "debug", "-v", f"{volume}:/data:rw", "--exception", "rootfs.volumes./data=a test", "--")
    connect = "import socket; socket.socket(socket.AF_UNIX).connect('/data/service')"
    with socket.socket(socket.AF_UNIX) as service:
        service.bind(str(volume / "service"))
        (volume / "service").chmod(0o777)
        service.listen()
        found = place.why(*words, "python3", "-c", connect)
    assert f"{volume}/service is a socket" in found["hint"]
    assert "--in-place" in found["hint"]


def test_input_is_given_again_in_each_run(place: Place) -> None:
    done = place.call(
        "why", "--json", "-i", "-p", "strict", "--", "sh", "-c", 'read line; test "$line" = word && exec "$0" "$@"', *KEYCTL,
        text="word\n",
    )  # fmt: skip
    assert needed(json.loads(done.stdout)) == {"seccomp.keyctl"}


def test_nothing_is_left_of_one_that_was_killed(place: Place) -> None:
    process = subprocess.Popen(
        place.argv("why", "-p", "strict", "--", "sleep", "60"), cwd=place.folder, env=place.environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    until(place.left)
    time.sleep(1)  # to be in the middle of it
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert place.call("run", "-q", "-p", "strict", "--", "true").returncode == 0
    until(lambda: place.left() == [], place.left)


@pytest.mark.parametrize("option", [("--runtime", "crun"), ("-d",)])
def test_what_cannot_be_looked_at_is_refused(option: tuple[str, ...], place: Place) -> None:
    done = place.call("why", *option, "-p", "strict", "--", "true")
    assert done.returncode == 2, done.stderr


def test_what_reaches_the_host_is_offered_and_not_tried(place: Place) -> None:
    key = 0x68_00_00_00 | os.getpid()
    libc = ctypes.CDLL(None)
    segment = libc.shmget(key, 4096, 0o1666)
    assert segment >= 0
    code = f"call(29, {key}, 4096, 0)\ncall(29, {key + 1}, 4096, 0o1600)"  # the host's, then another one
    try:
        found = place.why("-p", "batch", "--", "python3", "-c", _CALL + code)
        assert (found["outcome"], needed(found), found["loosening"]) == ("not tried", set(), None)
        (denial,) = found["denials"]
        assert (denial["leaf"], denial["confirmed"], found["runs"]) == ("namespaces.ipc", False, 2)
        assert "namespaces.ipc=" in " ".join(denial["loosening"]["options"])
        assert "--in-place" in found["answer"]
        keys = {int(line.split()[0]) for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]}
        assert key in keys
        assert key + 1 not in keys
        in_place = place.why("--in-place", "-p", "batch", "--", "python3", "-c", _CALL + f"call(29, {key}, 4096, 0)")
        assert (in_place["outcome"], needed(in_place)) == ("found", {"namespaces.ipc"})
    finally:
        libc.shmctl(segment, 0, None)


def test_no_trial_reaches_a_process_of_the_hosts(place: Place) -> None:
    with subprocess.Popen(["sleep", "60"], user=place.user.uid if place.user is not None else None) as victim:
        found = place.why("-p", "strict", "--", "kill", str(victim.pid))
        assert victim.poll() is None
        victim.kill()
    assert needed(found) == set()
