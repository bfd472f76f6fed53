"""The walk-through of signatures runs from its beginning to its end, before a real registry."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.examples import ROOT
from tests.support import apart
from tests.support.registry import registry

SCRIPT = ROOT / "docs/trust/walk-through.sh"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the ids of a container can enter, with a path that is short enough for an agent's socket."""
    path = apart.directory("walk-", "/var/tmp")
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def test_every_step_shows_what_it_says(folder: Path) -> None:
    work = folder / "work"
    work.mkdir()
    places = {f"HARDENING_{name}": str(folder / name.lower()) for name in ("STATE", "IMAGES")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, **places, "PATH": path, "HOME": str(folder), "NO_COLOR": "1"}
    with registry(folder) as running:
        done = subprocess.run(
            ["sh", str(SCRIPT), running.host], cwd=work, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout
    steps = [line.removeprefix("== ") for line in done.stdout.splitlines() if line.startswith("== ")]
    assert steps == [line.split('"')[1] for line in SCRIPT.read_text().splitlines() if line.startswith("step ")]
    assert "hello from a signed image" in done.stdout
    assert not list((folder / "state" / "keyrings").iterdir())
    assert not _agents(work)


def _agents(work: Path) -> list[str]:
    """What still runs for the key's home, or serves its signatures."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if str(work) in line]
