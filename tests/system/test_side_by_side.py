"""What the kernel reports of one command is the same under native, crun and runc, or differs for a reason that is listed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache

import attrs
import pytest

from hardening.runs import receipt
from tests.support import runs
from tests.support.features import require
from tests.support.forking import typed
from tests.support.users import REPOSITORY, User, ordinary
from tools import compare
from tools.compare import Row

pytestmark = pytest.mark.system

CALLER_IS_ROOT = (
    *("--set", 'namespaces.id_map="root"'),
    *("--set", 'exceptions=[{setting = "namespaces.id_map", reason = "as podman without root"}]'),
)
NO_CAPABILITIES = ("0000000000000000",)
OURS, THEIRS = ("its-own",), ("the-caller's",)


@attrs.frozen
class Case:
    """Who compares which runtimes, with which options besides the profile."""

    root: bool
    runtimes: Sequence[str]
    options: Sequence[str] = ()


CASES = {
    "root": Case(True, compare.RUNTIMES),
    "root, a directory": Case(True, compare.RUNTIMES, ("--rootfs", "ROOT")),
    "user": Case(False, compare.RUNTIMES),
    "user as the container's root": Case(False, compare.RUNTIMES, CALLER_IS_ROOT),
}


def observed(case: Case, *options: str, profile: str = "strict") -> dict[str, Row]:
    """The rows of the comparison, by name."""
    require("root" if case.root else "userns")
    user: User | None = None if case.root else ordinary()
    found = {}
    with runs.workplace(user) as folder:
        runs.busybox_root(folder / "root")
        words = [str(folder / "root") if word == "ROOT" else word for word in (*case.options, *options)]
        for runtime in case.runtimes:
            target = folder / f"{runtime}.json"
            line = compare.arguments(profile, runtime, target, ["true"], words)
            done = typed(user, *line, cwd="/", env=os.environ if user is None else user.environment)
            assert done.returncode == 0, done.stderr
            found[runtime] = receipt.read(target)
    return {row.name: row for row in compare.rows(found, compare.namespaces())}


@cache
def rows_of(name: str) -> dict[str, Row]:
    return observed(CASES[name])


@pytest.mark.sampled(kinds=lambda row: [CASES[row["name"]].root])
@pytest.mark.parametrize("name", CASES)
def test_the_kernel_reports_the_same_under_each_runtime(name: str) -> None:
    case = CASES[name]
    rows = rows_of(name)
    assert {row.name: row.values for row in rows.values() if row.unexplained} == {}
    for runtime in case.runtimes:
        said = {key: row.values[runtime] for key, row in rows.items()}
        assert_strict(said)
    assert list(rows["uid_map"].values) == list(case.runtimes)


def assert_strict(said: Mapping[str, tuple[str, ...]]) -> None:
    """The kernel's own words for the promises of the profile: equal reports could be equally loose."""
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert said[name] == NO_CAPABILITIES
    assert said["NoNewPrivs"] == ("1",)
    assert (said["Seccomp"], said["Seccomp_filters"]) == (("2",), ("1",))
    for name in ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts"):
        assert said[f"namespace {name}"] == OURS, name
    assert said["namespace time"] == THEIRS
    assert said["limit core file size"] == ("0", "0")
    assert said["limit open files"] == ("1024", "4096")
    assert "ro" in said["mount /"]
    assert {"hidepid=invisible", "subset=pid"} <= set(said["mount /proc"])
    for place in ("/run", "/tmp", "/var/tmp"):
        assert {"noexec", "nosuid", "nodev"} <= set(said[f"mount {place}"])
    writable = {row for row, words in said.items() if row.startswith("mount ") and "rw" in words}
    assert writable <= {f"mount {place}" for place in WRITABLE}


WRITABLE = ("/run", "/tmp", "/var/tmp", "/proc", "/dev/shm", "/dev/mqueue", "/dev/pts", *compare.DEVICES)


def test_every_listed_difference_is_there() -> None:
    """What no longer differs must leave the list: it would hide what it once explained."""
    require("root")
    require("userns")
    given = {reason for name in CASES for row in rows_of(name).values() for reason in row.reasons}
    assert given == {item.reason for item in compare.DIFFERENCES}


def test_a_difference_that_nothing_explains_is_noticed() -> None:
    """The counter-proof: two runs that differ in what the profile decides are not called equal."""
    require("root")
    strict = Case(True, ("native",))
    rows = observed(strict)
    loose = observed(strict, profile="build")
    values = {name: {"native": row.values["native"], "crun": loose[name].values["native"]}
              for name, row in rows.items() if name in loose}  # fmt: skip
    judged = {name: compare.judged(name, pair) for name, pair in values.items()}
    assert {"CapEff", "Umask", "mount /tmp", "limit processes"} <= {
        name for name, row in judged.items() if row.unexplained
    }


def test_the_tool_shows_the_table() -> None:
    require("root")
    argv = [sys.executable, str(REPOSITORY / "tools/compare.py"), "-p", "batch", "--", "true"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "200"}  # with less room it shows records
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[1].split()[:4] == ["WHAT", "NATIVE", "CRUN", "RUNC"]
    row = next(line.split() for line in lines if line.startswith("CapEff"))
    assert row[1:] == ["0000000000000000", "=", "="]
