"""The numbers of system calls, followed backwards: of aarch64, too, whose code is written here by hand."""

from __future__ import annotations

import pytest

from hardening.elf import file
from hardening.elf.binary import Binary
from hardening.elf.closure import Linked
from hardening.elf.malformed import TooMuchCode
from hardening.elf.numbers import EFFORT, Effort, Tracer
from hardening.elf.reach import reached
from tests.support import elfwriter

SVC, RET, NOP = 0xD4000001, 0xD65F03C0, 0xD503201F


def calls(code: bytes, machine: str, entry: int = 0) -> tuple[set[int], int]:
    """The numbers that are found, and how many functions compute one."""
    binary = Binary("/program", file.parse(memoryview(elfwriter.program(code, machine, entry))))
    found = reached(Linked((binary,)))
    return set(found.calls), sum(found.computed.values())


def moved(register: int, value: int) -> int:
    """mov xN, #value"""
    return 0xD2800000 | value << 5 | register


def branched(by: int) -> int:
    """bl to so many instructions from here"""
    return 0x94000000 | (by & 0x3FFFFFF)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (elfwriter.words(moved(8, 428), SVC, RET), ({428}, 0)),
        (elfwriter.words(moved(1, 425), NOP, 0xAA0103E8, SVC, RET), ({425}, 0)),  # mov x8, x1
        # A function that gets the number as its first argument, called twice by the one before it.
        (
            elfwriter.words(moved(0, 430), branched(4), moved(0, 431), branched(2), RET, 0xAA0003E8, SVC, RET),
            ({430, 431}, 0),
        ),
        (elfwriter.words(0x8B010008, SVC, RET), (set(), 1)),  # add x8, x0, x1
    ],
    ids=["constant", "moved", "argument", "computed"],
)
def test_numbers_of_aarch64_are_found(code: bytes, expected: tuple[set[int], int]) -> None:
    assert calls(code, "aarch64") == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (b"\xb8\xac\x01\0\0\x0f\x05\xc3", ({428}, 0)),  # mov eax, 428
        (b"\x68\xac\x01\0\0\x58\x0f\x05\xc3", ({428}, 0)),  # push 428; pop rax
        (b"\x31\xc0\x0f\x05\xc3", ({0}, 0)),  # xor eax, eax
        (
            b"\xb8\x01\0\0\0\xeb\x05\xb8\x02\0\0\0\x0f\x05\xc3",
            ({1, 2}, 0),
        ),  # a table may lead there
        (b"\xb8\x01\0\0\0\x74\x05\xb8\x02\0\0\0\x0f\x05\xc3", ({1, 2}, 0)),  # jz
        (b"\xb8\x0f\x05\xc3\0\xc3", (set(), 0)),  # what looks like one inside of another instruction
        (b"\x48\x8b\x07\x0f\x05\xc3", (set(), 1)),  # mov rax, [rdi]
    ],
    ids=["constant", "pushed", "zero", "jump", "branch", "inside", "computed"],
)
def test_numbers_of_x86_64_are_found(code: bytes, expected: tuple[set[int], int]) -> None:
    assert calls(code, "x86_64") == expected


def test_instructions_that_are_too_many_leave_the_operands_of_others_readable() -> None:
    elf = file.parse(memoryview(elfwriter.program(elfwriter.words(moved(8, 428), SVC, RET), "aarch64", 0)))
    effort = Effort(EFFORT)
    tracer, start = Tracer(elf, effort), elf.functions[0]
    with pytest.raises(TooMuchCode):
        tracer.instructions(start)
    effort.places = 0
    found = tracer.number(start + 4)
    assert found is not None
    assert found.constants == {428}
