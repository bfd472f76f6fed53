"""What a library makes now in the place of what it made before."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardening.elf.closure import Linked, LinkingRoot
from hardening.elf.exchange import exchanged
from tests.support import elves

NUMBERS = elves.numbers()
NEW, OLD, OTHER = NUMBERS["linkat"], NUMBERS["link"], NUMBERS["symlink"]
#: What asks the kernel, so that no C library has to be looked through.
RAW = 'static long raw(long n) { __asm__ volatile("syscall" : "+a"(n) :: "rcx", "r11", "memory"); return n; }\n'


def linked(place: Path, library: str) -> Linked:
    """A program that uses `turn` of a library through a pointer alone, and that library."""
    source = "long turn(int);\nlong (*const ways[])(int) = {turn, 0};\nvoid _start(void) { ways[0](1); }"
    flags = (f"-DNEW={NEW}", f"-DOLD={OLD}", "-shared", "-fPIC", "-nostdlib")
    elves.compiled(place, RAW + library, *flags, name="usr/lib/libturn.so")
    own = (f"-L{place}/usr/lib", "-lturn", "-nostdlib", "-Wl,--no-dynamic-linker")
    elves.compiled(place, source, *own, name="usr/bin/demo")
    return LinkingRoot((str(place),)).linked("/usr/bin/demo")


@pytest.mark.parametrize(
    ("now", "instead", "expected"),
    [
        ("long turn(int n) { return raw(NEW); }", {NEW: {OLD}}, {NEW}),
        ("long turn(int n) { return raw(NEW); }", {NEW: {OTHER}}, set()),  # it did something else before
        ("long turn(int n) { return raw(NEW); }", {NEW: set()}, set()),
        ("long turn(int n) { return raw(OLD); }", {NEW: {OLD}}, set()),  # it still does what it did
        (
            "static __attribute__((noinline)) long inner(int n) { return raw(NEW) ? raw(OLD) : n; }\n"
            "long turn(int n) { return inner(n) + 1; }",
            {NEW: {OLD}},
            {NEW},
        ),
        (  # for a symbol that nobody uses
            "long turn(int n) { return raw(OLD); }\nlong other(int n) { return raw(NEW); }",
            {NEW: {OLD}},
            set(),
        ),
    ],
    ids=["exchanged", "something else", "nothing", "the same", "deeper", "unused"],
)
def test_what_a_library_makes_in_the_place_of_another_call(
    tmp_path: Path, now: str, instead: dict[int, set[int]], expected: set[int]
) -> None:
    before = "long turn(int n) { return raw(OLD); }\nlong other(int n) { return raw(OLD); }"
    assert exchanged(linked(tmp_path / "new", now), linked(tmp_path / "old", before), instead) == expected


def test_what_was_made_for_the_symbol_before_is_no_exchange(tmp_path: Path) -> None:
    both = "long turn(int n) { return n ? raw(OLD) : raw(NEW); }"
    new, old = linked(tmp_path / "new", both), linked(tmp_path / "old", both)
    assert exchanged(new, old, {NEW: {OLD}}) == frozenset()
