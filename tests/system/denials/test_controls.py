"""No stack is blamed for what it has not done: by `hardening why`, and by the line after a run that fails."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.features import require
from tests.support.forking import typed
from tests.support.runs import workplace
from tests.support.users import ordinary
from tests.system.denials.asking import INNOCENT
from tests.system.denials.controls import CONTROLS, OF_OTHERS, OWNED, uses_sockets

pytestmark = pytest.mark.system
CASES = [
    pytest.param(kind, base, command, id=f"{name} {base}")
    for kind, controls in CONTROLS.items()
    for name, command in controls.items()
    for base in ("strict", "default")
    if base == "default" or not uses_sockets(command)
]
#: What the line says that only tells how to ask.
ASKS = "if anything was"
#: How the line after a failing run begins where it blames.
BLAMES = ("denied", "forbid", "refuse", "limit")


def _run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return typed(None, *words, cwd="/", env={**os.environ, "HARDENING_STATE": str(folder / "state")})


def test_there_are_a_hundred() -> None:
    assert len(CASES) >= 100


@pytest.mark.sampled("kind", "base")
@pytest.mark.parametrize(("kind", "base", "command"), CASES)
def test_nothing_is_blamed(kind: str, base: str, command: tuple[str, ...]) -> None:
    require("userns")
    words = ("-p", base, "-u", "1000", "--", *command)
    with workplace() as folder:
        failed = _run(folder, "run", *words)
        assert failed.returncode, "a control fails"
        said = [line for line in failed.stderr.splitlines() if line.startswith(("hardening:", "hint:"))]
        own = [line for line in said if ASKS not in line]
        assert not [line for line in own if any(word in line for word in BLAMES)], failed.stderr
        done = _run(folder, "why", "--json", *words)
        answer = json.loads(done.stdout[done.stdout.index("{") :])
        assert answer["outcome"] in INNOCENT, done.stdout
        assert not answer["smallest"]
        assert not [item for item in answer["denials"] if item["needed"] or item["confirmed"]], answer["denials"]


@pytest.mark.parametrize("name", OF_OTHERS)
def test_no_stack_is_blamed_for_what_an_ordinary_user_may_not_do_with_the_files_of_others(name: str) -> None:
    """No map of owners is offered to who cannot have one, and the file's own mode or owner is told."""
    require("userns")
    user = ordinary()
    options, command = OF_OTHERS[name]
    with workplace(user) as folder:
        place = folder / "files"
        place.mkdir()
        subprocess.run(["sh", "-ec", OWNED.format(place)], check=True)
        words = ("why", "--json", *(word.format(place) for word in options), "-p", "default", "--", *command)
        done = typed(user, *words, cwd=folder, env={**user.environment, "HARDENING_STATE": str(folder / "state")})
        answer = json.loads(done.stdout)
        assert (answer["outcome"], answer["smallest"], answer["denials"]) == ("not by this stack", [], []), done.stdout
        assert "the file's own" in answer["elsewhere"][0]["cause"], answer["elsewhere"]
