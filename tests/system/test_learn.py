"""`hardening learn`: the layer that it writes is enough for the command, and no more. Nothing of its runs stays."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.features import require
from tests.support.forking import typed
from tests.support.patience import until
from tests.support.runs import workplace
from tests.support.users import User, ordinary, program

pytestmark = pytest.mark.system

LISTEN = ("python3", "-c", "import socket; socket.create_server(('127.0.0.1', 0)); print('it listens')")
BPF = ("python3", "-c", "import ctypes, sys; sys.exit(ctypes.CDLL(None).syscall(321, 0, 0, 0) < 0)")


class Place:
    """A folder, and who stands in it."""

    def __init__(self, folder: Path, user: User | None) -> None:
        self.folder, self.user = folder, user

    def call(self, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Call the program, with something at its standard input."""
        return typed(self.user, *words, cwd=self.folder, env=self.environment, text=given)

    def argv(self, *words: str) -> list[str]:
        """How the program is called."""
        own = [str(Path(sys.executable).with_name("hardening")), *words]
        return own if self.user is None else self.user.argv([program(self.user), *words])

    @property
    def environment(self) -> dict[str, str]:
        base = self.user.environment if self.user is not None else os.environ
        return {**base, "HARDENING_STATE": str(self.folder / "state")}

    def layer(self) -> dict[str, Any]:
        """What was written."""
        return tomllib.loads((self.folder / "layer.toml").read_text())


@pytest.fixture(params=["root", "user"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """A folder of root's, or of an ordinary user's."""
    require("userns")
    if request.param == "root":
        require("root")
    user = ordinary() if request.param == "user" else None
    with workplace(user) as folder:
        yield Place(folder, user)
        assert list((folder / "state").glob("launches/*")) == []


def test_the_layer_is_enough_and_no_more(place: Place) -> None:
    done = place.call("learn", "-p", "strict", "-o", "layer.toml", "--", *LISTEN)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    written = place.layer()
    assert written["extends"] == ["strict"]
    assert {item["setting"] for item in written["exceptions"]} == {"seccomp.socket", "seccomp.bind", "seccomp.listen"}
    assert "/tmp" in written["rootfs"]["tmpfs"]["drop"]
    release, machine = written["learnt"]["kernels"][0].split()
    assert (release, machine) == (os.uname().release, os.uname().machine)
    names = [package.partition(" ")[0] for package in written["learnt"]["packages"]]
    assert "libc6" in names
    assert any(name.startswith("python3") for name in names)
    again = place.call("run", "-q", "-p", "./layer.toml", "--", *LISTEN)
    assert (again.returncode, again.stdout) == (0, "it listens\n"), again.stderr
    other = place.call("run", "-q", "-p", "./layer.toml", "--", "mkdir", "/tmp/mine")
    assert other.returncode != 0


def test_each_line_says_how_often_a_call_was_made_and_by_whom(place: Place) -> None:
    script = "import os; [os.getppid() for _ in range(7)]; os.system('exec true')"
    done = place.call("learn", "-p", "strict", "-o", "layer.toml", "--", "python3", "-c", script)
    assert done.returncode == 0, done.stderr
    text = (place.folder / "layer.toml").read_text()
    assert re.search(r'"getppid",  # \d+ calls in 1 run, by python3', text)
    assert re.search(
        r'"close",  # \d+ calls in 1 run, by (\.landlock, python3, sh and 1 more|python3, (sh, )?true)\n', text
    )
    assert re.search(r'"mmap",  # not counted, by python3', text)


def test_what_a_limit_forbids_is_told_and_nothing_is_written(place: Place) -> None:
    (place.folder / "team.toml").write_text('extends = ["strict"]\n[limits.seccomp]\ndeny = ["bpf"]\n')
    done = place.call("learn", "-p", "./team.toml", "-o", "layer.toml", "--", *BPF)
    assert done.returncode == 1
    assert "refused by a limit: seccomp.bpf" in done.stderr
    assert not (place.folder / "layer.toml").exists()
    done = place.call("learn", "-p", "./team.toml", "-o", "layer.toml", "--force", "--", *BPF)
    assert done.returncode == 1
    assert place.layer()["extends"] == ["./team.toml"]
    assert "exceptions" not in place.layer()
    assert "# - seccomp.bpf" in (place.folder / "layer.toml").read_text()


def test_what_a_command_asks_for_and_does_without_is_told_and_not_written(place: Place) -> None:
    probing = ("python3", "-c", "import ctypes; ctypes.CDLL(None).syscall(321, 0, 0, 0)")
    done = place.call("learn", "-p", "strict", "-o", "layer.toml", "--", *probing)
    assert done.returncode == 0, done.stderr
    assert "asked for, and not needed: seccomp.bpf" in done.stderr
    assert re.search(r"recorded in [0-9.]+ s, and in [0-9.]+ s unrecorded", done.stderr)
    assert "exceptions" not in place.layer()
    assert "bpf" not in place.layer()["seccomp"]["allow"]


def test_what_was_typed_is_no_part_of_the_layer(place: Place) -> None:
    (place.folder / "data").mkdir()
    (place.folder / "data/file").write_text("it is read\n")
    typed, command = ("-v", f"{place.folder}/data:/data:ro"), ("cat", "/data/file")
    done = place.call("learn", "-p", "default", *typed, "-o", "layer.toml", "--", *command)
    assert done.returncode == 0, done.stderr
    assert place.call("run", "-q", "-p", "./layer.toml", *typed, "--", *command).stdout == "it is read\n"
    assert place.call("run", "-q", "-p", "./layer.toml", "--", *command).returncode == 1


@pytest.mark.complete  # tests/hardening/learn/test_learning.py merges runs, and the how-to does with --into
def test_runs_of_several_commands_are_learnt_together(place: Place) -> None:
    assert place.call("learn", "-p", "strict", "--into", "seen.json", "--", "cat", "/etc/hostname").returncode == 0
    done = place.call("learn", "-p", "strict", "--into", "seen.json", "-o", "layer.toml", "--", *LISTEN)
    assert done.returncode == 0, done.stderr
    assert place.layer()["description"] == "cat, python3: what 2 runs asked for"
    assert len(json.loads((place.folder / "seen.json").read_text())["runs"]) == 2
    for command in (LISTEN, ("cat", "/etc/hostname")):
        again = place.call("run", "-q", "-p", "./layer.toml", "--", *command)
        assert again.returncode == 0, again.stderr


def test_each_thread_that_is_started_is_seen(place: Place) -> None:
    code = "import threading as t; b = t.Barrier(4); [t.Thread(target=b.wait).start() for _ in range(3)]; b.wait()"
    done = place.call("learn", "-p", "strict", "--into", "seen.json", "--", "python3", "-c", code)
    assert done.returncode == 0, done.stderr
    (run,) = json.loads((place.folder / "seen.json").read_text())["runs"]
    assert [use["often"] for use in run["uses"] if use["name"] == "clone"] == [3]
    assert run["peaks"]["tasks"] == 4


def test_a_service_is_learnt_until_its_check_succeeds(place: Place) -> None:
    data = place.folder / "data"
    data.mkdir()
    data.chmod(0o777)
    if place.user is not None:
        os.chown(data, place.user.uid, place.user.gid)  # a copy belongs to who made it, and proves nothing of another's
    serve = "import pathlib, time; pathlib.Path('/data/up').write_text('x'); time.sleep(60)"
    check = "test -e /proc/$HARDENING_PID/root/data/up"
    words = ("-v", f"{place.folder}/data:/data", "--exception", "rootfs.volumes./data=a test")
    done = place.call(
        "learn", "-p", "strict", *words, "--check", check, "-o", "layer.toml", "--", "python3", "-c", serve
    )
    assert done.returncode == 0, done.stderr
    assert "exceptions" not in place.layer()
    assert list((place.folder / "data").iterdir()) == []  # what was written has gone with its copy


@pytest.mark.complete  # tests/hardening/learn/test_static.py finds them, test_learning.py adds them
def test_what_programs_could_call_is_allowed_where_that_is_asked_for(place: Place) -> None:
    done = place.call("learn", "-p", "strict", "--static", "-o", "layer.toml", "--", "true")
    assert done.returncode == 0, done.stderr
    assert "# not seen, but true could make it\n" in (place.folder / "layer.toml").read_text()
    assert place.call("run", "-q", "-p", "./layer.toml", "--", "true").returncode == 0


def test_what_was_typed_is_in_the_layer_with_the_exception_that_it_needs(place: Place) -> None:
    volume = place.folder / "volume"
    volume.mkdir()
    (volume / "file").write_text("read\n")
    typed = ("-v", f"{volume}:{volume}:ro", "-w", str(volume))
    done = place.call("learn", "-p", "strict", *typed, "-o", "layer.toml", "--", "cat", "file")
    assert done.returncode == 0, done.stderr
    for words in (typed, ("-w", str(volume))):
        again = place.call("run", "-q", "-p", "./layer.toml", *words, "--", "cat", "file")
        assert (again.returncode, again.stdout) == (0, "read\n"), again.stderr


def test_a_check_that_succeeds_by_itself_is_refused(place: Place) -> None:
    done = place.call("learn", "-p", "strict", "--check", "true", "--", "true")
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2, "error: it succeeds before the command has started: true"
    )  # fmt: skip


def test_a_service_is_learnt_to_its_end(place: Place) -> None:
    """What it does when it is told to end, after the check has succeeded, and what the check has it do."""
    serve = """
import os, pathlib, signal, time
def end(*_):
    os.symlink("x", "/tmp/link")
    raise SystemExit
signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGHUP, lambda *_: pathlib.Path("/tmp/reloaded").mkdir())
pathlib.Path("/tmp/up").write_text("x")
time.sleep(600)
"""
    check = (
        "r=/proc/$HARDENING_PID/root/tmp; test -e $r/up && kill -HUP $HARDENING_PID && sleep 0.5 && test -d $r/reloaded"
    )
    done = place.call("learn", "-p", "strict", "--check", check, "-o", "layer.toml", "--", "python3", "-c", serve)
    assert done.returncode == 0, done.stderr
    assert {"symlink", "mkdir"} <= {*place.layer()["seccomp"]["allow"]}
    assert re.search(r"^recorded in [\d.]+ s, and in [\d.]+ s unrecorded$", done.stderr, re.MULTILINE)


def test_a_socket_in_a_volume_is_written_there(place: Place) -> None:
    (place.folder / "data").mkdir()
    (place.folder / "data").chmod(0o777)
    (place.folder / "where.toml").write_text(
        'extends = ["strict"]\n[rootfs]\nvolumes.add = ["./data:/data"]\n'
        '[[exceptions]]\nsetting = "rootfs.volumes./data"\nreason = "a test"\n'
    )
    code = "import socket; socket.socket(socket.AF_UNIX).bind('/data/socket')"
    done = place.call("learn", "-p", "./where.toml", "-o", "layer.toml", "--", "python3", "-c", code)
    assert done.returncode == 0, done.stderr
    assert "volumes" not in place.layer()["rootfs"]


def test_each_run_has_the_same_standard_input(place: Place) -> None:
    script = 'read word; test "$word" = secret && mkdir /tmp/mine && cat >/tmp/mine/rest && test -s /tmp/mine/rest'
    done = place.call(
        "learn", "-i", "-p", "strict", "-o", "layer.toml", "--", "sh", "-c", script, given="secret\nmore\n"
    )
    assert done.returncode == 0, done.stderr
    assert "/tmp" not in place.layer()["rootfs"]["tmpfs"]["drop"]


def test_what_was_seen_so_far_is_reported(place: Place) -> None:
    """Of a command that does not end, when its time is over, and when somebody has waited long enough."""
    words = ("learn", "-p", "strict", "--into", "seen.json", "-o", "layer.toml")
    serve = "import socket, time; one = socket.create_server(('127.0.0.1', 0)); print(one, flush=True); time.sleep(600)"
    done = place.call(*words, "--timeout", "15", "--", "python3", "-c", serve)
    assert done.returncode == 1
    assert "asked for, and refused: seccomp.bind" in done.stderr
    assert "still at work after 15 seconds: nothing is proved" in done.stderr
    assert "--timeout gives each run more" in done.stderr
    assert not (place.folder / "layer.toml").exists()
    (place.folder / "seen.json").unlink()
    with subprocess.Popen(
        place.argv(*words, "--", "sh", "-c", "mkdir /tmp/x; echo ready >&2; sleep 600"), cwd=place.folder,
        env=place.environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        said = process.stderr
        assert said is not None
        assert "ready\n" in iter(said.readline, "")
        process.send_signal(signal.SIGINT)
        assert "interrupted: nothing is proved" in said.read()
    assert process.returncode == 1
    (run,) = json.loads((place.folder / "seen.json").read_text())["runs"]
    assert "mkdir" in {use["name"] for use in run["uses"]}


@pytest.mark.parametrize("number", [1, 2])
def test_whoever_is_killed_leaves_no_run(place: Place, number: int) -> None:
    """The first run is traced, and the second one is not."""
    name = f"never-{os.getpid()}".encode()
    words = ("learn", "-p", "strict", "--check", "false", "--timeout", "2", "--", "sh", "-c", f"sleep 600; : {name!r}")
    with subprocess.Popen(
        place.argv(*words), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=place.folder, env=place.environment
    ) as process:
        first = until(lambda: running(name))
        if number > 1:
            until(lambda: [pid for pid in running(name) if pid not in first])
        process.kill()
    until(lambda: not running(name))
    until(lambda: list((place.folder / "state" / "launches").iterdir()) == [])


def running(name: bytes) -> list[int]:
    """The shells in a pid namespace of their own that have a name on their command line."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ends this moment
            if (place / "cmdline").read_bytes().startswith(b"sh\0-c") and name in (place / "cmdline").read_bytes():
                found.append(int(place.name))
    return found


@pytest.mark.complete  # tests/hardening/learn/test_learning.py has it of made-up commands
def test_what_a_command_complains_of_is_needed_whatever_its_exit_code(place: Place) -> None:
    """`ip address` that may send no request lists nothing, says so, and succeeds."""
    done = place.call("learn", "-p", "strict", "-o", "layer.toml", "--", "ip", "address")
    assert done.returncode == 0, done.stderr
    again = place.call("run", "-q", "-p", "./layer.toml", "--", "ip", "address")
    assert (again.returncode, again.stderr) == (0, "")
    assert "LOOPBACK" in again.stdout


def test_no_run_begins_after_the_limit(place: Place) -> None:
    """What was seen by then is told."""
    done = place.call("learn", "-p", "strict", "--limit", "1", "-o", "layer.toml", "--", "sh", "-c", "sleep 1.5; uname")
    assert done.returncode == 1, done.stderr
    assert "1 seconds are over: nothing is proved" in done.stderr
    assert not (place.folder / "layer.toml").exists()


def test_a_home_that_is_hidden_is_replaced_by_one_in_memory(place: Place) -> None:
    """As npm needs one for its cache: what the exception is for is not what denies."""
    command = ("sh", "-c", "mkdir /home/me && touch /home/me/cache && ls /home/me")
    done = place.call("learn", "-p", "strict", "-o", "layer.toml", "--", *command)
    assert done.returncode == 0, done.stderr
    (exception,) = place.layer()["exceptions"]
    assert exception["setting"] in ("rootfs.tmpfs./home", "rootfs.tmpfs./home/me")
    again = place.call("run", "-q", "-p", "./layer.toml", "--", *command)
    assert (again.returncode, again.stdout) == (0, "cache\n"), again.stderr
