"""Argument conditions: between the comparisons that people write and decision diagrams, in both directions."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, cast

import attrs

from hardening.base.values import frozen
from hardening_seccomp.actions import ALLOW, DENY, Action, ActionKind, stricter
from hardening_seccomp.diagrams import (
    MAX_ARGUMENT,
    WIDTH,
    Diagram,
    DiagramBuilder,
    apply,
    at_least,
    constant,
    masked_equal,
    negation,
    runs,
)

Rule = Diagram[Action]


#: A comparison that leaves so many bits open is written as single values.
_FEW_BITS = 3


class Op(enum.Enum):
    """How an argument is compared; the values are the words of our TOML form."""

    NE = "ne"
    LT = "lt"
    LE = "le"
    EQ = "eq"
    GE = "ge"
    GT = "gt"
    MASKED_EQ = "masked_eq"


@frozen
class Comparison:
    """``argument op value`` on unsigned numbers; for MASKED_EQ ``argument & mask == value``.

    With a ``width`` of 32 the upper half of the argument is ignored, as the kernel does for many arguments.
    """

    index: int
    op: Op
    value: int
    mask: int = MAX_ARGUMENT
    width: int = WIDTH

    def __str__(self) -> str:
        if self.op is Op.MASKED_EQ:
            return f"arg{self.index} & {self.mask:#x} == {self.value:#x}"
        symbol = {Op.NE: "!=", Op.LT: "<", Op.LE: "<=", Op.EQ: "==", Op.GE: ">=", Op.GT: ">"}[self.op]
        return f"arg{self.index} {symbol} {self.value:#x}"

    def test(self) -> Diagram[bool]:
        """Where it holds."""
        seen = (1 << self.width) - 1
        if self.op is Op.MASKED_EQ:
            return masked_equal(self.index, self.mask & seen, self.value)
        if self.op in (Op.EQ, Op.NE):
            equal = masked_equal(self.index, seen, self.value)
            return equal if self.op is Op.EQ else negation(equal)
        bound = self.value + (self.op in (Op.GT, Op.LE))
        reached = at_least(self.index, bound, width=self.width)
        return reached if self.op in (Op.GE, Op.GT) else negation(reached)


@frozen
class ConditionEntry:
    """One rule of a system call: the action where all comparisons hold."""

    action: Action
    comparisons: tuple[Comparison, ...] = ()

    def __str__(self) -> str:
        return f"{self.action} if {' and '.join(map(str, self.comparisons))}" if self.comparisons else str(self.action)


#: For each node below an argument, disjoint cases that lead there; of a case all comparisons hold.
_Cases = list[tuple[int, list[tuple[Comparison, ...]]]]


class Style(enum.Enum):
    """Which comparisons `entries` may use: all, equality and masks only, or what people write: several of one argument."""

    NATIVE = "native"
    MASKS = "masks"
    WRITTEN = "written"


class TooManyEntries(Exception):
    """A rule needs more entries than its bound; the caller takes the stricter side."""


def where(comparisons: Iterable[Comparison]) -> Diagram[bool]:
    """Where all comparisons hold; everywhere if there are none."""
    region: Diagram[bool] = constant(True)
    for comparison in comparisons:
        region = apply(lambda a, b: a and b, region, comparison.test())
    return region


#: A rule with gaps: None where nothing is stated.
Partial = Diagram[Action | None]


def partial(entry: ConditionEntry) -> Partial:
    """What one entry states."""
    if not entry.comparisons:
        return constant(entry.action)
    return apply(lambda held: entry.action if held else None, where(entry.comparisons))


def join(parts: Iterable[Partial]) -> Partial:
    """The strictest stated action for every argument vector."""
    # Neighbours first, in their order: one by one, each of many parts would copy all that was joined before it.
    left = list(parts)
    while len(left) > 1:
        pairs = zip(left[::2], left[1::2], strict=False)
        left = [*(apply(_stricter_stated, one, other) for one, other in pairs), *left[len(left) & ~1 :]]
    return left[0] if left else constant(None)


def fill(known: Partial, otherwise: Action) -> Rule:
    """The rule with ``otherwise`` in its gaps."""
    if None not in known.leaves:
        return cast("Rule", known)
    return apply(lambda action: otherwise if action is None else action, known)


def rule_of(entries: Iterable[ConditionEntry], otherwise: Action) -> Rule:
    """The strictest action of all entries that match, ``otherwise`` where none does."""
    return fill(join(map(partial, entries)), otherwise)


def _stricter_stated(a: Action | None, b: Action | None) -> Action | None:
    if a is None or b is None:
        return b if a is None else a
    # Of two errnos in one filter the one written first counts: they are equally strict, and libseccomp's order is its own.
    return stricter(b, a)


def is_ambiguous(listed: Sequence[ConditionEntry]) -> bool:
    """Whether two entries of different actions match one argument vector."""
    if len({entry.action for entry in listed}) < 2:
        return False
    return rule_of(listed, listed[0].action) != _loosest(listed)


def _loosest(listed: Sequence[ConditionEntry]) -> Rule:
    """The rule with the overlaps decided the other way round."""
    turned = [
        ConditionEntry(Action(ActionKind(ActionKind.KILL_PROCESS - e.action.kind), e.action.data), e.comparisons)
        for e in listed
    ]
    rule = rule_of(reversed(turned), turned[0].action)
    back = tuple(Action(ActionKind(ActionKind.KILL_PROCESS - leaf.kind), leaf.data) for leaf in rule.leaves)
    return attrs.evolve(rule, leaves=back)


def entries(rule: Rule, default: Action | None, bound: int, style: Style = Style.NATIVE) -> tuple[ConditionEntry, ...]:
    """Disjoint entries that give ``rule`` on top of ``default`` (None: on top of nothing, every argument is covered), each
    with one comparison an argument at most, unless it is for people to read.

    Raises `TooManyEntries` where more than ``bound`` would be needed.
    """
    found = tuple(islice(_entries(rule, rule.root, default, bound, style), bound + 1))
    if len(found) > bound:
        raise TooManyEntries
    return found


def _entries(rule: Rule, ref: int, default: Action | None, bound: int, style: Style) -> Iterator[ConditionEntry]:
    if ref < 0:
        if rule.leaves[~ref] != default:
            yield ConditionEntry(rule.leaves[~ref])
        return
    cover: _Cases = [(target, [(item,) for item in found]) for target, found in _cover(rule, ref, bound, style)]
    for target, cases in _written(cover) if style is Style.WRITTEN else cover:
        for entry in _entries(rule, target, default, bound, style):
            for comparisons in cases:
                yield ConditionEntry(entry.action, (*comparisons, *entry.comparisons))


def _written(cover: _Cases) -> _Cases:
    """The same, with all values but those of the other nodes as one case, where these are few."""
    rest = max(range(len(cover)), key=lambda at: len(cover[at][1]))
    few: _Cases = [
        (target, [(item,) for (comparison,) in cases for item in singly(comparison)])
        for at, (target, cases) in enumerate(cover)
        if at != rest
    ]
    others = [item for _, cases in few for case in cases for item in case]
    if not others or any(item.op is not Op.EQ for item in others) or len({item.width for item in others}) > 1:
        return cover
    case = tuple(Comparison(item.index, Op.NE, item.value, width=item.width) for item in others)
    return [*few, (cover[rest][0], [case])]


def singly(item: Comparison) -> list[Comparison]:
    """The single values of a comparison with a mask that leaves few of them, the upper half being open or closed; else
    itself."""
    width = WIDTH if item.mask >> WIDTH // 2 else WIDTH // 2
    free = ((1 << width) - 1) ^ item.mask
    if item.op is not Op.MASKED_EQ or free.bit_count() > _FEW_BITS:
        return [item]
    values = {item.value}
    for bit in (1 << at for at in range(width) if free >> at & 1):
        values |= {value | bit for value in values}
    return [Comparison(item.index, Op.EQ, value, width=width) for value in sorted(values)]


def _cover(rule: Rule, ref: int, bound: int, style: Style) -> list[tuple[int, list[Comparison]]]:
    """For each node below the argument that ``ref`` tests, disjoint comparisons for the values that lead there."""
    index = rule.branches[ref][0] // WIDTH
    found = None if style is Style.MASKS else runs(rule, ref)
    by_runs = _covers_of_runs(found, index, bound) if found is not None else {}
    limit = max((len(cover) for cover in by_runs.values()), default=bound)
    result = []
    for target in dict.fromkeys(target for target, _, _ in _cubes(rule, ref, index, bound * WIDTH)):
        cubes = [
            _masked(index, mask, value)
            for _, mask, value in islice(
                (cube for cube in _cubes(rule, ref, index, bound * WIDTH) if cube[0] == target), limit + 1
            )
        ]
        runs_here = by_runs.get(target)
        result.append((target, cubes if runs_here is None or len(cubes) < len(runs_here) else runs_here))
    return result


def _cubes(rule: Rule, ref: int, index: int, limit: int) -> Iterator[tuple[int, int, int]]:
    """(target, mask, value) for every path through the tests of one argument."""
    stack = [(ref, 0, 0)]
    given = 0
    while stack:
        at, mask, value = stack.pop()
        if at < 0 or rule.branches[at][0] // WIDTH != index:
            given += 1
            if given > limit:
                raise TooManyEntries
            yield at, mask, value
            continue
        bit, low, high = rule.branches[at]
        place = 1 << (WIDTH - 1 - bit % WIDTH)
        stack.append((high, mask | place, value | place))
        stack.append((low, mask | place, value))


def coarser(rule: Rule, default: Action | None, most: int) -> Rule:
    """The rule with its strictest answer in the place of each part that looks at a later argument than the first, and needs
    more than ``most`` entries. Nowhere looser, and stricter the fewer there may be."""
    if len({bit // WIDTH for bit, _, _ in rule.branches}) < 2:
        return rule
    builder: DiagramBuilder[Action] = DiagramBuilder()
    moved: list[int] = []
    strictest: list[Action] = []
    needed: dict[int, int] = {}

    def need(ref: int) -> int:
        if ref < 0:
            return int(rule.leaves[~ref] != default)
        if ref not in needed:
            try:
                cover = _cover(rule, ref, most, Style.NATIVE)
                needed[ref] = sum(len(comparisons) * need(target) for target, comparisons in cover)
            except TooManyEntries:
                needed[ref] = most + 1
        return needed[ref]

    def below(ref: int, index: int) -> int:
        if ref < 0:
            return builder.leaf(rule.leaves[~ref])
        if rule.branches[ref][0] // WIDTH != index and need(ref) > most:
            return builder.leaf(strictest[ref])
        return moved[ref]

    for bit, low, high in rule.branches:
        one, other = (strictest[ref] if ref >= 0 else rule.leaves[~ref] for ref in (low, high))
        strictest.append(stricter(one, other))
        moved.append(builder.branch(bit, below(low, bit // WIDTH), below(high, bit // WIDTH)))
    return builder.finish(moved[rule.root])


def _masked(index: int, mask: int, value: int) -> Comparison:
    return Comparison(index, Op.EQ, value) if mask == MAX_ARGUMENT else Comparison(index, Op.MASKED_EQ, value, mask)


def _covers_of_runs(found: list[tuple[int, int, int]], index: int, bound: int) -> dict[int, list[Comparison]]:
    """Comparisons for each target, from its intervals."""
    intervals: dict[int, list[tuple[int, int]]] = {}
    for first, last, target in found:
        intervals.setdefault(target, []).append((first, last))
    covers = {}
    for target, parts in intervals.items():
        ends_meet = len(parts) == 2 and parts[0][0] == 0 and parts[1][1] == MAX_ARGUMENT
        if ends_meet and parts[0][1] + 2 == parts[1][0]:
            covers[target] = [Comparison(index, Op.NE, parts[0][1] + 1)]
        else:
            covers[target] = [item for first, last in parts for item in _interval(index, first, last)][: bound + 1]
    return covers


def _interval(index: int, first: int, last: int) -> Iterator[Comparison]:
    """Disjoint comparisons for first <= argument <= last."""
    if first == last:
        yield Comparison(index, Op.EQ, first)
    elif first == 0:
        yield Comparison(index, Op.LE, last)
    elif last == MAX_ARGUMENT:
        yield Comparison(index, Op.GE, first)
    else:
        while first <= last:
            size = first & -first or 1 << WIDTH
            while first + size - 1 > last:
                size >>= 1
            yield _masked(index, MAX_ARGUMENT ^ (size - 1), first)
            first += size


def describe(rule: Rule, bound: int = 12) -> str:
    """The rule as people read it: the exceptions first, then what happens to all other arguments."""
    return str(rule.leaves[0]) if rule.is_constant else _described(rule, bound)


@lru_cache(maxsize=1024)
def _described(rule: Rule, bound: int) -> str:
    shares = rule.shares()
    usual = max(shares, key=lambda action: shares[action])
    try:
        special = entries(rule, usual, bound)
    except TooManyEntries:
        actions = ", ".join(sorted({str(action) for action in rule.leaves} - {str(usual)}))
        return f"{actions} for some arguments, else {usual}"
    return ", ".join([*map(str, special), f"else {usual}" if special else str(usual)])


def described_where(diagram: Diagram[Any], value: object, bound: int = 12) -> str:
    """Where a diagram has a value, as people read it; empty for everywhere."""
    held: Rule = apply(lambda found: ALLOW if found == value else DENY, diagram)
    try:
        return " or ".join(
            " and ".join(map(str, entry.comparisons)) for entry in entries(held, DENY, bound, Style.WRITTEN)
        )
    except TooManyEntries:
        return "for some arguments"
