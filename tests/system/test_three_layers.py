"""A stack of three layers with a limit, an exception and a refused loosening: every say is shown with its line, the refused
one names both lines, and options of the command line obey the same rules."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from hardening import cli
from tests.support.features import require
from tests.support.runs import RUNTIMES, busybox_root, running, workplace

pytestmark = pytest.mark.system

ORGANISATION = """\
description = "A ceiling, and values to start from"

[limits.capabilities]
drop = ["ALL"]
add = ["CHOWN", "NET_RAW"]

[limits.rootfs]
volumes = ["/srv:/srv:ro"]

[capabilities]
drop = ["ALL"]

[rootfs]
volumes = []

[process.rlimits]
nofile = 512

[namespaces]
time = "host"

[selinux]
requirement = "best-effort"
"""
TEAM = """\
extends = ["./organisation.toml"]

[capabilities]
add = ["NET_RAW"]

[[exceptions]]
setting = "capabilities.NET_RAW"
reason = "ping(8) opens a raw socket"
"""
APPLICATION = """\
extends = ["./team.toml"]

[process.rlimits]
nofile = 4096
"""
NET_RAW = 1 << 13


def line(text: str, fragment: str) -> int:
    """The number of the line that holds a fragment."""
    return next(number for number, each in enumerate(text.splitlines(), 1) if fragment in each)


#: where each say stands
LIMIT = f"organisation.toml:{line(ORGANISATION, 'CHOWN')}"
CLOSED = f"organisation.toml:{line(ORGANISATION, 'limits.capabilities') + 1}"
DROPPED = f"organisation.toml:{line(ORGANISATION, '[capabilities]') + 1}"
NOFILE = f"organisation.toml:{line(ORGANISATION, 'nofile')}"
NO_VOLUMES = f"organisation.toml:{line(ORGANISATION, 'volumes = []')}"
VOLUME_LIMIT = f"organisation.toml:{line(ORGANISATION, '/srv')}"
ADDED = f"team.toml:{line(TEAM, 'add =')}"
EXCEPTION = f"team.toml:{line(TEAM, '[[exceptions]]')}"
REFUSED = f"application.toml:{line(APPLICATION, 'nofile')}"


@attrs.frozen
class Said:
    """How a command ended, and what it printed."""

    code: int
    stdout: str
    stderr: str

    @property
    def data(self) -> Any:
        return json.loads(self.stdout)


class Program:
    """`hardening`, in the folder of the three layers."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capture = capfd

    def __call__(self, *words: str) -> Said:
        code = cli.main(words)
        out, err = self._capture.readouterr()
        return Said(code, out, err)


@pytest.fixture
def hardening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Program:
    for name, text in (("organisation", ORGANISATION), ("team", TEAM), ("application", APPLICATION)):
        (tmp_path / f"{name}.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    return Program(capfd)


def history(said: Said) -> list[tuple[str, str, str]]:
    """Layer, outcome and place of every say about a leaf, those of the refused layer at the end."""
    return [(step["layer"], step["outcome"], step["origin"]) for step in (*said.data["history"], *said.data["pending"])]


def test_a_limit_a_value_and_an_exception_are_told_with_their_lines(hardening: Program) -> None:
    said = hardening("explain", "-p", "team.toml", "capabilities.NET_RAW", "--json")
    assert said.code == 0
    assert history(said) == [
        ("organisation", "limit", LIMIT),
        ("organisation", "stated", DROPPED),
        ("team", "loosened by exception", ADDED),
    ]
    assert said.data["origin"] == ADDED
    assert said.data["limit"]["origin"] == LIMIT
    exception = said.data["history"][2]["exception"]
    assert (exception["reason"], exception["origin"]) == ("ping(8) opens a raw socket", EXCEPTION)
    text = hardening("explain", "-p", "team.toml", "capabilities.NET_RAW").stdout
    assert all(place in text for place in (LIMIT, DROPPED, ADDED, EXCEPTION))


def test_a_refused_loosening_is_told_with_both_lines(hardening: Program) -> None:
    said = hardening("explain", "-p", "application.toml", "process.rlimits.nofile", "--json")
    assert said.code == 2
    assert history(said) == [("organisation", "stated", NOFILE), ("application", "refused", REFUSED)]
    assert said.data["shown"] == "512"
    (problem,) = said.data["error"]
    assert problem["origin"] == REFUSED
    assert NOFILE in problem["message"]
    assert REFUSED in said.stderr
    assert NOFILE in said.stderr
    # What the first two layers say of other leaves is told all the same.
    said = hardening("explain", "-p", "application.toml", "capabilities.NET_RAW", "--json")
    assert said.code == 2
    assert len(history(said)) == 3


@pytest.mark.parametrize("words", [["run", "-p", "application.toml", "--", "touch", "made"],
                                   ["compose", "-p", "application.toml", "-o", "made"]])  # fmt: skip
def test_a_refused_stack_runs_and_writes_nothing(hardening: Program, words: Sequence[str]) -> None:
    said = hardening(*words)
    assert said.code == 2
    assert said.stdout == ""
    assert said.stderr.startswith(f"error: {REFUSED}: ")
    assert NOFILE in said.stderr
    assert not Path("made").exists()


def exception(setting: str) -> list[str]:
    return ["--set", f'exceptions=[{{setting = "{setting}", reason = "a test"}}]']


OPTIONS = {
    "a value": (["--set", "process.rlimits.nofile=4096"], "process.rlimits.nofile", NOFILE),
    "a list": (["--set", 'capabilities.add=["CHOWN"]'], "capabilities.CHOWN", DROPPED),
    "a volume": (["-v", "/srv:/srv:ro"], "rootfs.volumes./srv", NO_VOLUMES),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_needs_an_exception_as_a_layer_does(hardening: Program, name: str) -> None:
    words, leaf, place = OPTIONS[name]
    said = hardening("compose", "-q", "-p", "team.toml", *words)
    assert said.code == 2
    assert said.stderr.startswith(f"error: {' '.join(words)}: {leaf}: ")
    assert place in said.stderr
    permitted = hardening("explain", "-p", "team.toml", *words, *exception(leaf), leaf, "--json")
    assert permitted.code == 0, permitted.stderr
    assert history(permitted)[-1] == ("command line", "loosened by exception", " ".join(words))


LIMITED = {
    "a list": (["--set", 'capabilities.add=["SYS_ADMIN"]'], "capabilities.SYS_ADMIN", CLOSED),
    "a volume": (["-v", "/srv:/srv:rw"], "rootfs.volumes./srv", VOLUME_LIMIT),
    "another volume": (["-v", "/etc:/data:ro"], "rootfs.volumes./data", VOLUME_LIMIT),
}


@pytest.mark.parametrize("name", LIMITED)
def test_no_option_goes_beyond_a_limit_exception_or_not(hardening: Program, name: str) -> None:
    words, leaf, place = LIMITED[name]
    for more in ([], exception(leaf)):
        said = hardening("compose", "-q", "-p", "team.toml", *words, *more)
        assert said.code == 2
        assert said.stderr.startswith(f"error: {' '.join(words)}: {leaf}: ")
        assert place in said.stderr
        assert "limit" in said.stderr


@pytest.mark.parametrize("name", OPTIONS)
def test_a_layer_says_it_with_the_same_words(hardening: Program, name: str) -> None:
    """The same loosening in a file of its own: refused with the same message, but for the place and how to permit it."""
    words = OPTIONS[name][0]
    table = {
        "a value": "[process.rlimits]\nnofile = 4096\n",
        "a list": '[capabilities]\nadd = ["CHOWN"]\n',
        "a volume": '[rootfs]\nvolumes.add = ["/srv:/srv:ro"]\n',
    }[name]
    Path("layer.toml").write_text(table)
    by_option = hardening("compose", "-q", "-p", "team.toml", *words).stderr.partition(", or add ")
    by_layer = hardening("compose", "-q", "-p", "team.toml", "-p", "layer.toml")
    assert by_layer.code == 2
    message, _, permission = by_layer.stderr.partition(", or add ")
    assert message == by_option[0].replace(" ".join(words), "layer.toml:2")
    assert permission.startswith("at the end of the same layer:\n[[exceptions]]\n")
    assert by_option[2].startswith("--exception ")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_kernel_gives_what_was_explained(runtime: str) -> None:
    require("root")
    with workplace() as folder:
        for name, text in (("organisation", ORGANISATION), ("team", TEAM)):
            (folder / f"{name}.toml").write_text(text)
            (folder / f"{name}.toml").chmod(0o644)
        base = f'extends = ["{folder}/organisation.toml"]\n[rootfs]\npath = "{busybox_root(folder / "root")}"\n'
        with running(base, runtime=runtime) as found:
            assert int(found.status["CapBnd"], 16) == 0
            assert "Max open files            512" in found.read("limits")
        with running(base, TEAM.replace("./organisation", f"{folder}/organisation"), runtime=runtime) as found:
            assert int(found.status["CapBnd"], 16) == NET_RAW
            assert int(found.status["CapEff"], 16) == NET_RAW
