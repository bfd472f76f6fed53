"""A run that fails says what it was denied where the kernel knows, else how to ask, and never blames wrongly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.detached import Caller, caller, callers
from tests.support.features import require

pytestmark = pytest.mark.system

KILLING = """
extends = ["strict"]
[[seccomp.rules]]
names = ["uname"]
action = "kill-process"
"""
UNAME = ("python3", "-c", "import os; os.uname()")
ASK = "hint: `hardening why` in place of `hardening run` says"
#: A command's own filter, which ends it over getppid(2) (110 of x86_64, 173 of others): BPF as in linux/filter.h.
OWN_FILTER = """
import ctypes, os, struct
number = 110 if os.uname().machine == "x86_64" else 173
code = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (6, 0, 0, 0x80000000), (6, 0, 0, 0x7FFF0000)]
program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in code))
prog = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code), ctypes.addressof(program)))
print(ctypes.CDLL(None).prctl(22, 2, prog), flush=True)
os.getppid()
"""


@pytest.fixture(params=["root", "user"])
def person(request: pytest.FixtureRequest) -> Iterator[Caller]:
    yield from callers(request.param)


@pytest.fixture(params=["native", "crun", "runc"])
def runtime(request: pytest.FixtureRequest) -> str:
    if request.param != "native":
        require("cgroup2-mount")
    return str(request.param)


def failing(person: Caller, *words: str, code: int) -> list[str]:
    """What `run` says of a command that ends with a code, beside what the command says."""
    done = person.call("run", *words)
    assert done.returncode == code, done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith(("hardening:", "hint:"))]


def test_a_filter_that_has_ended_it_is_named(person: Caller, runtime: str) -> None:
    layer = person.folder / "killing.toml"
    layer.write_text(KILLING)
    said = failing(person, "-q", "--runtime", runtime, "-p", str(layer), "--", *UNAME, code=159)
    assert said[0] == "hardening: ended by the filter of system calls (seccomp)"
    assert "`hardening explain seccomp`" in said[1]
    assert "`hardening why`" in said[1]


def mattered(what: str) -> str:
    """The line that says what happened to a command on its way, and blames nothing for its end."""
    return f"hint: {what}; `hardening why` in place of `hardening run` says whether that mattered"


#: A connection of UDP, which sends nothing; what goes wrong after that is the program's own.
CAUGHT = """
import socket
try:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("192.0.2.1", 53))
except OSError:
    print("without a network")
exec("1 +")
"""


@pytest.mark.parametrize(
    ("words", "code"),
    [(("bash", "-c", "exec 3<>/dev/tcp/192.0.2.1/80"), 1), (("python3", "-c", CAUGHT), 1)],
    ids=["fatal", "caught"],
)
def test_a_network_that_it_has_not_is_not_blamed(
    words: tuple[str, ...], code: int, person: Caller, runtime: str
) -> None:
    options = ("-p", "web", "--set", "namespaces.net=private", "--runtime", runtime)
    said = failing(person, *options, "--", *words, code=code)
    assert said == [mattered("it wanted to reach an address, and has no network (namespaces.net)")]
    assert failing(person, "-q", *options, "--", *words, code=code) == []
    here = ("bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/9")
    assert "network" not in " ".join(failing(person, *options, "--", *here, code=1))


@pytest.mark.parametrize(("after", "code"), [("exit 3", 3), ("cat /nope", 1)])
def test_a_place_in_memory_that_is_full_is_not_blamed(after: str, code: int, person: Caller, runtime: str) -> None:
    options = ("-p", "strict", "--runtime", runtime)
    said = failing(person, *options, "--", "sh", "-c", f"head -c 100M /dev/zero > /tmp/much; {after}", code=code)
    # Another runtime's process that has not executed anything yet shows an ordinary user nothing of itself.
    if person.user is None or runtime == "native":
        assert said == [mattered("/tmp was full at its end (limit 64M)")]
    less = ("sh", "-c", f"head -c 60M /dev/zero > /tmp/much; {after}")
    assert "full" not in " ".join(failing(person, *options, "--", *less, code=code))


def test_processes_that_it_may_not_start_are_not_blamed(runtime: str) -> None:
    require("cgroups")
    require("root")
    many = "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait"
    caught = f"({many}); cat /nope"
    limit = ("-p", "strict", "--set", "process.resources.pids=5")
    with caller() as person:
        for words, code in ((many, 2), (caught, 1)):
            said = failing(person, *limit, "--runtime", runtime, "--", "sh", "-c", words, code=code)
            assert said == [mattered("it was refused one more process (limit 5, process.resources.pids)")]
        identity = person.start("sh", "-c", caught, options=limit, runtime=runtime)
        assert person.say("wait", identity) == "1"
        assert not person.one(identity)["reason"]
        assert "hardening:" not in person.call("logs", identity).stderr
        ends = [json.loads(line) for line in person.say("log", "--json", "--id", identity).splitlines()]
        assert [end["error"] for end in ends if end["event"] == "end"] == [None]


def test_processor_time_that_it_has_used_up_is_named(person: Caller) -> None:
    options = ("-q", "-p", "strict", "--set", "process.rlimits.cpu=1:1")
    said = failing(person, *options, "--", "sh", "-c", "while :; do :; done", code=137)
    assert said[0] == "hardening: ended for its processor time (limit 1 s, process.rlimits.cpu)"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (159, "sh -c 'kill -SYS $$'; exit $?"),
        (159, "exit 159"),
        (153, "(ulimit -f 0; echo x > /tmp/x); exit 153"),
        (137, "sh -c 'kill -KILL $$'; exit $?"),
        (137, "(ulimit -t 1; while :; do :; done); exit $?"),
        (2, "ulimit -u 1; : & : & : & wait; exit 2"),
        (1, "cat /nope; exit 1"),
    ],
)
def test_what_a_command_has_done_to_itself_is_not_blamed_on_its_profile(code: int, words: str, person: Caller) -> None:
    options = ("-p", "strict", "--set", "process.rlimits.cpu=5:5")
    said = failing(person, *options, "--", "sh", "-c", words, code=code)
    assert [line for line in said if not line.startswith(ASK)] == []


def test_a_filter_of_its_own_is_not_blamed_on_its_profile(person: Caller) -> None:
    done = person.call("run", "-q", "-p", "batch", "--", "python3", "-c", OWN_FILTER)
    assert (done.returncode, done.stdout.strip()) == (159, "0")
    assert "hardening:" not in done.stderr


def test_who_fails_with_a_word_is_told_how_to_ask(person: Caller) -> None:
    assert [line[: len(ASK)] for line in failing(person, "-p", "strict", "--", "ls", "/nope", code=2)] == [ASK]
    assert [
        line[: len(ASK)] for line in failing(person, "-p", "strict", "--", "sh", "-c", "ls /nope; exit 9", code=9)
    ] == [ASK]
    for words, code in ((("-q", "-p", "strict", "--", "ls", "/nope"), 2), (("-p", "strict", "--", "false"), 1)):
        assert failing(person, *words, code=code) == []
    assert failing(person, "-p", "strict", "--", "grep", "-q", "nobody-has-this-name", "/etc/passwd", code=1) == []
    assert failing(person, "-p", "strict", "--", "ls", "/", code=0) == []
    for word, told in (("a word", []), ("a whole sentence", [ASK])):
        said = failing(person, "-p", "strict", "--", "sh", "-c", f"echo {word} >&2; exit 3", code=3)
        assert [line[: len(ASK)] for line in said] == told


def test_who_asks_is_told_once(person: Caller) -> None:
    done = person.call("why", "--once", "-p", "strict", "--", "sh", "-c", "head -c 100M /dev/zero > /tmp/much; exit 3")
    assert "/tmp/much" in done.stdout
    assert "in place of" not in done.stderr


def test_another_runtime_says_the_same(runtime: str) -> None:
    require("root")
    with caller() as person:
        said = failing(person, "-p", "strict", "--runtime", runtime, "--", "ls", "/nope", code=2)
        assert [line[: len(ASK)] for line in said] == [ASK]


def test_a_launch_of_a_bundle_does_not_speak_of_a_run(tmp_path: Path) -> None:
    with caller() as person:
        person.say("compose", "-p", "strict", "-o", str(person.folder / "bundle"), "--", "ls", "/nope")
        done = person.call("launch", str(person.folder / "bundle"))
        assert (done.returncode, "hardening why" in done.stderr) == (2, False)
