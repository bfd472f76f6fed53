"""Finding runtimes and their versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardening_oci import program
from tests.support.users import REPOSITORY


@pytest.mark.parametrize("name", ["crun", "runc"])
def test_an_installed_runtime_tells_its_version(name: str) -> None:
    found = program.find(name)
    assert found is not None
    version = program.version(found)
    assert version is not None
    assert len(program.numbers(version)) >= 2


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
    assert program.find("no-such-runtime") is None
    assert program.version(Path("/nowhere")) is None
    assert program.version(Path("/bin/false")) is None


def test_numbers() -> None:
    assert program.numbers("1.1.15+ds1") == (1, 1, 15)
    assert program.numbers("1.2.0-rc.1") == (1, 2, 0)
    assert program.numbers("unknown") == ()
