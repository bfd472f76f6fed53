"""`hardening/cli` as it is installed, with the plugins and profiles that it ships."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from hardening.assemble.statements import with_statements_of
from hardening.cli import main
from hardening.cli.session import Session
from tests.hardening.cli.samples import profile
from tests.support import forking
from tests.support.features import require
from tests.support.runs import workplace

SHIPPED = ("strict", "default", "web", "batch", "build", "debug")
TABLES = ("namespaces", "capabilities", "seccomp", "rootfs", "selinux", "process")


@attrs.frozen
class Place:
    """A folder in which commands run. What starts nothing runs inside the test's own process, in ``session``."""

    path: Path
    session: Session
    capture: pytest.CaptureFixture[str]

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One command line of the installed program."""
        code = "from hardening.whole import main"
        return forking.server(None).run(arguments, code=code, cwd=self.path, env=os.environ)

    def show(self, *arguments: str) -> Any:
        """The JSON of a command that succeeds."""
        code, text, errors = self.ask(*arguments)
        assert code == 0, errors
        return json.loads(text)

    def ask(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of a command that starts nothing."""
        code = main(list(arguments), self.session)
        captured = self.capture.readouterr()
        return code, captured.out, captured.err

    def anew(self) -> Place:
        """The same folder with a host that is looked at now: what it was for an earlier test has nothing stored."""
        return attrs.evolve(self, session=Session())

    def bundles(self) -> list[str]:
        """The bundles that are left."""
        folder = self.path / "state/launches"
        return os.listdir(folder) if folder.is_dir() else []


@pytest.fixture(scope="module")
def session() -> Session:
    return Session()


@pytest.fixture
def place(session: Session, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    # No temporary folder of pytest: mapped ids may not enter it.
    with workplace() as folder:
        monkeypatch.chdir(folder)
        monkeypatch.setenv("HARDENING_STATE", str(folder / "state"))
        yield Place(folder, session, capsys)


@pytest.mark.system
@pytest.mark.sampled(kinds=lambda row: [])
@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_profile_runs_a_command(name: str, place: Place) -> None:
    require("userns")
    done = place.call("run", "-p", name, "--", "sh", "-c", "echo hello; exit 5")
    assert (done.returncode, done.stdout) == (5, "hello\n"), done.stderr
    assert all(line.startswith(("not enforced: ", "exception: ", "warning: ")) for line in done.stderr.splitlines())
    assert place.bundles() == []


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_profile_as_toml_composes_to_the_same_spec(name: str, place: Place) -> None:
    code, text, errors = place.ask("compose", "-p", name, "--format", "toml")
    assert code == 0, errors
    profile(place.path, "flat", text)
    command = ("-q", "--", "id")
    specs = [place.show("compose", "-p", profile, *command) for profile in ("./flat.toml", name)]
    assert with_statements_of(specs[1], specs[0]) == specs[1]


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
        ("rootfs.propagation", "slave"),
        ("capabilities.KILL", "root only"),
        ("namespaces.net", "host"),
        ("process.environment.EDITOR", "true"),
        ("seccomp.ptrace", "allow"),
    ],
)
def test_the_offered_loosening_works(question: str, shown: str, place: Place) -> None:
    offered = place.show("explain", "-p", "strict", question, "--json")["loosening"]
    assert offered["shown"] == shown
    assert place.show("explain", "-p", "strict", *offered["options"], question, "--json")["shown"] == shown
    assert place.show("compose", "-q", "-p", "strict", *offered["options"], "--", "id")
    profile(place.path, "loose", offered["toml"])
    assert place.show("explain", "-p", "strict", "-p", "./loose.toml", question, "--json")["shown"] == shown


def test_a_volume_is_offered_of_a_directory_that_is_there(place: Place) -> None:
    """No profile and no option has named one, and nothing that lies at another path may be spoken of."""
    for profile_name in ("strict", "default"):
        offered = place.show("explain", "-p", profile_name, "rootfs.volumes./data", "--json")["loosening"]
        assert offered["shown"] == f"{place.path}:/data:ro,nosuid,nodev,exec,rbind,rprivate"
        assert place.show("compose", "-q", "-p", profile_name, *offered["options"], "--", "id")


def test_a_loosening_that_would_not_run_is_not_offered(place: Place) -> None:
    """The host's own root is only ever shown read-only; one of one's own may be writable."""
    offered = place.show("explain", "rootfs.read_only", "--json")["loosening"]
    assert not offered["toml"]
    assert not offered["options"]
    assert "the host's own root is only ever shown read-only; give a root of your own" in offered["barrier"]
    (place.path / "root").mkdir()
    own = ("--exception", "rootfs.path=a root of our own", "--rootfs", "./root")
    code, text, _ = place.ask("explain", *own, "rootfs.read_only", "--json")
    assert json.loads(text)["loosening"]["shown"] == "false", text
    assert code == 0
    refused = ("--set", "rootfs.read_only=false", "rootfs.read_only", "--json")
    code, text, _ = place.ask("explain", *refused)
    assert code == 2
    assert "host's own root" in json.loads(text)["loosening"]["barrier"]


def test_a_call_with_arguments_is_answered_by_the_compiled_filter(place: Place) -> None:
    terminal_input = place.show("explain", "seccomp.ioctl(1, 0x5412)", "--json")
    assert terminal_input["answer"] == {"arguments": ["1", "0x5412"], "result": "errno:EPERM"}
    assert place.show("explain", "seccomp.ioctl(1, 0x5413)", "--json")["answer"]["result"] == "allow"


@pytest.mark.system
def test_a_receipt_holds_and_that_of_a_looser_run_does_not(place: Place) -> None:
    require("userns")
    assert place.call("run", "-q", "-p", "strict", "--receipt", "r.json", "--", "true").returncode == 0
    assert place.show("receipt", "-p", "strict", "r.json", "--json")["holds"]
    loosening = ["--exception", "namespaces.net=test", "--set", "namespaces.net=host"]
    done = place.call("run", "-q", "-p", "strict", *loosening, "--receipt", "loose.json", "--", "true")
    assert done.returncode == 0, done.stderr
    code, text, _ = place.ask("receipt", "-p", "strict", "loose.json", "--json")
    assert code == 1
    failed = [check["leaf"] for check in json.loads(text)["checks"] if check["result"] == "does not hold"]
    assert failed == ["namespaces.net"]


@pytest.mark.system
@pytest.mark.parametrize(
    ("command", "code"), [("/nonexistent", 127), ("nonexistent", 127), ("/etc/passwd", 126), ("/etc", 126)]
)
def test_a_command_that_cannot_be_run(command: str, code: int, place: Place) -> None:
    require("userns")
    done = place.call("run", "-q", "--", command)
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("hardening: ")
    assert command in done.stderr
    assert "Traceback" not in done.stderr
    assert place.bundles() == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("run -q -v /nonexistent:/data -- id", "-v /nonexistent:/data: rootfs.volumes"),
        ("run -q -v relative -- id", "-v relative: rootfs.volumes"),
        ("run -q --rootfs /nonexistent -- id", "--rootfs /nonexistent: rootfs.path"),
        ("run -q --rootfs /etc/passwd -- id", "--rootfs /etc/passwd: rootfs.path"),
        ("run -q --cap-add SYS_ADMN -- id", 'did you mean "SYS_ADMIN"?'),
        ("run -q --cap-add SYS_ADMIN -- id", "exceeds the limit dropped set at"),
        ("run -q --cap-add NET_RAW -- id", "looser than dropped, set at"),
        ("run -q --set seccomp.allow=opne -- id", "opne"),
        ("run -q --set rootfs.read_only=false -- id", "looser than true, set at"),
        ("run -q --set rootfs.read_onyl=false -- id", 'did you mean "read_only"?'),
        ("run -q --set rotfs.read_only=false -- id", 'did you mean "rootfs"?'),
        ("run -q --memory lots -- id", "--memory lots"),
        ("run -q -u nobody-here -- id", "nobody-here"),
        ("run -q -w relative -- id", "-w relative"),
        ("run -q --exception rootfs.volumes=WHY -- id", 'such as "rootfs.volumes./data"'),
        ("run -q --hostname a_b! -- id", "--hostname a_b!"),
        ("explain seccomp.opne", "opne"),
        ("explain capabilities.SYS_ADMN", "SYS_ADMIN"),
    ],
)
def test_bad_input_is_one_message_and_leaves_nothing(arguments: str, says: str, place: Place) -> None:
    code, text, errors = place.ask(*shlex.split(arguments))
    assert (code, text) == (2, "")
    assert says in errors
    assert [line for line in errors.splitlines() if not line.startswith("hint: ")] == errors.splitlines()[:1]
    assert errors.startswith("error: ")
    assert place.bundles() == []


def test_a_read_only_state_directory(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARDENING_STATE", "/proc/1/hardening")
    code, _, errors = place.ask("run", "-q", "--", "id")
    assert code == 125
    assert "cannot use the state directory" in errors
    assert "hint: set HARDENING_STATE" in errors


def test_doctor_and_lists(place: Place) -> None:
    lines = place.show("doctor", "-p", "strict", "--json")
    assert {line["area"] for line in lines} >= {"host", "runtime", "mechanism", "seccomp", "namespaces"}
    assert {line["name"] for line in lines if line["area"] == "runtime"} == {"native", "crun", "runc"}
    assert {entry["name"] for entry in place.show("profile", "list", "--json")} >= {"base", *SHIPPED}
    tables = [item["name"] for entry in place.show("plugin", "list", "--json") for item in entry["mechanisms"]]
    assert set(tables) >= set(TABLES)


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_composed_of_shipped_profiles_alone_is_kept(place: Place, name: str) -> None:
    assert place.anew().show("run", "--dry-run", "--json", "-p", name, "--", "true")["not_stored"] == []


def test_a_dry_run_says_why_a_composition_is_not_kept(place: Place) -> None:
    shown = place.anew().show("run", "--dry-run", "--json", "-p", "base", "-e", "API_TOKEN=x", "--", "true")
    assert shown["not_stored"] == ["API_TOKEN is, by its name, a secret"]
    code, text, _ = place.ask("run", "--dry-run", "-p", "base", "-e", "API_TOKEN=x", "--", "true")
    assert code == 0
    assert "\ncache    not kept: API_TOKEN is, by its name, a secret\n" in text


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--fresh", "--", "true"), "--fresh asks for that"),
        (("--receipt", "receipt.json", "--", "true"), "a receipt is written of one run"),
        (("--", "./here"), "./here is not shown inside"),
    ],
    ids=["fresh", "receipt", "advice"],
)
def test_a_dry_run_and_the_run_agree_on_what_is_not_kept(place: Place, words: tuple[str, ...], reason: str) -> None:
    here = place.path / "here"
    here.write_text("#!/bin/sh\n")
    here.chmod(0o755)
    (said,) = place.anew().show("run", "--dry-run", "--json", "-p", "strict", *words)["not_stored"]
    assert said.startswith(reason)
    place.call("run", "-q", "-p", "strict", *words)
    assert not [*place.path.glob("state/cache/*/*/entry.json")]


@pytest.mark.system
def test_a_dry_run_names_the_place_where_the_run_keeps_its_bundle(place: Place) -> None:
    require("userns")
    words = ("-q", "-p", "strict", "--", "true", "--json")
    line = place.anew().show("run", "--dry-run", "--json", *words)
    assert line["not_stored"] == []
    assert not [*place.path.glob("state/*")]
    assert place.call("run", *words).returncode == 0
    shown = Path(json.loads(line["argv"][-1])["bundle"])
    (kept,) = place.path.glob("state/cache/*/*/bundle")
    assert (shown.parents[1], shown.name) == (kept.parents[1], kept.name)
