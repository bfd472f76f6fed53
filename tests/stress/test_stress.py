"""Launches that are killed, starved and crowded leave nothing: small counts of what `make stress` does at length."""

from __future__ import annotations

import os

import pytest

from tests.support.features import require
from tests.support.forking import server
from tests.support.users import REPOSITORY

pytestmark = pytest.mark.system

SUBJECTS = [("root", "native"), ("user", "native"), ("root", "crun"), ("user", "runc")]


def stress(*words: str) -> None:
    """Run a scenario; it says what is left."""
    code = f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); from tests.stress.__main__ import main"
    done = server(None).run(words, code=code, cwd=REPOSITORY, env=os.environ)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(params=SUBJECTS, ids="-".join)
def who(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Options that name a subject."""
    name, runtime = request.param
    require("root" if name == "root" or os.geteuid() == 0 else "userns")
    return ("--who", name, "--runtime", runtime)


def test_a_launch_that_is_killed_at_any_moment_leaves_nothing(who: tuple[str, ...]) -> None:
    stress("kill", *who, "--count", "1")


@pytest.mark.parametrize("caller", ["root", "user"])
def test_a_launch_that_is_killed_at_any_step_leaves_nothing(caller: str) -> None:
    require("root")  # strace(1) has to follow set-user-ID programs
    stress("steps", "--who", caller, "--every", "360", "--first", "7")


def test_a_launch_of_which_any_call_fails_leaves_nothing() -> None:
    require("root")
    stress("errors", "--every", "1200", "--first", "11")


@pytest.mark.parametrize("caller", ["root", "user"])
def test_a_launch_that_lacks_descriptors_or_memory_leaves_nothing(caller: str) -> None:
    require("root")
    stress("limits", "--who", caller, "--every", "44")


def test_a_launch_that_lacks_processes_leaves_nothing() -> None:
    require("root")
    require("cgroup1")
    stress("pids", "--every", "6")


def test_a_launch_on_a_full_disk_leaves_nothing() -> None:
    require("root")
    stress("disk", "--every", "23")


def test_launches_at_once_all_run() -> None:
    require("root")
    stress("crowd", "--count", "4", "--abreast", "4")


@pytest.mark.complete  # what reserves them does so in an ordinary run (tests/plugins/selinux/test_mcs.py)
def test_no_pair_of_categories_is_given_twice() -> None:
    require("root")
    stress("pairs", "--count", "25")
