"""The system calls that a program may make: of programs made for it, and of Debian's beside what strace(1) sees of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hardening.elf.closure import LinkingRoot
from hardening.elf.reach import Reached, loaded, reached
from tests.support import elves

MAIN = "#define _GNU_SOURCE\n#include <unistd.h>\n#include <sys/syscall.h>\n#include <stdlib.h>\n"


HERE = LinkingRoot(("/",))


def of(path: Path | str) -> Reached:
    return reached(HERE.linked(str(path)))


@pytest.mark.parametrize("flags", [(), ("-O0",), ("-static",), ("-static-pie",), ("-no-pie",), ("-Os", "-s")])
def test_a_number_given_to_syscall_is_found_however_it_is_linked(tmp_path: Path, flags: tuple[str, ...]) -> None:
    source = (
        MAIN
        + "int main(int n, char **v) { if (n > 1) return syscall(SYS_open_tree, n); return syscall(SYS_fsopen, v); }"
    )
    found = of(elves.compiled(tmp_path, source, *flags))
    assert {"open_tree", "fsopen", "exit_group"} <= elves.names(found.calls)
    assert "fsmount" not in elves.names(found.calls)


@pytest.mark.parametrize("flags", [("-O0",), ("-O2",), ("-Os",)])
def test_a_number_is_followed_through_functions_of_the_program_s_own(tmp_path: Path, flags: tuple[str, ...]) -> None:
    source = MAIN + (
        "__attribute__((noinline)) static long inner(void *a, void *b, long number) { return syscall(number, a, b); }\n"
        "__attribute__((noinline)) static long outer(long number) { return inner(0, 0, number); }\n"
        "int main(void) { return outer(SYS_io_uring_setup) + outer(SYS_pidfd_open); }"
    )
    assert {"io_uring_setup", "pidfd_open"} <= elves.names(of(elves.compiled(tmp_path, source, *flags)).calls)


@pytest.mark.parametrize("flags", [("-fno-inline",), ("-O0", "-fno-inline")])
def test_a_number_that_comes_on_the_stack_is_found(tmp_path: Path, flags: tuple[str, ...]) -> None:
    source = MAIN + (
        "__attribute__((noinline)) static long seventh(long a, long b, long c, long d, long e, long f, long number)"
        "{ return syscall(number, a, b, c, d, e, f); }\n"
        "int main(int n, char **v) { return seventh(n, 2, 3, 4, 5, 6, SYS_memfd_secret); }"
    )
    assert "memfd_secret" in elves.names(of(elves.compiled(tmp_path, source, *flags)).calls)


def test_an_instruction_in_the_program_itself_is_found(tmp_path: Path) -> None:
    source = (
        'static long call(long number) { long got; asm volatile("syscall" : "=a"(got) : "a"(number) : "rcx", "r11"); '
        "return got; }\nint main(void) { return call(428) + call(322); }"
    )
    if os.uname().machine == "x86_64":
        assert {428, 322} <= of(elves.compiled(tmp_path, source)).calls.keys()


def test_a_number_that_is_computed_is_told(tmp_path: Path) -> None:
    found = of(elves.compiled(tmp_path, MAIN + "int main(int n, char **v) { return syscall(atoi(v[1]) * 3); }"))
    assert found.computed[str(tmp_path / "program")] == 1


def test_a_program_is_not_charged_all_of_the_c_library(tmp_path: Path) -> None:
    small = elves.names(of(elves.compiled(tmp_path, MAIN + "int main(void) { return getppid(); }")).calls)
    assert "getppid" in small
    assert small.isdisjoint({"mount", "socket", "reboot", "ptrace", "io_setup", "setns"})


def test_a_call_through_a_table_of_functions_counts(tmp_path: Path) -> None:
    library = MAIN + (
        "static long a(void) { return syscall(SYS_fsopen); }\nstatic long b(void) { return syscall(SYS_mount_setattr); }\n"
        "static long (*table[])(void) = {a, b};\nlong pick(int n) { return table[n & 1](); }\n"
        "long never(void) { return syscall(SYS_reboot); }"
    )
    elves.compiled(tmp_path, library, "-shared", "-fPIC", "-Wl,-soname,libpick.so", name="libpick.so")
    source = "long pick(int);\nint main(int n, char **v) { return pick(n); }"
    program = elves.compiled(tmp_path, source, f"-L{tmp_path}", "-lpick", "-Wl,-rpath,$ORIGIN")
    found = of(program)
    assert {"fsopen", "mount_setattr"} <= elves.names(found.calls)
    assert "reboot" not in elves.names(found.calls)
    way = found.calls[elves.numbers()["fsopen"]]
    assert [(via.path, via.symbol) for via in way] == [(str(program), "pick"), (f"{tmp_path}/libpick.so", "")]


def test_a_library_by_itself_counts_as_a_whole(tmp_path: Path) -> None:
    source = MAIN + "long one(void) { return syscall(SYS_fsopen); }\nlong two(void) { return syscall(SYS_reboot); }"
    assert {"fsopen", "reboot"} <= elves.names(of(elves.compiled(tmp_path, source, "-shared", "-fPIC")).calls)


def test_who_loads_others_at_run_time_is_told(tmp_path: Path) -> None:
    source = "#include <dlfcn.h>\nint main(int n, char **v) { return !dlopen(v[1], RTLD_NOW); }"
    assert of(elves.compiled(tmp_path, source)).loads == (str(tmp_path / "program"),)


TRACED = {
    "cat": "cat /etc/passwd",
    "ls": "ls -lR /etc/apt",
    "cp": "cp /etc/passwd copied",
    "sort": "sort -u /etc/passwd",
    "dd": "dd if=/dev/zero of=/dev/null count=3",
    "git": "git init -q repository",
    "sqlite3": "sqlite3 base 'create table t(a); insert into t values (1); select * from t'",
    "find": "find /etc -name passwd",
    "tar": "tar -cf archive /etc/apt",
    "sh": "sh -c 'ls | sort | head -1'",
    "ps": "ps aux",
}


@pytest.mark.parametrize("name", TRACED)
@pytest.mark.sampled(by="name")
def test_what_a_program_does_is_within_what_it_may_do(tmp_path: Path, name: str) -> None:
    path = shutil.which(name)
    assert path is not None
    log = tmp_path / "log"
    command = ["strace", "-qq", "-o", str(log), *(["sh", "-c", f"exec {TRACED[name]}"])]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    lines = log.read_text().splitlines()
    begun = max(number for number, line in enumerate(lines) if line.startswith("execve("))
    seen = {match[1] for line in lines[begun + 1 :] if (match := re.match(r"(\w+)\(", line))}
    found = elves.names(of(path).calls)
    assert seen - found == set()
    assert len(found) < 200


def test_what_the_dynamic_linker_asks_for_is_no_thread() -> None:
    linked = HERE.linked("/bin/true")
    names = elves.names(dict.fromkeys(loaded(linked)))
    assert {"openat", "mmap"} <= names
    assert not names & {"clone", "clone3"}
    assert loaded(LinkingRoot(("/",)).linked(str(linked.linker.path if linked.linker else ""))) == frozenset()
