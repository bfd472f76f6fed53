"""Programs that are started: which they are, and where."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from pathlib import Path

import pytest

from hardening.base import places, programs
from hardening.base.files import Opened
from hardening.errors import UsageError


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of the working directory, and of one below it."""
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, tmp_path / "bin"):
        folder.mkdir(exist_ok=True)
        (folder / "tool").write_text("#!/bin/sh\necho trapped\n")
        (folder / "tool").chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    "path", ["", ".", ":", ":/usr/bin", "/usr/bin:", "/usr/bin::/bin", "bin", "./bin:/usr/bin", "../x"]
)
def test_no_relative_entry_of_path_has_a_program(trap: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setenv("PATH", path)
    for name in ("tool", "./tool", "bin/tool"):
        assert programs.find(name) is None
        with pytest.raises(FileNotFoundError):
            programs.start([name])
    assert all(entry.startswith("/") for entry in programs.environment()["PATH"].split(":"))
    assert programs.path() == (":".join(entry for entry in path.split(":") if entry[:1] == "/") or places.OF_COMMANDS)


def test_one_of_an_absolute_entry_starts_in_the_root_directory(trap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (trap / "bin/tool").write_text("#!/bin/sh\npwd; echo $XDG_DATA_HOME-$XDG_STATE_HOME; cat\n")
    monkeypatch.setenv("PATH", f".:{trap}/bin:/usr/bin")
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert programs.run(["tool"], b"given", 30.0).stdout == b"/\n-/state\ngiven"


def test_one_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        programs.run(["sleep", "1000"], b"", 0.2)


def test_one_that_is_bound_is_killed_with_who_has_started_it() -> None:
    reader, writer = os.pipe()
    starter = os.fork()
    if starter == 0:
        os.write(writer, str(programs.start(["sleep", "1000"], bound=True).pid).encode())
        signal.pause()
    os.close(writer)
    with Opened(reader):
        started = int(os.read(reader, 20))
    with Opened(os.pidfd_open(started)) as process:
        os.kill(starter, signal.SIGKILL)
        os.waitpid(starter, 0)
        ended, _, _ = select.select([process], [], [], 30)
    assert ended


def test_a_home_of_gnupg_that_depends_on_the_place_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GNUPGHOME", "gnupg")
    with pytest.raises(UsageError, match=r"^GNUPGHOME: gnupg is not an absolute path"):
        programs.start(["true"])


def test_no_variable_chooses_the_code_that_a_program_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rc").write_text("echo trapped\n")
    names = ("BASH_ENV", "ENV", "GCONV_PATH", "LOCPATH", "LD_PRELOAD", "PYTHONSTARTUP", "PERL5OPT", "OPENSSL_CONF")
    for name in names:
        monkeypatch.setenv(name, str(tmp_path / "rc"))
    monkeypatch.setenv("ENVIRONMENT", "kept")
    done = programs.run(["bash", "-c", "env"], b"", 60.0)
    assert b"trapped" not in done.stdout
    kept = {line.partition(b"=")[0].decode() for line in done.stdout.splitlines()}
    assert not kept.intersection(names)
    assert "ENVIRONMENT" in kept
