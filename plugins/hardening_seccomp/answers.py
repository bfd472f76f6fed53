"""The exact meaning of a whole program: what it answers to every number of every architecture, whatever the arguments.

A program tells numbers apart by comparing them with constants, so between two neighbouring constants all are alike. Sets
of such stretches walk through the program together, each instruction once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from hardening.base.values import frozen
from hardening.errors import SpecError
from hardening_seccomp import bpf
from hardening_seccomp.actions import from_returned
from hardening_seccomp.conditions import Rule
from hardening_seccomp.diagrams import constant
from hardening_seccomp.spans import Span, joined
from hardening_seccomp.symbolic import Word, load, meaning

_ANY = "any number"
#: What was loaded last: nothing known, the number, a word that is known, or half of an argument.
Loaded = None | str | int | Word
#: Stretches of numbers, one bit each.
Stretches = int


@frozen(eq=False)
class AnswerReader:
    """A program, and where the stretches of numbers and of architectures begin that it tells apart."""

    program: bpf.Program
    numbers: Sequence[int]
    architectures: Sequence[int]

    @classmethod
    def of(cls, program: bpf.Program) -> AnswerReader:
        """Read a checked program."""
        compared = _compared(program)
        return cls(program, *(_starts(compared[offset]) for offset in (bpf.NUMBER, bpf.ARCHITECTURE)))

    def answers(self, arch: int) -> tuple[Span, ...]:
        """The answers to all numbers on one architecture; `SpecError` where the program does more than compare."""
        waiting: list[dict[Loaded, Stretches]] = [{} for _ in self.program]
        waiting[0][None] = (1 << len(self.numbers)) - 1
        rules: dict[int, Rule] = {}
        for at, states in enumerate(waiting):
            for loaded, stretches in states.items():
                item = self.program[at]
                if item.code == bpf.RET_K:
                    answer = constant(from_returned(item.k))
                    rules |= dict.fromkeys(_members(stretches), answer)
                elif isinstance(loaded, Word) or (loaded is None and item.code != bpf.LD_ABS and item.code != bpf.JA):
                    start = (at, loaded if isinstance(loaded, Word) else None)
                    rules |= {one: meaning(self.program, arch, self.numbers[one], start) for one in _members(stretches)}
                else:
                    for target, then, members in self._step(at, loaded, stretches, arch):
                        waiting[target][then] = waiting[target].get(then, 0) | members
        return joined((first, rules[one]) for one, first in enumerate(self.numbers))

    def _step(
        self, at: int, loaded: Loaded, stretches: Stretches, arch: int
    ) -> Iterator[tuple[int, Loaded, Stretches]]:
        """Where one instruction leads: position, what is loaded there, and which stretches go that way."""
        item = self.program[at]
        if item.code == bpf.LD_ABS:
            yield at + 1, _ANY if item.k == bpf.NUMBER else load(item.k, arch, (0, arch)), stretches
        elif item.code == bpf.JA:
            yield at + 1 + item.k, loaded, stretches
        elif item.code & (bpf.CLASS | bpf.FROM_X) != bpf.JMP:
            raise SpecError(f"BPF instruction {at} does more than compare: its meaning cannot be proved")
        elif isinstance(loaded, int):
            held = bpf.holds(item.code & bpf.OPERATION, loaded, item.k)
            yield at + 1 + (item.jt if held else item.jf), loaded, stretches
        else:
            held_by = self._holding(item, at)
            for members, jump in ((stretches & held_by, item.jt), (stretches & ~held_by, item.jf)):
                if members:
                    yield at + 1 + jump, loaded, members

    def _holding(self, item: bpf.Instruction, at: int) -> Stretches:
        """The stretches of numbers for which a comparison holds."""
        operation = item.code & bpf.OPERATION
        if operation == bpf.JSET:
            if not _is_high_bit(item.k):
                raise SpecError(f"BPF instruction {at} tests bits of a number: its meaning cannot be proved")
            return sum(1 << index for index, first in enumerate(self.numbers) if first & item.k)
        if operation == bpf.JGE:
            return ~self._below(item.k)
        if operation == bpf.JGT:
            return ~self._below(item.k + 1)
        return self._below(item.k + 1) & ~self._below(item.k)

    def _below(self, bound: int) -> Stretches:
        return (1 << bisect_left(self.numbers, bound)) - 1


def _is_high_bit(mask: int) -> bool:
    """Whether a mask is one bit that divides all numbers into few stretches, as runc asks for the bit of x32."""
    return mask.bit_count() == 1 and mask >= 1 << 24


def _compared(program: bpf.Program) -> dict[int, set[int]]:
    """The constants with which a program compares the number and the architecture, by offset."""
    found: dict[int, set[int]] = {bpf.NUMBER: set(), bpf.ARCHITECTURE: set()}
    loaded: list[set[int]] = [set() for _ in program]
    for at, item in enumerate(program):
        conditional = item.code & bpf.CLASS == bpf.JMP and item.code != bpf.JA
        here = {item.k} if item.code == bpf.LD_ABS else loaded[at]
        if conditional:
            tested = item.code & bpf.OPERATION == bpf.JSET and _is_high_bit(item.k)
            for offset in here & found.keys():
                found[offset] |= set(range(item.k, 1 << bpf.WORD, item.k)) if tested else {item.k}
        jumps = (item.jt, item.jf) if conditional else (item.k if item.code == bpf.JA else 0,)
        if item.code not in (bpf.RET_K, bpf.RET_A):
            for jump in jumps:
                loaded[at + 1 + jump] |= here
    return found


def _starts(constants: set[int]) -> Sequence[int]:
    edges = {0} | {edge for one in constants for edge in (one, one + 1)}
    return sorted(edge for edge in edges if edge <= bpf.U32)


def _members(stretches: Stretches) -> Iterator[int]:
    while stretches:
        lowest = stretches & -stretches
        yield lowest.bit_length() - 1
        stretches ^= lowest
