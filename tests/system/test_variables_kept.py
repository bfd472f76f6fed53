"""No value of a variable that was typed is kept: a planted one is looked for in all that a run leaves, and while it lasts.

The command does not print it, and every file of the caller's folder is read: cache entries, bundles, what is written down of
containers, the state of runtimes, records, logs.
"""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.detached import Caller, caller
from tests.support.features import available, require
from tests.support.patience import until
from tests.support.users import ordinary

pytestmark = pytest.mark.system

RUNTIMES = ("native", "crun", "runc")
GIVEN, PASSED, SET = "canary-given-1", "canary-passed-2", "canary-set-3"
OPTIONS = ("-e", f"GIVEN={GIVEN}", "-e", "PASSED", "--set", f"process.set_environment.SET_BY_NAME={SET}")
SECRETS = ("-e", f"PGPASSWORD={GIVEN}", "-e", f"WHERE=postgres://me:{PASSED}@host/db", "-e", f"GITHUB_PAT={SET}")
#: The command has all three: nothing was lost on the way.
CHECK = "test ${#GIVEN} = 14 && test ${#PASSED} = 15 && test ${#SET_BY_NAME} = 12"


@pytest.fixture(params=["root", "user"])
def person(request: pytest.FixtureRequest) -> Iterator[Caller]:
    require("root" if request.param == "root" else "userns")
    with caller(None if request.param == "root" else ordinary()) as found:
        yield found


def needed(runtime: str) -> str:
    if runtime == "crun" and not available("cgroup2-unified"):
        require("cgroup2-mount")
    return runtime


def line(person: Caller, runtime: str, *options: str, script: str = CHECK) -> list[str]:
    """The words of a run. Its variables are those of the caller, and `PASSED`."""
    words = ("run", "-q", "-i", "-p", "default", "--runtime", runtime, *options, "--", "sh", "-c", script)
    return ["env", f"PASSED={PASSED}", *person.argv(*words)]


def run(person: Caller, runtime: str, *options: str, script: str = CHECK) -> subprocess.CompletedProcess[str]:
    argv = line(person, runtime, *options, script=script)
    return subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd="/", env=person.environment, timeout=60
    )


def holders(person: Caller) -> list[Path]:
    """The files below the caller's folder that hold a planted value."""
    found = []
    for place, _, names in os.walk(person.folder):
        for path in (Path(place, name) for name in names):
            try:
                if path.is_file() and b"canary-" in path.read_bytes():
                    found.append(path)
            except OSError:  # gone in the meantime
                continue
    return found


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("options", [OPTIONS, SECRETS], ids=["any", "secret"])
def test_nothing_that_stays_holds_one(options: tuple[str, ...], runtime: str, person: Caller) -> None:
    script = CHECK if options == OPTIONS else "test ${#PGPASSWORD} = 14"
    for _ in range(2):  # composed, and from an entry where there is one
        done = run(person, needed(runtime), *options, script=script)
        assert done.returncode == 0, done.stderr
        assert holders(person) == []
    entries = list(person.state.glob("cache/*/*/entry.json"))
    assert len(entries) == (runtime == "native" and options == OPTIONS)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_receipt_has_the_values_of_profiles_alone(runtime: str, person: Caller) -> None:
    profile, target = person.folder / "mode.toml", person.folder / "receipt.json"
    profile.write_text(
        'extends = ["default"]\n[process]\nenvironment.add = ["PASSED"]\n'
        'set_environment = {MODE = "safe", TYPED = "x"}\n'
        '[[exceptions]]\nsetting = "process.environment.PASSED"\nreason = "a test"\n'
    )
    profile.chmod(0o644)
    stack = ("-p", str(profile), *OPTIONS, "-e", f"TYPED={GIVEN}", "-e", f"HOME=/{SET}")

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        argv = ["env", f"PASSED={PASSED}", f"TERM={PASSED}", *person.argv(*words)]
        return subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd="/", env=person.environment, timeout=60
        )

    done = call("run", "-q", "--runtime", needed(runtime), *stack, "--receipt", str(target), "--", "true")
    assert done.returncode == 0, done.stderr
    assert holders(person) == []
    found = json.loads(target.read_bytes())["environment"]
    assert {name for name, value in found.items() if value is not None} == {"MODE", "PATH"}
    assert found["MODE"] == "safe"
    held = call("receipt", "--json", *stack, str(target))
    lines = {row["leaf"]: row for row in json.loads(held.stdout)["checks"]}
    line = lines["process.set_environment.*"]
    assert line["result"] == "holds"
    assert re.findall(r"(\w+) \(value not compared\)", line["expected"]) == ["GIVEN", "HOME", "SET_BY_NAME", "TYPED"]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_in_the_background_and_removed(runtime: str, person: Caller) -> None:
    done = run(person, needed(runtime), *OPTIONS, "-d", "--name", "one", script=f"{CHECK} && sleep 600")
    assert done.returncode == 0, done.stderr
    assert_only_private(person, runtime)
    person.say("stop", "-t", "0", "one")
    until(lambda: not holders(person), lambda: holders(person))
    person.say("rm", "one")
    assert holders(person) == []


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_launcher_that_is_killed_leaves_none(runtime: str, person: Caller) -> None:
    """The native configuration never holds one. That of another runtime does while the command runs, and the guard takes
    it away."""
    argv = line(person, needed(runtime), *OPTIONS, script=f"{CHECK} && echo ready && read line")
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True, cwd="/", env=person.environment) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            assert_only_private(person, runtime)
        finally:
            process.send_signal(signal.SIGKILL)
    until(lambda: not holders(person), lambda: holders(person))


def assert_only_private(person: Caller, runtime: str) -> None:
    """While it runs: nowhere for native; else where nobody but the caller can read it."""
    found = holders(person)
    if runtime == "native":
        assert found == []
        return
    assert found != []
    for path in found:
        # Where the next start looks for what a launch has left that was killed too early for a guard.
        assert path.is_relative_to(person.state / "launches"), path
        closed = not path.stat().st_mode & 0o077
        above = any(not place.stat().st_mode & stat.S_IXOTH for place in path.parents if place != person.folder)
        assert closed or above, path


def test_what_stands_for_a_value_is_no_variable(person: Caller) -> None:
    """The bundle of an entry is no bundle of its own: without the line that has its values it does not run."""
    assert run(person, "native", *OPTIONS).returncode == 0
    (bundle,) = person.state.glob("cache/*/*/bundle")
    process = json.loads((bundle / "config.json").read_bytes())["process"]
    assert "args" not in process
    bare = {entry for entry in process["env"] if "=" not in entry}
    assert {"GIVEN", "PASSED", "SET_BY_NAME"} <= bare <= {"GIVEN", "PASSED", "SET_BY_NAME", "LANG", "LC_ALL", "TERM"}
    done = person.call("launch", str(bundle))
    assert done.returncode != 0
    assert "must be NAME=VALUE" in done.stderr


def test_each_run_has_the_values_of_its_own_line(person: Caller) -> None:
    script = "echo $PASSED $GIVEN"
    for value in (GIVEN, "other", GIVEN):
        done = run(person, "native", "-e", f"GIVEN={value}", "-e", "PASSED", script=script)
        assert done.stdout == f"{PASSED} {value}\n", done.stderr
