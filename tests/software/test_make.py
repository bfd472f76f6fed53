"""make and gcc build a program that runs, and what a Makefile does beyond that reaches nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.software.harness import Place, placed, unneeded
from tests.support.users import User

pytestmark = pytest.mark.system

MAKEFILE = (
    "hello: hello.o\n\t$(CC) -o $@ $<\nhello.o: hello.c\n\t$(CC) -O2 -Wall -c -o $@ $<\nclean:\n\trm -f hello *.o\n"
)


@contextmanager
def sources(user: User | None, *, direct: bool = True) -> Iterator[Place]:
    with placed("make", user, direct=direct) as place:
        place.folders("src")
        (place.folder / "hello.c").rename(place.folder / "src/hello.c")
        place.file("src/Makefile", MAKEFILE)
        yield place


def works(place: Place, *profiles: str) -> None:
    done = place.run("make", "-s", "-j2", "-C", "/src", "clean", "hello", profiles=profiles)
    assert done.returncode == 0, done.stderr
    assert place.run("/src/hello", profiles=profiles).stdout == "hello\n"


def test_it_builds_what_runs(user: User | None) -> None:
    with sources(user, direct=False) as place:
        works(place)


def test_a_makefile_gets_no_further(user: User | None) -> None:
    with sources(user) as place:
        attempts = {
            "write": ("cp /bin/true /usr/bin/evil", "Read-only file system"),
            "temporary": ("cp /bin/true /tmp/evil && /tmp/evil", "ermission denied"),
            "secret": (f"cat {place.folder}/secret", "No such file"),
            "network": ("bash -c 'exec 3<>/dev/tcp/127.0.0.1/9'", ""),
            "gain": ("unshare --user --map-root-user true", ""),
        }
        place.file("secret", "secret\n")
        place.file("src/Makefile", "".join(f"{name}:\n\t{command}\n" for name, (command, _) in attempts.items()))
        for name, (_, words) in attempts.items():
            tried = place.run("make", "-s", "-C", "/src", name)
            assert tried.returncode == 2, name
            assert words in tried.stderr


@pytest.mark.complete
def test_nothing_on_the_page_can_be_left_out() -> None:
    with sources(None) as place:
        assert unneeded(place, works) == []


def test_the_shipped_profile_needs_no_exception(user: User | None) -> None:
    with sources(user) as place:
        idmap = ":idmap" if user is None else ""
        place.file("volume.toml", f'[rootfs]\nvolumes.add = ["./src:/src{idmap}"]\n')
        works(place, "build", "./volume.toml")
