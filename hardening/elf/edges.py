"""What machine code refers to, found by the form of its instructions: calls, jumps, and addresses that it takes.

Each place of the code is tried as an instruction, at all bytes for x86-64. What looks like a call by accident leads to the
beginning of a function with a probability of one in a million: who asks for those is not misled. Source: Intel SDM volume 2,
Arm ARM C6.2.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from hardening.elf.file import ElfFile

#: A call of an address, or a jump there; a jump of one byte, which looks like one by accident often enough to be held
#: against the instructions before it; an address that is taken; and a pointer that is loaded from one.
CALL, JUMP, SHORT, TAKE, LOAD = "call", "jump", "short", "take", "load"
Edge = tuple[str, int, int]

_X86 = re.compile(
    rb"(?s)(?=\xe8(?P<call>.{4})|(?:\xe9|\x0f[\x80-\x8f])(?P<jump>.{4})|[\x70-\x7f\xeb](?P<short>.)"
    rb"|\x8d[\x05\x0d\x15\x1d\x25\x2d\x35\x3d](?P<take>.{4})|[\x8b\xff\x3b\x39][\x05\x0d\x15\x1d\x25\x2d\x35\x3d](?P<load>.{4}))"
)
#: An address as a constant, which code that lies at a fixed place has.
_X86_FIXED = re.compile(rb"(?s)(?=(?:[\xb8-\xbf]|\xc7[\xc0-\xc7]|\x68)(?P<constant>.{4}))")
_X86_SYSCALL, _ARM_SYSCALL = b"\x0f\x05", b"\x01\x00\x00\xd4"
_MASK = (1 << 64) - 1


def edges(elf: ElfFile) -> Iterator[Edge]:
    """Each `CALL`, `JUMP`, `TAKE` and `LOAD` of a file: where it stands, and the address."""
    for start, content in elf.code:
        if elf.machine == "x86_64":
            yield from _x86(start, bytes(content), fixed=elf.absolute)
        else:
            yield from _aarch64(start, content)


def system_calls(elf: ElfFile) -> Iterator[int]:
    """Addresses where a system call may be made."""
    for start, content in elf.code:
        data = bytes(content)
        needle, step = (_X86_SYSCALL, 1) if elf.machine == "x86_64" else (_ARM_SYSCALL, 4)
        at = data.find(needle)
        while at >= 0:
            if not at % step:
                yield start + at
            at = data.find(needle, at + 1)


def _x86(start: int, code: bytes, *, fixed: bool) -> Iterator[Edge]:
    for match in _X86.finditer(code):
        group = match.lastgroup or ""
        end = match.end(group)
        target = (start + end + int.from_bytes(match[group], "little", signed=True)) & _MASK
        yield group, start + match.start(), target
    for match in _X86_FIXED.finditer(code) if fixed else ():
        yield TAKE, start + match.start(), int.from_bytes(match["constant"], "little")


def _aarch64(start: int, code: memoryview) -> Iterator[Edge]:
    pages: dict[int, int] = {}  # by register, what `adrp` put there
    for index, (word,) in enumerate(struct.iter_unpack("<I", code[: len(code) & ~3])):
        at = start + 4 * index
        if word & 0x7C000000 == 0x14000000:  # b, bl
            yield CALL if word >> 31 else JUMP, at, at + 4 * _signed(word, 26)
        elif word & 0xFF000010 == 0x54000000:  # b.cond
            yield JUMP, at, at + 4 * _signed(word >> 5, 19)
        elif word & 0x9F000000 == 0x90000000:  # adrp
            pages[word & 31] = (at & ~0xFFF) + (_signed((word >> 3 & 0x1FFFFC) | (word >> 29 & 3), 21) << 12)
        elif word & 0x9F000000 == 0x10000000:  # adr
            yield TAKE, at, at + _signed((word >> 3 & 0x1FFFFC) | (word >> 29 & 3), 21)
        elif word & 0xFFC00000 == 0x91000000 and (word >> 5 & 31) in pages:  # add
            yield TAKE, at, pages[word >> 5 & 31] + (word >> 10 & 0xFFF)
        elif word & 0xFFC00000 == 0xF9400000 and (word >> 5 & 31) in pages:  # ldr
            yield LOAD, at, pages[word >> 5 & 31] + 8 * (word >> 10 & 0xFFF)


def _signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value
