"""The profile `agent` in a project's folder, with git: it commits there, and what git reads commands from later stays."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import shipped
from tests.support.forking import typed
from tests.support.runs import hand_over, workplace
from tests.support.users import User, ordinary

pytestmark = pytest.mark.system

WORK = """set -e
git init -q -b main . && git config user.name me && git config user.email me@localhost
echo . >.git/commondir"""
USE = """set -e
pwd; ls -A "$HOME"; test -w "$HOME"
echo one >file && git add file && git commit -q -m first
git checkout -q -b side && echo two >file && git commit -q -a -m second && git checkout -q main && git merge -q side
git log --format=%s; git status --short; git gc -q"""
#: Each would have a program run, by whoever calls git in the folder outside.
PLANT = """printf '#!/bin/sh\\n' >.git/hooks/pre-commit
git config core.fsmonitor ./evil
mv .git .was
mv .git/hooks .git/other
rm -f .git/commondir
echo ../evil >.git/commondir
python3 -c 'import socket; socket.create_connection(("192.0.2.1", 80))'
ls ../secret"""


@pytest.fixture
def project() -> Iterator[tuple[User, Path]]:
    """A folder in the home of an ordinary user, with a repository, beside something that is nobody else's."""
    user = ordinary()
    with workplace(user) as folder:
        place = folder / "project"
        place.mkdir()
        hand_over(place, user)
        (folder / "secret").write_text("")
        assert outside(user, place, WORK).returncode == 0
        yield user, place


def outside(user: User, place: Path, script: str) -> subprocess.CompletedProcess[str]:
    return user.run(["sh", "-c", script], cwd=place)


def inside(
    user: User, place: Path, script: str, *options: str, profile: str = "agent"
) -> subprocess.CompletedProcess[str]:
    return typed(
        user, "run", "-q", "-p", profile, *options, "--", "sh", "-c", script, cwd=place, env=user.environment
    )  # fmt: skip


def test_git_is_usable_and_what_it_runs_later_is_not_written(project: tuple[User, Path]) -> None:
    user, place = project
    done = inside(user, place, USE)
    assert (done.returncode, done.stdout) == (0, f"{place}\nsecond\nfirst\n"), done.stderr
    kept = "sha256sum .git/config .git/commondir .git/hooks/* && git status --short"
    before = outside(user, place, kept)
    planted = inside(
        user, place, "".join(f"({line}) 2>/dev/null && echo {n}\n" for n, line in enumerate(PLANT.split("\n")))
    )
    assert planted.stdout == ""
    assert outside(user, place, kept).stdout == before.stdout
    assert ".git/hooks/" in before.stdout

    # The counter-proof: without the one defence, each does what it is for.
    names = [f"{{cwd}}/.git/{name}" for name in ("hooks", "config", "commondir")]
    exceptions = [f'[[exceptions]]\nsetting = "rootfs.read_only_paths.{name}"\nreason = "a test"\n' for name in names]
    text = f'extends = ["agent"]\n[rootfs]\nread_only_paths.drop = {names}\n{"".join(exceptions)}'
    loose = shipped.layer(place.parent, "loose", text)
    tried = inside(user, place, "touch .git/hooks/x && git config a.b c && mv .git .was && echo done", profile=loose)
    assert tried.stdout == "done\n", tried.stderr


def test_the_folder_is_that_of_the_run_and_no_cache_entry_s(project: tuple[User, Path]) -> None:
    user, place = project
    below = place / "below"
    below.mkdir()
    hand_over(below, user)
    for folder in (place, below, place):
        assert inside(user, folder, "pwd").stdout == f"{folder}\n"
    for folder in (Path("/"), user.home):
        refused = inside(user, folder, "pwd")
        assert (refused.returncode, "agent.toml" in refused.stderr) == (2, True)
