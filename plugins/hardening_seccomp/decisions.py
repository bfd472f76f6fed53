"""How to find an answer in few comparisons: spans of numbers and diagrams of arguments as tests of 32-bit words.

Since Linux 5.11 the kernel remembers which calls are allowed whatever their arguments, and runs the filter for the others
only. So weight goes to the answers that take long: a call whose arguments are looked at is found early.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

import attrs

from hardening.base.values import frozen
from hardening_seccomp import bpf
from hardening_seccomp.conditions import Rule
from hardening_seccomp.diagrams import runs


@frozen(eq=False)
class Return:
    """The end: ``value`` is what the kernel gets. ``steps`` is the number of instructions run, at most."""

    value: int
    steps: int = 1


@frozen(eq=False)
class Test:
    """A comparison of the word at ``offset`` of seccomp_data, masked or not: `bpf.JEQ`, `bpf.JGE` or `bpf.JSET` with ``k``.

    ``steps`` counts from here on, without the load of the word, which may still be there from the test before.
    """

    offset: int
    operation: int
    k: int
    then: Node
    otherwise: Node
    mask: int = bpf.U32
    steps: int = attrs.field(init=False)

    @steps.default
    def _count(self) -> int:
        return (2 if self.masks else 1) + max(self.steps_to(self.then), self.steps_to(self.otherwise))

    @property
    def masks(self) -> bool:
        """Whether the word is masked, and gone afterwards."""
        return self.mask != bpf.U32

    def steps_to(self, node: Node) -> int:
        """The steps of what follows, with the load that it needs."""
        return node.steps + (isinstance(node, Test) and (self.masks or node.offset != self.offset))


Node = Return | Test
#: The first of the values that lead to a node; the next interval begins where it ends.
Interval = tuple[int, Node]


def chosen(offset: int, intervals: Sequence[Interval]) -> Node:
    """The node of the interval in which the word at ``offset`` lies; the first begins at 0, and neighbours differ.

    The intervals are halved by weight, where an answer that takes a step more weighs twice as much. A single value that
    outweighs the others, or that stands alone among equals, is asked for first.
    """
    if len(intervals) == 1:
        return intervals[0][1]
    sums = list(accumulate(1 << node.steps for _, node in intervals))
    for index, (first, node) in enumerate(intervals):
        heavy = 2 << node.steps >= sums[-1] or len(intervals) == 3
        if heavy and 0 < index < len(intervals) - 1 and intervals[index + 1][0] == first + 1:
            before, after = intervals[:index], intervals[index + 1 :]
            if before[-1][1] is after[0][1]:
                return Test(offset, bpf.JEQ, first, node, chosen(offset, [*before, *after[1:]]))
    cut = min(max(1, bisect_left(sums, sums[-1] / 2)), len(intervals) - 1)
    cut = min((cut, min(cut + 1, len(intervals) - 1)), key=lambda at: max(sums[at - 1], sums[-1] - sums[at - 1]))
    return Test(offset, bpf.JGE, intervals[cut][0], chosen(offset, intervals[cut:]), chosen(offset, intervals[:cut]))


@frozen(eq=False)
class Decisions:
    """Makes nodes for rules; equal rules and parts share theirs. ``little`` is the byte order of the architecture."""

    little: bool
    _returns: dict[int, Return] = attrs.field(factory=dict, init=False)
    _rules: dict[Rule, Node] = attrs.field(factory=dict, init=False)

    def answer(self, value: int) -> Return:
        """The node of a returned value."""
        return self._returns.setdefault(value, Return(value))

    def rule(self, rule: Rule) -> Node:
        """The node of a rule."""
        if rule not in self._rules:
            self._rules[rule] = self._part(rule, rule.root, {})
        return self._rules[rule]

    def _part(self, rule: Rule, ref: int, known: dict[int, Node]) -> Node:
        """The node below a reference: whichever is the shortest of a masked comparison and a search among intervals."""
        if ref < 0:
            return self.answer(rule.leaves[~ref].returned)
        if ref not in known:
            offset = self._offset(rule.branches[ref][0])
            options: list[Node] = []
            intervals = runs(rule, ref, bpf.WORD)
            if intervals is not None:
                nodes = [(first, self._part(rule, target, known)) for first, _, target in intervals]
                options.append(chosen(offset, nodes))
            mask, value, same, other = max(_masked(rule, ref), key=lambda found: found[0].bit_count())
            then, otherwise = self._part(rule, same, known), self._part(rule, other, known)
            options.append(_comparison(offset, mask, value, then, otherwise))
            known[ref] = min(options, key=lambda node: node.steps)
        return known[ref]

    def _offset(self, bit: int) -> int:
        argument, half = divmod(bit // bpf.WORD, 2)
        return 16 + 8 * argument + (4 if (half == 0) == self.little else 0)


def _masked(rule: Rule, ref: int) -> Iterator[tuple[int, int, int, int]]:
    """(mask, value, same, other): the word's masked bits equal a value and lead to ``same``, or else to ``other``."""
    start, *children = rule.branches[ref]
    for other in children:
        at, mask, value = ref, 0, 0
        while at >= 0 and rule.branches[at][0] // bpf.WORD == start // bpf.WORD and other in rule.branches[at][1:]:
            bit, low, high = rule.branches[at]
            place = 1 << (bpf.WORD - 1 - bit % bpf.WORD)
            mask |= place
            value |= place if other == low else 0
            at = high if other == low else low
        yield mask, value, at, other


def _comparison(offset: int, mask: int, value: int, then: Node, otherwise: Node) -> Node:
    if mask == bpf.U32:
        return Test(offset, bpf.JEQ, value, then, otherwise)
    if value == 0:
        return Test(offset, bpf.JSET, mask, otherwise, then)
    if value == mask and mask & (mask - 1) == 0:
        return Test(offset, bpf.JSET, mask, then, otherwise)
    return Test(offset, bpf.JEQ, value, then, otherwise, mask)
