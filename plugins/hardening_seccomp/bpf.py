"""Classic BPF programs of seccomp: decoding, the kernel's own checks, and evaluation.

Sources: linux/filter.h, ``bpf_check_classic`` (net/core/filter.c), ``seccomp_check_filter`` (kernel/seccomp.c) and
seccomp(2). Numbers are unsigned and 32 bits wide, as in the kernel.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from hardening.base.values import frozen
from hardening.errors import SpecError
from hardening_seccomp.actions import Action, from_returned

MAX_INSTRUCTIONS = 4096
MEMORY_WORDS = 16
DATA_SIZE = 64  # struct seccomp_data: nr, arch, instruction pointer (64 bits), six arguments (64 bits)
LITTLE_ENDIAN = 0x40000000  # __AUDIT_ARCH_LE
NUMBER, ARCHITECTURE = 0, 4  # offsets in struct seccomp_data
WORD = 32  # bits
U32 = 0xFFFFFFFF

LD_ABS, LD_LEN, LD_IMM, LD_MEM = 0x20, 0x80, 0x00, 0x60
LDX_LEN, LDX_IMM, LDX_MEM = 0x81, 0x01, 0x61
ST, STX, TAX, TXA = 0x02, 0x03, 0x07, 0x87
RET_K, RET_A, JA, NEG = 0x06, 0x16, 0x05, 0x84
JEQ, JGT, JGE, JSET = 0x10, 0x20, 0x30, 0x40
ADD, SUB, MUL, DIV, OR, AND, LSH, RSH, XOR = 0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xA0
CLASS, OPERATION, FROM_X = 0x07, 0xF0, 0x08
ALU, JMP = 0x04, 0x05

_CONDITIONAL = frozenset(JMP | op | source for op in (JEQ, JGT, JGE, JSET) for source in (0, FROM_X))
_ARITHMETIC = frozenset(
    ALU | op | source for op in (ADD, SUB, MUL, DIV, OR, AND, LSH, RSH, XOR) for source in (0, FROM_X)
)
_PLAIN = frozenset(
    {LD_ABS, LD_LEN, LD_IMM, LD_MEM, LDX_LEN, LDX_IMM, LDX_MEM, ST, STX, TAX, TXA, RET_K, RET_A, JA, NEG}
)
_KNOWN = _PLAIN | _CONDITIONAL | _ARITHMETIC


@frozen
class Instruction:
    """One ``struct sock_filter``."""

    code: int
    jt: int
    jf: int
    k: int


Program = tuple[Instruction, ...]


@frozen(eq=False)
class FilterResult:
    """What a program answered, and how many instructions it took."""

    action: Action
    executed: int


def decode(data: bytes, *, origin: object | None = None) -> Program:
    """The program in ``data`` (native byte order), checked as the kernel checks it; else `SpecError`."""
    if len(data) % 8:
        raise SpecError("a BPF program is a multiple of 8 bytes", origin=origin)
    program = tuple(Instruction(*fields) for fields in struct.iter_unpack("=HBBI", data))
    validate(program, origin=origin)
    return program


def encode(program: Program) -> bytes:
    """The inverse of `decode`."""
    return b"".join(struct.pack("=HBBI", item.code, item.jt, item.jf, item.k) for item in program)


def validate(program: Program, *, origin: object | None = None) -> None:
    """Raise `SpecError` for what the kernel would refuse with EINVAL."""
    if not 0 < len(program) <= MAX_INSTRUCTIONS:
        raise SpecError(f"a BPF program has 1 to {MAX_INSTRUCTIONS} instructions, not {len(program)}", origin=origin)
    for index, item in enumerate(program):
        problem = _problem(item, len(program) - index - 1)
        if problem:
            raise SpecError(f"BPF instruction {index}: {problem}", origin=origin)
    if program[-1].code not in (RET_K, RET_A):
        raise SpecError("a BPF program ends with a return", origin=origin)
    unstored = _reads_before_store(program)
    if unstored is not None:
        raise SpecError(f"BPF instruction {unstored}: reads memory that may not have been stored", origin=origin)


def _problem(item: Instruction, following: int) -> str | None:
    """What is wrong with one instruction that has ``following`` instructions after it."""
    if item.code not in _KNOWN:
        return f"opcode {item.code:#x} is not allowed in a seccomp filter"
    if item.code == LD_ABS and (item.k >= DATA_SIZE or item.k & 3):
        return f"offset {item.k} is outside seccomp_data or not a multiple of 4"
    if item.code in (LD_MEM, LDX_MEM, ST, STX) and item.k >= MEMORY_WORDS:
        return f"memory word {item.k} does not exist"
    if item.code == ALU | DIV and item.k == 0:
        return "division by zero"
    if item.code in (ALU | LSH, ALU | RSH) and item.k >= 32:
        return "shift by more than 31"
    if item.code == JA and item.k >= following:
        return "jump past the end"
    if item.code in _CONDITIONAL and max(item.jt, item.jf) >= following:
        return "jump past the end"
    return None


def _reads_before_store(program: Program) -> int | None:
    """The first instruction that reads a word not stored on every path to it (``check_load_and_stores``)."""
    every = (1 << MEMORY_WORDS) - 1
    valid = [every] * len(program)
    stored = 0
    for index, item in enumerate(program):
        stored &= valid[index]
        if item.code in (ST, STX):
            stored |= 1 << item.k
        elif item.code in (LD_MEM, LDX_MEM):
            if not stored >> item.k & 1:
                return index
        elif item.code == JA or item.code in _CONDITIONAL:
            distances = (item.k,) if item.code == JA else (item.jt, item.jf)
            for distance in distances:
                valid[index + 1 + distance] &= stored
            stored = every
    return None


def seccomp_data(arch: int, number: int, arguments: Sequence[int], pointer: int = 0) -> tuple[int, ...]:
    """``struct seccomp_data`` as sixteen 32-bit words in the word order of ``arch`` (an AUDIT_ARCH_* token)."""
    little = bool(arch & LITTLE_ENDIAN)
    words = [number & U32, arch & U32]
    for value in (pointer, *arguments):
        low, high = value & U32, value >> 32 & U32
        words += (low, high) if little else (high, low)
    return tuple(words + [0] * (16 - len(words)))


def evaluate(program: Program, arch: int, number: int, arguments: Sequence[int] = (), pointer: int = 0) -> FilterResult:
    """What a checked program answers to one system call; up to six arguments of 64 bits."""
    data = seccomp_data(arch, number, arguments, pointer)
    accumulator = index_register = 0
    memory = [0] * MEMORY_WORDS
    at = executed = 0
    while True:
        item = program[at]
        code, k = item.code, item.k
        at += 1
        executed += 1
        if code == LD_ABS:
            accumulator = data[k >> 2]
        elif code in _CONDITIONAL:
            right = index_register if code & FROM_X else k
            at += item.jt if holds(code & OPERATION, accumulator, right) else item.jf
        elif code in (RET_K, RET_A):
            return FilterResult(from_returned(k if code == RET_K else accumulator), executed)
        elif code == JA:
            at += k
        elif code == NEG:
            accumulator = -accumulator & U32
        elif code in _ARITHMETIC:
            right = index_register if code & FROM_X else k
            if code & OPERATION == DIV and right == 0:
                return FilterResult(from_returned(0), executed)  # the kernel ends the program with 0
            accumulator = _compute(code & OPERATION, accumulator, right)
        elif code == ST:
            memory[k] = accumulator
        elif code == STX:
            memory[k] = index_register
        elif code == TAX:
            index_register = accumulator
        elif code & CLASS == 1:
            index_register = {LDX_LEN: DATA_SIZE, LDX_IMM: k}.get(code, memory[k % MEMORY_WORDS])
        else:
            accumulator = {LD_LEN: DATA_SIZE, LD_IMM: k, TXA: index_register}.get(code, memory[k % MEMORY_WORDS])


def holds(operation: int, left: int, right: int) -> bool:
    """Whether a conditional jump (`JEQ`, `JGT`, `JGE` or `JSET`) is taken."""
    if operation == JEQ:
        return left == right
    if operation == JGT:
        return left > right
    if operation == JGE:
        return left >= right
    return left & right != 0


def _compute(operation: int, left: int, right: int) -> int:
    if operation == ADD:
        value = left + right
    elif operation == SUB:
        value = left - right
    elif operation == MUL:
        value = left * right
    elif operation == DIV:
        value = left // right
    elif operation == OR:
        value = left | right
    elif operation == AND:
        value = left & right
    elif operation == XOR:
        value = left ^ right
    else:
        value = left << (right & 31) if operation == LSH else left >> (right & 31)
    return value & U32
