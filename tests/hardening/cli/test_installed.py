"""The program as it is installed, with the plugins and profiles that it ships."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.hardening.cli.samples import profile
from tests.support.features import require
from tests.support.runs import workplace

SHIPPED = ("strict", "default", "web", "batch", "build", "debug")
TABLES = ("namespaces", "capabilities", "seccomp", "rootfs", "selinux", "process")


@attrs.frozen
class Place:
    """A folder in which commands run."""

    path: Path

    def call(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """One command line of the installed program."""
        return subprocess.run(
            [sys.executable, "-m", "hardening", *arguments],
            cwd=self.path,
            env={**os.environ, "HARDENING_STATE": str(self.path / "state"), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def show(self, *arguments: str) -> Any:
        """The JSON of a command that succeeds."""
        done = self.call(*arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def bundles(self) -> list[str]:
        """The bundles that are left."""
        folder = self.path / "state/bundles"
        return os.listdir(folder) if folder.is_dir() else []


@pytest.fixture
def place() -> Iterator[Place]:
    # No temporary folder of pytest: mapped ids may not enter it.
    with workplace() as folder:
        yield Place(folder)


@pytest.mark.system
@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_profile_runs_a_command(name: str, place: Place) -> None:
    require("userns")
    done = place.call("run", "-p", name, "--", "sh", "-c", "echo hello; exit 5")
    assert (done.returncode, done.stdout) == (5, "hello\n"), done.stderr
    assert all(line.startswith(("not enforced: ", "exception: ")) for line in done.stderr.splitlines())
    assert place.bundles() == []


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_profile_as_toml_composes_to_the_same_spec(name: str, place: Place) -> None:
    flat = place.call("compose", "-p", name, "--format", "toml")
    assert flat.returncode == 0, flat.stderr
    profile(place.path, "flat", flat.stdout)
    command = ("-q", "--", "id")
    assert place.show("compose", "-p", "./flat.toml", *command) == place.show("compose", "-p", name, *command)


@pytest.mark.parametrize("table", TABLES)
def test_every_table_is_explained(table: str, place: Place) -> None:
    leaves = place.show("explain", "-p", "strict", table, "--json")["leaves"]
    assert leaves
    for leaf in leaves:
        assert leaf["leaf"].startswith(f"{table}.")
        assert leaf["origin"]
        assert [step for step in leaf["history"] if ":" not in step["origin"]] == []


@pytest.mark.parametrize(
    ("question", "shown"),
    [
        ("rootfs.read_only", "false"),
        ("capabilities.KILL", "added"),
        ("namespaces.net", "host"),
        ("process.environment.EDITOR", "true"),
    ],
)
def test_the_offered_loosening_works(question: str, shown: str, place: Place) -> None:
    offered = place.show("explain", "-p", "strict", question, "--json")["loosening"]
    assert offered["shown"] == shown
    options = [part for option in offered["options"] for part in ("--set", option)]
    assert place.show("explain", "-p", "strict", *options, question, "--json")["shown"] == shown
    profile(place.path, "loose", offered["toml"])
    assert place.show("explain", "-p", "strict", "-p", "./loose.toml", question, "--json")["shown"] == shown


@pytest.mark.system
def test_a_receipt_holds_and_that_of_a_looser_run_does_not(place: Place) -> None:
    require("userns")
    assert place.call("run", "-q", "-p", "strict", "--receipt", "r.json", "--", "true").returncode == 0
    held = place.call("receipt", "-p", "strict", "r.json")
    assert held.returncode == 0, held.stdout
    loosening = [
        "--set",
        'exceptions=[{setting = "namespaces.net", reason = "test"}]',
        "--set",
        'namespaces.net="host"',
    ]
    done = place.call("run", "-q", "-p", "strict", *loosening, "--receipt", "loose.json", "--", "true")
    assert done.returncode == 0, done.stderr
    broken = place.call("receipt", "-p", "strict", "loose.json", "--json")
    assert broken.returncode == 1
    failed = [check["leaf"] for check in json.loads(broken.stdout)["checks"] if check["result"] == "does not hold"]
    assert failed == ["namespaces.net"]


@pytest.mark.system
@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ("run -q -- /nonexistent", 127, "/nonexistent"),
        ("run -q -- nonexistent", 127, "nonexistent"),
        ("run -q -- /etc/passwd", 126, "/etc/passwd"),
        ("run -q -v /nonexistent:/data -- id", 2, "-v /nonexistent:/data: rootfs.volumes"),
        ("run -q -v relative -- id", 2, "-v relative: rootfs.volumes"),
        ("run -q --rootfs /nonexistent -- id", 2, "--rootfs /nonexistent: rootfs.path"),
        ("run -q --rootfs /etc/passwd -- id", 2, "--rootfs /etc/passwd: rootfs.path"),
        ("run -q --cap-add SYS_ADMN -- id", 2, 'did you mean "SYS_ADMIN"?'),
        ("run -q --cap-add SYS_ADMIN -- id", 2, "looser than dropped, said at"),
        ("run -q --set seccomp.allow=opne -- id", 2, "opne"),
        ("run -q --set rootfs.read_only=false -- id", 2, "looser than true, said at"),
        ("run -q --set rootfs.read_onyl=false -- id", 2, 'did you mean "read_only"?'),
        ("run -q --set rotfs.read_only=false -- id", 2, 'did you mean "rootfs"?'),
        ("run -q --memory lots -- id", 2, "--memory lots"),
        ("run -q -u nobody-here -- id", 2, "nobody-here"),
        ("run -q -w relative -- id", 2, "-w relative"),
        ("run -q --hostname a_b! -- id", 2, "--hostname a_b!"),
        ("explain seccomp.opne", 2, "opne"),
        ("explain capabilities.SYS_ADMN", 2, "SYS_ADMIN"),
    ],
)  # fmt: skip
def test_bad_input_is_one_message_and_leaves_nothing(arguments: str, code: int, says: str, place: Place) -> None:
    done = place.call(*shlex.split(arguments))
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    messages = [line for line in done.stderr.splitlines() if line.startswith(("error: ", "hardening: "))]
    assert len(messages) == 1
    assert place.bundles() == []


def test_a_read_only_state_directory(place: Place) -> None:
    done = place.call("run", "-q", "--", "id", HARDENING_STATE="/proc/1/hardening")
    assert done.returncode == 125
    assert "cannot use the state directory" in done.stderr
    assert "hint: set HARDENING_STATE" in done.stderr


def test_doctor_and_lists(place: Place) -> None:
    lines = place.show("doctor", "-p", "strict", "--json")
    assert {line["area"] for line in lines} >= {"host", "runtime", "mechanism", "seccomp", "namespaces"}
    assert {line["name"] for line in lines if line["area"] == "runtime"} == {"native", "crun", "runc"}
    assert {entry["name"] for entry in place.show("profile", "list", "--json")} >= {"base", *SHIPPED}
    tables = [item["name"] for entry in place.show("plugin", "list", "--json") for item in entry["mechanisms"]]
    assert set(tables) >= set(TABLES)
