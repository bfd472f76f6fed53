"""Decision diagrams: exact functions from the six 64-bit arguments of a system call to a small set of values.

A reduced ordered binary decision diagram (Bryant 1986) with any number of leaf values. It tests the bits of argument 0
from the highest to the lowest, then those of argument 1, and so on. Two diagrams describe the same function exactly when
they are equal, so intersection and comparison of filters never depend on how somebody wrote the conditions.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from hardening.base.values import frozen
from hardening.errors import SpecError

ARGUMENTS = 6
WIDTH = 64
BITS = ARGUMENTS * WIDTH
MAX_ARGUMENT = (1 << WIDTH) - 1
MAX_RUNS = 64
#: Of one diagram while it is made: each takes some 300 bytes; those of real filters have less than a thousand.
MAX_BRANCHES = 50_000

L = TypeVar("L", bound=Hashable)
M = TypeVar("M", bound=Hashable)


@frozen
class Diagram(Generic[L]):
    """A function of 384 bits. A reference is ``>= 0`` for ``branches[ref]`` and ``< 0`` for ``leaves[~ref]``.

    ``branches`` holds (bit, reference if 0, reference if 1), children before parents, in the canonical order of `apply`.
    """

    leaves: tuple[L, ...]
    branches: tuple[tuple[int, int, int], ...]
    root: int

    @property
    def is_constant(self) -> bool:
        """Whether the value does not depend on the arguments."""
        return self.root < 0

    def value(self, arguments: Sequence[int]) -> L:
        """The value for six argument words, each 0 <= word < 2**64."""
        ref = self.root
        while ref >= 0:
            bit, low, high = self.branches[ref]
            ref = high if arguments[bit // WIDTH] >> (WIDTH - 1 - bit % WIDTH) & 1 else low
        return self.leaves[~ref]

    def shares(self) -> dict[L, int]:
        """How many of the 2**384 argument vectors lead to each leaf value."""
        counts: list[dict[int, int]] = []
        for bit, low, high in self.branches:
            total: dict[int, int] = {}
            for ref in (low, high):
                depth = self.branches[ref][0] if ref >= 0 else BITS
                below = counts[ref] if ref >= 0 else {ref: 1}
                for leaf, count in below.items():
                    total[leaf] = total.get(leaf, 0) + (count << (depth - bit - 1))
            counts.append(total)
        if self.root < 0:
            return {self.leaves[~self.root]: 1 << BITS}
        skipped = self.branches[self.root][0]
        return {self.leaves[~leaf]: count << skipped for leaf, count in counts[self.root].items()}


class TooTangled(SpecError):
    """Conditions that no diagram of `MAX_BRANCHES` can tell apart."""

    def __init__(self, origin: object | None = None) -> None:
        super().__init__(
            "the conditions on the arguments of one system call are too tangled to be judged together",
            origin=origin,
            hint="name fewer conditions, or compare whole arguments rather than bits of several",
        )


@contextmanager
def judged_at(origin: object) -> Iterator[None]:
    """Tell the place of conditions that are `TooTangled`."""
    try:
        yield
    except TooTangled:
        raise TooTangled(origin) from None


class DiagramBuilder(Generic[L]):
    """Collects shared nodes; `finish` returns the canonical diagram of one of them."""

    def __init__(self) -> None:
        self._leaves: dict[L, int] = {}
        self._branches: dict[tuple[int, int, int], int] = {}

    def leaf(self, value: L) -> int:
        """The reference of a leaf."""
        return ~self._leaves.setdefault(value, len(self._leaves))

    def branch(self, bit: int, low: int, high: int) -> int:
        """The reference of a test of ``bit``; none is made where both sides agree."""
        if low == high:
            return low
        if len(self._branches) >= MAX_BRANCHES:
            raise TooTangled
        return self._branches.setdefault((bit, low, high), len(self._branches))

    def finish(self, root: int) -> Diagram[L]:
        """Number the nodes below ``root`` by depth-first order, so that equal functions give equal diagrams."""
        leaves = list(self._leaves)
        branches = list(self._branches)
        kept: DiagramBuilder[L] = DiagramBuilder()
        renumbered: dict[int, int] = {}

        def visit(ref: int) -> int:
            if ref not in renumbered:
                if ref < 0:
                    renumbered[ref] = kept.leaf(leaves[~ref])
                else:
                    bit, low, high = branches[ref]
                    renumbered[ref] = kept.branch(bit, visit(low), visit(high))
            return renumbered[ref]

        return kept.taken(visit(root))

    def taken(self, root: int) -> Diagram[L]:
        """The diagram of ``root`` where everything was made in the order of `finish`, and all of it is below ``root``."""
        return Diagram(tuple(self._leaves), tuple(self._branches), root)


def constant(value: L) -> Diagram[L]:
    """The function that ignores the arguments."""
    return Diagram((value,), (), ~0)


def apply(operation: Callable[..., M], *diagrams: Diagram[Any]) -> Diagram[M]:
    """``operation`` of the values of all diagrams, for every argument vector at once."""
    first, *others = diagrams
    if not others:
        return _mapped(operation, first)
    *middle, last = others
    if not middle:
        return _paired(operation, first, last)
    before = _mapped(lambda value: (value,), first)
    for diagram in middle:
        before = _paired(lambda values, value: (*values, value), before, diagram)
    return _paired(lambda values, value: operation(*values, value), before, last)


def _mapped(operation: Callable[[Any], M], diagram: Diagram[Any]) -> Diagram[M]:
    values = tuple(operation(leaf) for leaf in diagram.leaves)
    if len(set(values)) == len(values):
        return Diagram(values, diagram.branches, diagram.root)
    builder: DiagramBuilder[M] = DiagramBuilder()
    refs: list[int] = []

    def moved(ref: int) -> int:
        return refs[ref] if ref >= 0 else builder.leaf(values[~ref])

    for bit, low, high in diagram.branches:
        refs.append(builder.branch(bit, moved(low), moved(high)))
    return builder.finish(moved(diagram.root))


def _paired(operation: Callable[[Any, Any], M], one: Diagram[Any], other: Diagram[Any]) -> Diagram[M]:
    if one.is_constant:
        return _mapped(lambda value: operation(one.leaves[0], value), other)
    if other.is_constant:
        return _mapped(lambda value: operation(value, other.leaves[0]), one)
    builder: DiagramBuilder[M] = DiagramBuilder()
    branch = builder.branch
    known: dict[tuple[int, int], int] = {}

    def walk(a: int, b: int) -> int:
        result = known.get((a, b))
        if result is not None:
            return result
        bit, low, high = one.branches[a] if a >= 0 else (BITS, a, a)
        second, below, above = other.branches[b] if b >= 0 else (BITS, b, b)
        if bit < second:
            result = branch(bit, walk(low, b), walk(high, b))
        elif second < bit:
            result = branch(second, walk(a, below), walk(a, above))
        elif bit < BITS:
            result = branch(bit, walk(low, below), walk(high, above))
        else:
            result = builder.leaf(operation(one.leaves[~a], other.leaves[~b]))
        known[a, b] = result
        return result

    # The walk goes through the result in the order of `DiagramBuilder.finish`, and makes nothing that is not part of it.
    return builder.taken(walk(one.root, other.root))


def select(test: Diagram[bool], then: Diagram[L], otherwise: Diagram[L]) -> Diagram[L]:
    """``then`` where ``test`` holds, ``otherwise`` elsewhere."""
    if then.is_constant and otherwise.is_constant:
        yes, no = then.leaves[0], otherwise.leaves[0]
        return apply(lambda held: yes if held else no, test)
    builder: DiagramBuilder[L] = DiagramBuilder()
    branch = builder.branch
    copied: dict[tuple[bool, int], int] = {}
    known: dict[tuple[int, int, int], int] = {}

    def copy(held: bool, ref: int) -> int:
        if (held, ref) not in copied:
            side = then if held else otherwise
            if ref < 0:
                copied[held, ref] = builder.leaf(side.leaves[~ref])
            else:
                bit, low, high = side.branches[ref]
                copied[held, ref] = branch(bit, copy(held, low), copy(held, high))
        return copied[held, ref]

    def walk(a: int, b: int, c: int) -> int:
        if a < 0:
            return copy(True, b) if test.leaves[~a] else copy(False, c)
        if (a, b, c) not in known:
            first, low, high = test.branches[a]
            second, below, above = then.branches[b] if b >= 0 else (BITS, b, b)
            third, under, over = otherwise.branches[c] if c >= 0 else (BITS, c, c)
            bit = min(first, second, third)
            if first > bit:
                low = high = a
            if second > bit:
                below = above = b
            if third > bit:
                under = over = c
            known[a, b, c] = branch(bit, walk(low, below, under), walk(high, above, over))
        return known[a, b, c]

    # As in `_paired`, in the order of `DiagramBuilder.finish`, and nothing is made that is not part of the result.
    return builder.taken(walk(test.root, then.root, otherwise.root))


def masked_equal(argument: int, mask: int, value: int) -> Diagram[bool]:
    """Where ``argument & mask == value``; nowhere if ``value`` has bits outside the mask."""
    if not mask or value & ~mask:
        return constant(value & ~mask == 0)
    # Numbered as `DiagramBuilder.finish` does: a value with a 1 is first seen to be missed, one without to be met.
    leaves = (False, True) if value else (True, False)
    no, ref = (~0, ~1) if value else (~1, ~0)
    branches: list[tuple[int, int, int]] = []
    for position in range((mask & -mask).bit_length() - 1, mask.bit_length()):
        if mask >> position & 1:
            bit = argument * WIDTH + WIDTH - 1 - position
            branches.append((bit, no, ref) if value >> position & 1 else (bit, ref, no))
            ref = len(branches) - 1
    return Diagram(leaves, tuple(branches), ref)


def at_least(argument: int, value: int, *, shift: int = 0, width: int = WIDTH) -> Diagram[bool]:
    """Where the ``width`` bits of ``argument`` from bit ``shift`` upwards are a number ``>= value`` (unsigned)."""
    if not value or value >> width:
        return constant(not value)
    no, yes = ~0, ~1
    ref = yes
    branches: list[tuple[int, int, int]] = []
    for position in range(width):
        bit = argument * WIDTH + WIDTH - 1 - position - shift
        if value >> position & 1:
            branches.append((bit, no, ref))
        elif ref != yes:
            branches.append((bit, ref, yes))
        else:
            continue  # below the lowest 1 nothing is asked
        ref = len(branches) - 1
    return Diagram((False, True), tuple(branches), ref)


def negation(test: Diagram[bool]) -> Diagram[bool]:
    """Where ``test`` does not hold."""
    return apply(lambda held: not held, test)


def lower_halves(diagram: Diagram[L]) -> Diagram[L]:
    """The function where the upper 32 bits of every argument are 0, as for a 32-bit architecture."""
    builder: DiagramBuilder[L] = DiagramBuilder()
    refs: list[int] = []

    def moved(ref: int) -> int:
        return refs[ref] if ref >= 0 else builder.leaf(diagram.leaves[~ref])

    for bit, low, high in diagram.branches:
        upper = bit % WIDTH < WIDTH // 2
        refs.append(moved(low) if upper else builder.branch(bit, moved(low), moved(high)))
    return builder.finish(moved(diagram.root))


def runs(diagram: Diagram[Any], ref: int, width: int = WIDTH) -> list[tuple[int, int, int]] | None:
    """(first, last, target) of the intervals, in ascending order, of the field that ``ref`` tests: an argument, or with a
    ``width`` of 32 half of one. ``target`` is the reference that the field's value leads to. None beyond `MAX_RUNS`."""
    field = diagram.branches[ref][0] // width
    known: dict[tuple[int, int], list[tuple[int, int, int]] | None] = {}

    def walk(at: int, level: int) -> list[tuple[int, int, int]] | None:
        if (at, level) not in known:
            known[at, level] = split(at, level)
        return known[at, level]

    def split(at: int, level: int) -> list[tuple[int, int, int]] | None:
        bit = diagram.branches[at][0] if at >= 0 else BITS
        size = 1 << (width - level)
        if bit // width != field:
            return [(0, size - 1, at)]
        low, high = diagram.branches[at][1:] if bit % width == level else (at, at)
        below, above = walk(low, level + 1), walk(high, level + 1)
        if below is None or above is None:
            return None
        shifted = [(first + size // 2, last + size // 2, target) for first, last, target in above]
        joined = [*below, *shifted]
        if below[-1][2] == shifted[0][2]:
            joined = [*below[:-1], (below[-1][0], shifted[0][1], shifted[0][2]), *shifted[1:]]
        return joined if len(joined) <= MAX_RUNS else None

    return walk(ref, 0)
