"""git clones, commits and pushes, and what a repository brings along does not run."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.software.harness import Place, placed, unneeded
from tests.support.users import User

pytestmark = pytest.mark.system

COMMIT = "git -c user.name=me -c user.email=me@localhost commit -q"


@contextmanager
def repositories(user: User | None, *, direct: bool = True) -> Iterator[Place]:
    with placed("git", user, direct=direct) as place:
        place.folders("work")
        fresh(place)
        yield place


def fresh(place: Place) -> None:
    """An empty repository to clone, and no clone of it."""
    made = place.outside("sh", "-c", "rm -rf work/* && git init -q --bare -b main work/origin.git")
    assert made.returncode == 0, made.stderr


def shell(place: Place, script: str, *profiles: str) -> subprocess.CompletedProcess[str]:
    return place.run("sh", "-c", f"cd /repos && {script}", profiles=profiles)


def works(place: Place, *profiles: str) -> None:
    fresh(place)
    script = f"git clone -q origin.git copy && cd copy && echo hello >greeting && git add greeting && {COMMIT} -m first"
    done = shell(place, f"{script} && git push -q origin HEAD:main && git log --format=%s", *profiles)
    assert (done.returncode, done.stdout) == (0, "first\n"), done.stderr
    seen = place.outside("git", "-C", "work/origin.git", "show", "main:greeting")
    assert seen.stdout == "hello\n", seen.stderr


def test_it_clones_commits_and_pushes(user: User | None) -> None:
    with repositories(user, direct=False) as place:
        works(place)


def test_what_a_repository_brings_along_gets_no_further(user: User | None) -> None:
    """A hook, a program as an editor, and an alias that is a shell command."""
    with repositories(user) as place:
        works(place)
        hook = "printf '#!/bin/sh\\ntouch /repos/hooked\\n' >.git/hooks/pre-commit && chmod 755 .git/hooks/pre-commit"
        done = shell(place, f"cd copy && {hook} && {COMMIT} --allow-empty -m second && ls /repos")
        assert (done.returncode, done.stdout) == (0, "copy\norigin.git\n"), done.stderr
        for attempt, words in {
            "touch /usr/bin/evil": "Read-only file system",
            "cat /root/.ssh/id_rsa": "No such file",
            "exec 3<>/dev/tcp/127.0.0.1/9": "",
            ".git/hooks/pre-commit": "Permission denied",
        }.items():
            script = (
                f"cd copy && git config alias.x {attempt!r} && git config alias.y '!bash -c \"$(git config alias.x)\"'"
            )
            tried = shell(place, f"{script} && git y")
            assert tried.returncode != 0, attempt
            assert words in tried.stderr


def test_nothing_on_the_page_can_be_left_out() -> None:
    with repositories(None) as place:
        assert unneeded(place, works) == []


def test_the_shipped_profile_needs_no_exception(user: User | None) -> None:
    with repositories(user) as place:
        idmap = ":idmap" if user is None else ""
        place.file("volume.toml", f'[rootfs]\nvolumes.add = ["./work:/repos{idmap}"]\n')
        works(place, "build", "./volume.toml")
