"""The exact meaning of a compiled program: for one system call number, the answer to *every* argument vector.

Programs that libseccomp writes load words, mask them and compare them with constants. Walking all paths and joining them
in a diagram gives equality of program and model, where a simulation could only sample it.
"""

from __future__ import annotations

from functools import lru_cache

import attrs

from hardening.base.values import frozen
from hardening.errors import SpecError
from hardening_seccomp import bpf
from hardening_seccomp.actions import Action, from_returned
from hardening_seccomp.diagrams import (
    WIDTH,
    Diagram,
    DiagramBuilder,
    at_least,
    constant,
    masked_equal,
    negation,
    select,
)

_FIRST_ARGUMENT = 16


@frozen
class Word:
    """Half of an argument, masked: ``argument >> shift & mask``."""

    argument: int
    shift: int
    mask: int = bpf.U32


#: Where a program stands, and what it last loaded; None where that is unknown.
State = tuple[int, int | Word | None]


@frozen(eq=False)
class Branch:
    """A test of an argument, and the states after it."""

    test: Diagram[bool]
    then: State
    otherwise: State


def meaning(program: bpf.Program, arch: int, number: int, start: State = (0, None)) -> Diagram[Action]:
    """The answers of a checked program to ``number`` on ``arch``, from ``start`` on; `SpecError` where it computes with
    arguments."""
    concrete = bpf.seccomp_data(arch, number, ())
    steps: dict[State, Diagram[Action] | Branch] = {}
    waiting: list[State] = [start]
    while waiting:
        state = waiting.pop()
        if state not in steps:
            steps[state] = found = _run(program, state, arch, concrete)
            if isinstance(found, Branch):
                waiting += [found.then, found.otherwise]
    done: dict[State, Diagram[Action]] = {}
    # Jumps only go forward, so a later start never depends on an earlier one.
    for state in sorted(steps, key=lambda item: item[0], reverse=True):
        found = steps[state]
        done[state] = (
            _joined(found.test, done[found.then], done[found.otherwise]) if isinstance(found, Branch) else found
        )
    return done[start]


@lru_cache(maxsize=4096)  # a tree and a chain of the same rules, and calls with equal rules, join the same parts
def _joined(test: Diagram[bool], then: Diagram[Action], otherwise: Diagram[Action]) -> Diagram[Action]:
    return select(test, then, otherwise)


def _run(program: bpf.Program, state: State, arch: int, concrete: tuple[int, ...]) -> Diagram[Action] | Branch:
    """Go on from a state to the return, or to the first test of an argument."""
    at, accumulator = state
    while True:
        item = program[at]
        at += 1
        if item.code == bpf.RET_K:
            return constant(from_returned(item.k))
        if item.code == bpf.JA:
            at += item.k
        elif item.code == bpf.LD_ABS:
            accumulator = load(item.k, arch, concrete)
        elif item.code == bpf.ALU | bpf.AND and accumulator is not None:
            accumulator = _mask(accumulator, item.k)
        elif item.code & (bpf.CLASS | bpf.FROM_X) == bpf.JMP and isinstance(accumulator, int):
            # Most tests are of the number and the architecture, which are known: no diagram is needed.
            at += item.jt if bpf.holds(item.code & bpf.OPERATION, accumulator, item.k) else item.jf
        elif item.code & (bpf.CLASS | bpf.FROM_X) == bpf.JMP and isinstance(accumulator, Word):
            test = _test(item, accumulator)
            if not test.is_constant:
                return Branch(test, (at + item.jt, accumulator), (at + item.jf, accumulator))
            at += item.jt if test.leaves[0] else item.jf
        else:
            raise SpecError(f"BPF instruction {at - 1} does more than compare: its meaning cannot be proved")


def load(offset: int, arch: int, concrete: tuple[int, ...]) -> int | Word | None:
    """The loaded word; None for the instruction pointer, which no filter of ours may depend on."""
    if offset < _FIRST_ARGUMENT:
        return concrete[offset // 4] if offset < 8 else None
    argument, half = divmod(offset - _FIRST_ARGUMENT, 8)
    upper = bool(half) == bool(arch & bpf.LITTLE_ENDIAN)
    return Word(argument, bpf.WORD if upper else 0)


def _mask(value: int | Word, mask: int) -> int | Word:
    if isinstance(value, int):
        return value & mask
    return attrs.evolve(value, mask=value.mask & mask) if value.mask & mask else 0


@lru_cache(maxsize=1024)
def _test(item: bpf.Instruction, value: Word) -> Diagram[bool]:
    operation = item.code & bpf.OPERATION
    if operation == bpf.JEQ:
        return masked_equal(value.argument, value.mask << value.shift, item.k << value.shift)
    if operation == bpf.JSET:
        return negation(masked_equal(value.argument, (value.mask & item.k) << value.shift, 0))
    bound = item.k if operation == bpf.JGE else item.k + 1
    return _masked_at_least(value, bound)


def _masked_at_least(value: Word, bound: int) -> Diagram[bool]:
    """Where the masked half is ``>= bound``."""
    if value.mask == bpf.U32:
        return at_least(value.argument, bound, shift=value.shift, width=bpf.WORD)
    if bound >> bpf.WORD:
        return constant(False)
    builder: DiagramBuilder[bool] = DiagramBuilder()
    no, yes = builder.leaf(False), builder.leaf(True)
    ref = yes
    for position in range(bpf.WORD):
        wanted = bound >> position & 1
        if value.mask >> position & 1:
            bit = value.argument * WIDTH + WIDTH - 1 - position - value.shift
            ref = builder.branch(bit, no, ref) if wanted else builder.branch(bit, ref, yes)
        elif wanted:
            ref = no  # a masked bit is 0 and stays below the bound
    return builder.finish(ref)
