"""The bundle of one launch: locked before anything is in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hardening.assemble import bundles
from hardening.errors import LaunchError
from hardening.launch.container.directory import any_left


def test_the_lock_survives_an_execution(tmp_path: Path) -> None:
    lock = bundles.make(tmp_path / "launches/one/bundle")
    argv = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[lock]) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.close(lock)
        assert not any_left(str(tmp_path))
    assert any_left(str(tmp_path))


def test_two_bundles_cannot_have_one_name(tmp_path: Path) -> None:
    lock = bundles.make(tmp_path / "launches/one/bundle")
    with pytest.raises(LaunchError, match="File exists"):
        bundles.make(tmp_path / "launches/one/bundle")
    assert not any_left(str(tmp_path))
    os.close(lock)
