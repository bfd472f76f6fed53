"""What a program comes to in most of its runs, as its branches show it: of programs made for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardening.elf.branches import usual
from hardening.elf.closure import LinkingRoot
from hardening.elf.reach import reached
from tests.support import elves

START = (
    "#define _GNU_SOURCE\n#include <unistd.h>\n#include <sys/syscall.h>\n#include <stdlib.h>\n#include <string.h>\n"
    "#include <stdio.h>\n__attribute__((noinline)) static long new(void) { return syscall(SYS_userfaultfd, 0); }\n"
)
#: One for all: it remembers the C library, which takes longer to look through than any of these programs.
HERE = LinkingRoot(("/",))
#: Of many: what most take out of a table, and what only some do.
OPTIONS = "switch (v[1][0]) { " + "".join(f"case {n}: puts(v[{n}]); break; " for n in range(60, 80))


def names(path: Path) -> set[str]:
    linked = HERE.linked(str(path))
    found = reached(linked)
    assert "userfaultfd" in elves.names(found.calls)
    return elves.names(dict.fromkeys(usual(linked, found.calls.keys())))


@pytest.mark.sampled("body", "flags")
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return new();", True),
        ('if (n > 9) { fputs("too many", stderr); exit(1); } return new();', True),
        ("for (int i = 1; i < n; i++) puts(v[i]); return new();", True),
        ("if (n > 1) { puts(v[1]); return new(); } return new() + 1;", True),
        ("if (n > 1 && v[1][0]) { if (v[1][1]) return new(); } return 0;", False),
        ('if (!strcmp(v[1], "-a")) return 0; if (!strcmp(v[1], "-b")) return new(); return 0;', False),
        (OPTIONS + "case 81: return new(); } return 0;", False),
        (OPTIONS + "} return new();", True),
        ("static long (*const all[])(void) = {new, getpgrp2}; return all[n]();", False),
        ("if (n > 5) { if (n > 6) new(); exit(1); } return 0;", False),
    ],
    ids=[
        "at once", "after a check of usage", "after a loop", "either way", "where two things are so", "an option of two",
        "an option in a table", "after a table", "by a pointer", "before the end alone",
    ],
)  # fmt: skip
@pytest.mark.parametrize("flags", [("-O2",), ("-O0",)], ids=["optimised", "plain"])
def test_what_most_ways_lead_to_is_usual(tmp_path: Path, body: str, expected: bool, flags: tuple[str, ...]) -> None:
    other = "static long getpgrp2(void) { return getpgrp(); }\n"
    program = elves.compiled(tmp_path, f"{START}{other}int main(int n, char **v) {{ {body} }}", "-Wno-all", *flags)
    assert ("userfaultfd" in names(program)) is expected


def test_what_a_library_does_of_itself_counts_as_done(tmp_path: Path) -> None:
    source = "#include <unistd.h>\n#include <sys/syscall.h>\nlong syscall(long, ...);\n"
    library = "long turn(int n) { if (n > 3) if (n > 7) return syscall(SYS_userfaultfd, 0); return 0; }"
    elves.compiled(tmp_path, source + library, "-shared", "-fPIC", name="libturn.so")
    bodies = ("one", "return turn(n);", True), ("two", "return v[1][0] && v[2][0] ? turn(n) : 0;", False)
    for name, body, expected in bodies:
        path = elves.compiled(
            tmp_path, f"long turn(int); int main(int n, char **v) {{ {body} }}", f"-L{tmp_path}", "-lturn",
            f"-Wl,-rpath,{tmp_path}", name=name,
        )  # fmt: skip
        assert ("userfaultfd" in names(path)) is expected, name


def test_what_every_program_uses_of_the_c_library_says_nothing_of_one(tmp_path: Path) -> None:
    source = f"{START}int main(int n, char **v) {{ puts(v[0]); free(malloc(n)); return new(); }}"
    assert names(elves.compiled(tmp_path, source)) == {"userfaultfd"}


def test_what_ends_the_process_does_so_however_deep_it_was_met_before(tmp_path: Path) -> None:
    chain = "static void x(void) { exit(1); } static void l(void) { x(); } static void k(void) { l(); }"
    chain += "static void c(int n) { if (n > 70) k(); } static void b(int n) { c(n); }"
    chain += "static int a(int n) { b(n); return n > 7 && n > 8 && n > 9 ? new() : 0; }"
    chain += "static int f(int n) { if (n > 1) { k(); return 0; } if (n < 0) return new(); return 0; }"
    for name, body in ("one", "a(n); return f(n);"), ("two", "f(n); return a(n);"):
        source = f"{START}{chain}int main(int n, char **v) {{ {body} }}"
        assert names(elves.compiled(tmp_path, source, "-O0", name=name)) == {"userfaultfd"}, name


def test_nothing_shows_what_a_library_is_used_for(tmp_path: Path) -> None:
    path = elves.compiled(
        tmp_path, f"{START}long turn(void) {{ return new(); }}", "-shared", "-fPIC", name="libturn.so"
    )
    assert names(path) == set()
