"""Runtimes that are programs: finding them, and what is asked of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardening.assemble import program
from hardening.assemble.program import ProgramRuntime, numbers
from hardening.launch.request import LaunchRequest
from hardening.mechanism.host import plain
from hardening.testing import check_runtime
from hardening_oci import Crun, Runc
from tests.support.users import REPOSITORY


@pytest.mark.parametrize("kind", [Crun, Runc])
def test_an_installed_runtime_tells_its_version(kind: type[ProgramRuntime]) -> None:
    version = kind().version()
    assert version is not None
    assert len(numbers(version)) >= 2


def test_a_program_by_its_whole_path_is_a_runtime(tmp_path: Path) -> None:
    made = tmp_path / "acme-run"
    made.write_text("#!/bin/sh\necho acme version 7\n")
    acme = type("Acme", (ProgramRuntime,), {"name": "acme", "program": str(made)})()
    assert (acme.version(), acme.find()) == (None, None)
    made.chmod(0o755)
    assert (acme.version(), acme.find(), acme.command(tmp_path, LaunchRequest())[-1].count(str(made))) == (
        "7",
        str(made),
        1,
    )
    assert str(made) in {item.argument for item in acme.inputs(plain())}
    document = {"ociVersion": "1.2.0", "process": {"args": ["/bin/true"], "cwd": "/"}}
    assert check_runtime(acme, plain(), document) == []
    assert [item.pointer for item in acme.check({**document, "hostname": 3, "strange": 1}, plain())] == [
        "/strange",
        "/hostname",
    ]


def test_a_runtime_is_asked_in_the_root_directory_and_sees_nothing_of_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = tmp_path / "runtime"
    runtime.write_text("#!/bin/sh\nread -r line\necho version $PWD-$LD_LIBRARY_PATH-$line\n")
    runtime.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LD_LIBRARY_PATH", "here")
    assert program.version(runtime) == "/--"


def test_no_other_place_of_the_program_starts_a_process_or_looks_one_up() -> None:
    """But for those that must outlive it, or be confined (`hardening.base.programs` says how), and for a command that is
    tried: its launcher, and the caller's own check of it."""
    files = [file for folder in ("hardening", "plugins") for file in (REPOSITORY / folder).rglob("*.py")]
    found = {file.name for file in files for word in ("shutil.which(", "subprocess.run(", "subprocess.Popen(")
             if word in file.read_text()}  # fmt: skip
    assert found == {"programs.py", "external.py", "runner.py", "until.py"}


def test_what_is_no_runtime() -> None:
    assert type("No", (ProgramRuntime,), {"name": "no-such-runtime"})().version() is None
    assert program.version(Path("/nowhere")) is None
    assert program.version(Path("/bin/false")) is None


def test_numbers() -> None:
    assert numbers("1.1.15+ds1") == (1, 1, 15)
    assert numbers("1.2.0-rc.1") == (1, 2, 0)
    assert numbers("unknown") == ()
