"""`plugins/hardening_seccomp/notes.py`: every command that composes a filter, a quiet one too, says what it cannot keep."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support import bundles, runs
from tests.support.features import require
from tests.support.forking import typed

WARNINGS = tuple(
    f"warning: seccomp.{name}: {name}: the rule cannot be written exactly for libseccomp: {loss}"
    for name, loss in (("getppid", "every call gets"), ("getpgrp", "every denied call gets"))
)
#: More entries than a rule can have: what they let run is lost.
MANY = "".join(
    f'[[seccomp.rules]]\nnames = ["getppid"]\naction = "allow"\nargs = [{{index = 0, op = "eq", value = {number}}}]\n'
    for number in range(0, 1200, 3)
)
#: More errnos than a rule can have: what runs is kept, and all that is denied gets one of them.
ERRNOS = "".join(
    f'[[seccomp.rules]]\nnames = ["getpgrp"]\naction = "errno:{1 + number % 90}"\n'
    f'args = [{{index = 0, op = "eq", value = {number}}}]\n'
    for number in range(300)
)


def hardening(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    done = typed(None, *words, cwd=folder, env={**os.environ, "HARDENING_STATE": str(folder / "state")})
    assert done.returncode == 0, done.stderr
    return done


def layer(folder: Path) -> str:
    path = folder / "many.toml"
    path.write_text(f'extends = ["strict"]\n[selinux]\nrequirement = "best-effort"\n{MANY}{ERRNOS}')
    path.chmod(0o644)
    return str(path)


@pytest.mark.system
@pytest.mark.parametrize("quiet", [(), ("-q",)], ids=["loud", "quiet"])
def test_a_loss_is_said_by_each_command(quiet: Sequence[str]) -> None:
    require("userns")
    with runs.workplace() as folder:
        profile = layer(folder)
        (folder / "config.json").write_text(json.dumps(bundles.config("true")))
        commands = (
            ("run", "--fresh", *quiet, "-p", profile, "--", "true"),
            ("compose", *quiet, "-p", profile, "--", "true"),
            ("apply", *quiet, "-p", profile, "config.json", "-o", "tight.json"),
        )
        for words in commands:
            lines = hardening(*words, folder=folder).stderr.splitlines()
            told = [line for line in lines if line.startswith(WARNINGS)]
            assert len(told) == len(WARNINGS), (words, lines)
            assert lines == told or not quiet, lines


@pytest.mark.system
def test_a_stored_plan_says_it_again() -> None:
    require("userns")
    with runs.workplace() as folder:
        profile = layer(folder)
        for _ in range(2):
            done = hardening("run", "-q", "-p", profile, "--", "true", folder=folder)
            assert [line.startswith(WARNINGS) for line in done.stderr.splitlines()] == [True, True]
