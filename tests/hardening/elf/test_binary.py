"""How much of one file is looked at: a hostile one has an end."""

from __future__ import annotations

import pytest

from hardening.elf import file, numbers
from hardening.elf.binary import Binary
from hardening.elf.closure import Linked
from hardening.elf.malformed import InvalidElf, TooMuchCode
from hardening.elf.reach import reached
from tests.support import elfwriter

SYSCALL = b"\x0f\x05"


def look(code: bytes, machine: str = "x86_64") -> Binary:
    binary = Binary("/program", file.parse(memoryview(elfwriter.program(code, machine))))
    reached(Linked((binary,)))
    return binary


@pytest.mark.parametrize(
    ("code", "machine"),
    [
        (SYSCALL * 4000, "x86_64"),
        (b"\xe8\0\0\0\0" * 24_000, "x86_64"),
        (b"\x90" * 3000 + SYSCALL * 10, "x86_64"),
        (elfwriter.words(*[0xD4000001] * 4000), "aarch64"),
    ],
    ids=["calls", "edges", "steps", "aarch64"],
)
def test_code_without_end_is_told_as_that(code: bytes, machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers, "EFFORT", 20_000)
    with pytest.raises(TooMuchCode, match="too much code to look through"):
        look(code, machine)


def test_what_is_looked_at_is_a_count_of_the_file_and_is_the_same_each_time() -> None:
    code = b"\xb8\x27\0\0\0" + SYSCALL + b"\xc3"
    first = look(code * 100)
    assert 0 < first.effort.places == look(code * 100).effort.places
    assert first.effort.places < 10_000


def test_a_file_with_too_much_code_is_not_looked_at_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "CODE", 1000)
    with pytest.raises(TooMuchCode):
        look(SYSCALL * 500)


def test_segments_that_overlap_are_no_more_than_the_file_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "LARGEST", 1000)
    with pytest.raises(InvalidElf, match="larger"):
        look(SYSCALL * 500)
