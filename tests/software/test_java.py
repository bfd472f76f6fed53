"""Java compiles and runs a program with several threads, and its code gets no further."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.software.harness import Place, placed, unneeded
from tests.support.users import User

pytestmark = pytest.mark.system

HOSTILE = """
import java.nio.file.*;
import java.net.*;

public class Hostile {
    interface Attempt { Object run() throws Exception; }
    static void attempt(String name, Attempt attempt) {
        String result;
        try { result = String.valueOf(attempt.run()); }
        catch (Exception error) { result = error.getClass().getSimpleName(); }
        System.out.println(name + ": " + result);
    }
    public static void main(String[] a) {
        attempt("write", () -> Files.writeString(Path.of("/app/Sum.java"), ""));
        attempt("system", () -> Files.writeString(Path.of("/usr/evil"), ""));
        attempt("secret", () -> Files.readString(Path.of(a[0])));
        attempt("network", () -> new Socket("127.0.0.1", 9));
        attempt("program", () -> {
            Files.copy(Path.of("/bin/true"), Path.of("/tmp/true"), StandardCopyOption.COPY_ATTRIBUTES);
            return new ProcessBuilder("/tmp/true").start().waitFor();
        });
        attempt("processes", () -> ProcessHandle.allProcesses().count());
    }
}
"""


@contextmanager
def program(user: User | None, *, direct: bool = True) -> Iterator[Place]:
    with placed("java", user, direct=direct) as place:
        place.folders("app")
        (place.folder / "Sum.java").rename(place.folder / "app/Sum.java")
        yield place


def works(place: Place, *profiles: str) -> None:
    done = place.run("java", "/app/Sum.java", profiles=profiles)
    assert (done.returncode, done.stdout) == (0, "31996000\n"), done.stderr


def test_it_compiles_and_runs_threads(user: User | None) -> None:
    with program(user, direct=False) as place:
        works(place)


def test_its_code_gets_no_further(user: User | None) -> None:
    with program(user) as place:
        place.file("app/Hostile.java", HOSTILE)
        place.file("secret", "secret\n")
        done = place.run("java", "/app/Hostile.java", str(place.folder / "secret"))
        assert done.returncode == 0, done.stderr
        assert dict(re.findall(r"^(\w+): (.*)$", done.stdout, re.MULTILINE)) == {
            "write": "FileSystemException",
            "system": "FileSystemException",
            "secret": "NoSuchFileException",
            "network": "SocketException",
            "program": "IOException",
            "processes": "1",
        }


@pytest.mark.complete
def test_nothing_on_the_page_can_be_left_out() -> None:
    with program(None) as place:
        assert unneeded(place, works) == []


def test_the_shipped_profile_needs_no_exception(user: User | None) -> None:
    with program(user) as place:
        place.file("volume.toml", '[rootfs]\nvolumes.add = ["./app:/app:ro"]\n')
        works(place, "default", "./volume.toml")
