"""Hold `diff` and `prove` against a second reading of what settings permit: ``python -m tests.hardening.compare.measure``.

Stacks of random layers are composed, mechanism by mechanism, and every two of a batch are compared: by the orders of the
leaves, and by the deeds that the composed settings permit, and that limits leave to later layers
(`tests.hardening.compare.deeds`); of some stacks by what the BPF programs answer that their filters are compiled to. Exit
code 1: an order says that a stack is within another which lacks one of its deeds, or not within one that has them all where
orders are exact.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from functools import cache
from itertools import permutations
from random import Random
from typing import Any

import attrs

from hardening.base.values import frozen
from hardening.compare.difference import StackComparison, Subject, both, compare
from hardening.compare.proof import violated
from hardening.compose.composition import Composition
from hardening.compose.composition import compose as composed
from hardening.errors import HardeningError
from hardening.mechanism import host
from hardening.mechanism.kinds import Order
from hardening.mechanism.mechanism import Context, Mechanism
from hardening.mechanism.schema import WILDCARD, Family, Leaf
from hardening.plugin import plugins
from hardening.profile.layers import Stack
from hardening.testing.laws import Case, random_case, to_layer
from hardening_seccomp import SeccompSettings, bpf
from hardening_seccomp.actions import ALLOW, ENOSYS, EPERM, KILL_PROCESS, LOG
from hardening_seccomp.compile import compile_filter
from hardening_seccomp.conditions import Comparison, ConditionEntry, Op, Rule, rule_of
from hardening_seccomp.diagrams import MAX_ARGUMENT, apply, constant
from hardening_seccomp.spec import filter_of
from hardening_seccomp.witness import vector
from tests.hardening.compare import deeds
from tests.hardening.compare.deeds import Deeds
from tests.plugins.seccomp.written import LIBRARY

NO_LIMIT = object()
STACKS = 24  # of a batch
HEADS = ("mechanism", "pairs", "within", "tighter", "looser", "neither", "limits", "by BPF", "stricter", "disagree")
#: Whose orders take the stricter answer where they cannot tell: keys and identities that come to the same.
INEXACT = ("trust",)
_TODAY = date(2000, 1, 1)
_NUMBERS = (0, 1, 2, 4, 6, 7, 8, 0x5412, 0xFFFFFFFF, 1 << 32, (1 << 64) - 1)
#: What no layer names.
UNNAMED = {"": ("acct",), "volume_sources": ("/srv/data/a/b", "/opt"), "volume_destinations": ("/data/a/b", "/opt")}


@cache
def installed() -> tuple[Mapping[str, Mechanism[Any]], Any]:
    found = plugins.load().mechanisms
    return {item.name: item for item in found}, host.probe(found)


@frozen
class Batch:
    """So many stacks of one mechanism that speak of the same settings, a few or ``about`` some, by a number that makes the
    same ones again."""

    mechanism: str
    number: int
    size: int = STACKS
    about: tuple[str, ...] = ()

    def compositions(self) -> list[Composition]:
        """Those that compose."""
        mechanisms, here = installed()
        mechanism = mechanisms[self.mechanism]
        others = [mechanisms[name] for name in mechanism.after]
        chance = Random(f"{self.mechanism} {self.number}")
        samples = [*mechanism.samples(), *(_rules(chance) if self.mechanism == "seccomp" else ())]
        names = sorted({setting for setting, _, _ in samples})
        chosen = set(self.about or chance.sample(names, min(3, len(names))))
        said = [sample for sample in samples if sample[0] in chosen]
        found = []
        for _ in range(self.size):
            cases = [_excepted(mechanism, random_case(said, chance)) for _ in range(chance.randint(1, 3))]
            layers = tuple(to_layer(mechanism, case, f"layer{number}") for number, case in enumerate(cases))
            try:
                found.append(composed(Stack(layers), [mechanism, *others], here, _TODAY))
            except HardeningError:
                continue
        return found


def _excepted(mechanism: Mechanism[Any], case: Case) -> Case:
    """The case permitted in all that it says, and without limits that mean nothing."""
    settings = mechanism.schema.settings
    limits = {key: value for key, value in case.limits.items() if not settings[key[0]].kind.unordered}
    for name in {name for name, _ in limits}:
        if isinstance(setting := settings[name], Family) and setting.listed:
            limits[name, WILDCARD] = setting.absent
    return attrs.evolve(case, limits=limits, exceptions=frozenset(case.statements))


def _rules(chance: Random) -> Iterator[tuple[str, str, Rule]]:
    for name in ("ptrace", "personality", "ioctl"):
        for _ in range(4):
            entries = [
                ConditionEntry(
                    chance.choice((ALLOW, LOG, EPERM, ENOSYS, KILL_PROCESS)),
                    tuple(_comparison(index, chance) for index in (0, 1) if chance.random() < 0.6),
                )
                for _ in range(chance.randint(1, 3))
            ]
            yield "", name, rule_of(entries, EPERM)


def _comparison(index: int, chance: Random) -> Comparison:
    op = chance.choice([item for item in Op if item is not Op.MASKED_EQ])
    return Comparison(index, op, chance.choice(_NUMBERS[:-2]), width=chance.choice((32, 64)))


@attrs.define
class Row:
    """What was counted of the pairs of one mechanism; ``wrong`` has a line for each disagreement."""

    counts: Counter[str] = attrs.field(factory=Counter)
    wrong: list[str] = attrs.field(factory=list)

    def __add__(self, other: Row) -> Row:
        return Row(self.counts + other.counts, [*self.wrong, *other.wrong])


def judged(batch: Batch) -> Row:
    """Every two stacks of a batch, in both directions."""
    row = Row()
    found = batch.compositions()
    programs = [*map(_program, found[: batch.size // 2])] if batch.mechanism == "seccomp" else []
    for one, other in permutations(range(len(found)), 2):
        where = f"{batch.mechanism} {batch.number} ({one}, {other})"
        _judge(row, found[one], found[other], where)
        if max(one, other) < len(programs):
            _judge_programs(row, (found[one], found[other]), (programs[one], programs[other]), where)
    return row


def _judge(row: Row, before: Composition, after: Composition, where: str) -> None:
    row.counts["pairs"] += 1
    table = where.partition(" ")[0]
    found = compare(before, after)
    seen = permitted(before, after, table)
    row.counts[{Order.SAME: "within"}.get(seen, "neither" if seen is Order.INCOMPARABLE else str(seen))] += 1
    is_within = not violated(before, after, None)
    _hold(row, where, _order(found, Subject.VALUE), seen, within=is_within)
    left = left_by_limits(before, after, table)
    row.counts["limits"] += left is not Order.SAME
    told = _order(found, Subject.LIMIT)
    _hold(row, f"{where}, limits", told, left, within=told in (Order.SAME, Order.LOOSER))


def _hold(row: Row, where: str, told: Order, seen: Order, *, within: bool) -> None:
    """Hold what is told against what is seen."""
    if told is seen and within is (seen in (Order.SAME, Order.LOOSER)):
        return
    down, up = (Order.SAME, Order.TIGHTER), (Order.SAME, Order.LOOSER)
    sound = all(seen in held for held in (down, up) if told in held) and (seen in up or not within)
    stricter = where.partition(" ")[0] in INEXACT and sound
    row.counts["stricter" if stricter else "disagree"] += 1
    if not stricter:
        row.wrong.append(f"{where}: {told}, {'within' if within else 'not within'}; deeds: {seen}")


def _order(found: StackComparison, subject: Subject, of: Callable[[Leaf], bool] = lambda leaf: True) -> Order:
    """How the values, or limits, of the second stand to those of the first; those that permit the same are the same here."""
    items = (item for item in found.differences if item.subject is subject)
    kept = tuple(item for item in items if of(item.leaf))
    order = attrs.evolve(found, differences=kept).order
    return Order.SAME if order is Order.OTHER else order


def _stands(pairs: Iterable[tuple[Deeds, Deeds]]) -> Order:
    """How the second of each stand to the first, of all together."""
    fewer = more = False
    for old, new in pairs:
        fewer, more = fewer or not old <= new, more or not new <= old
    return Order.INCOMPARABLE if fewer and more else Order.TIGHTER if fewer else Order.LOOSER if more else Order.SAME


def permitted(before: Composition, after: Composition, table: str) -> Order:
    """How what the second permits stands to what the first does, deed by deed."""
    mechanism = installed()[0][table]
    one, other = before.settings[table], after.settings[table]
    members: dict[str, list[str]] = {}
    for attribute, setting in mechanism.schema.fields.items():
        if isinstance(setting, Family):
            named = dict.fromkeys((*getattr(one, attribute).named, *getattr(other, attribute).named))
            if setting.name == "":  # of the 400 calls that no layer of either speaks of, the same rules are the same
                rules = getattr(one, attribute), getattr(other, attribute)
                named = {name: None for name in named if rules[0][name] is not rules[1][name]}
            members[setting.name] = [*named, *UNNAMED.get(setting.name, ("/x",)), WILDCARD]
    calls = vectors(pair for _, pair in _unlike(one, other)) if isinstance(one, SeccompSettings) else ()
    pairs = zip(
        deeds.all_of(table, mechanism.schema, one, members, calls),
        deeds.all_of(table, mechanism.schema, other, members, calls),
        strict=True,
    )
    return _stands((old, new) for (_, old), (_, new) in (*pairs, *_requirement(before, after, table)))


def left_by_limits(before: Composition, after: Composition, table: str) -> Order:
    """How what the limits of the second leave to later layers stands to what those of the first do."""
    mechanism = installed()[0][table]
    leaves = {leaf for stack in (before, after) for leaf in stack.leaves if leaf.mechanism == table}
    pairs = {leaf: (before.limit(leaf, NO_LIMIT), after.limit(leaf, NO_LIMIT)) for leaf in sorted(leaves)}
    pairs = {leaf: both for leaf, both in pairs.items() if both[0] is not both[1]}
    rules = (both for leaf, both in pairs.items() if (table, leaf.setting) == ("seccomp", ""))
    calls = vectors((constant(ALLOW) if one is NO_LIMIT else one, constant(ALLOW) if other is NO_LIMIT else other)
                    for one, other in rules)  # fmt: skip

    same: dict[tuple[str, int], Deeds] = {}

    def left(leaf: Leaf, limit: Any) -> Deeds:
        place = leaf.setting, id(limit)
        if place not in same:
            name, kind = f"{table}.{leaf.setting}", mechanism.schema.settings[leaf.setting].kind
            is_open = limit is NO_LIMIT
            same[place] = deeds.anything(name, kind.samples(), calls) if is_open else deeds.of_any(name, limit, calls)
        return same[place]

    return _stands((left(leaf, old), left(leaf, new)) for leaf, (old, new) in pairs.items())


def _requirement(before: Composition, after: Composition, table: str) -> Iterator[Any]:
    """The core's own setting of each mechanism."""
    name = f"{table}.requirement"
    words = ("best-effort", "required")
    yield tuple((name, deeds.of(name, words[stack.required(table)])) for stack in (before, after))


def _unlike(one: SeccompSettings, other: SeccompSettings) -> Iterator[tuple[str, tuple[Rule, Rule]]]:
    """The calls whose rules differ."""
    for name in {**one.syscalls.named, **other.syscalls.named}:
        if one.syscalls[name] is not other.syscalls[name]:
            yield name, (one.syscalls[name], other.syscalls[name])


def vectors(rules: Iterable[tuple[Rule, Rule]]) -> list[tuple[int, ...]]:
    """Arguments at and beside what conditions compare with, and for each pair of answers some that lead to it: whether there
    are others is what the orders have to know."""
    chance = Random(0)
    found = [tuple(chance.choice(_NUMBERS) for _ in range(6)) for _ in range(24)]
    unlike = {(id(one), id(other)): (one, other) for one, other in rules}  # hundreds of calls have the same
    for both_rules in unlike.values():
        pairs = apply(lambda *pair: pair, *both_rules)
        found += [tuple(vector(pairs, pair, MAX_ARGUMENT)) for pair in dict.fromkeys(pairs.leaves)]
    return list(dict.fromkeys(found))


# --- what the compiled filters answer -------------------------------------------------------------------------------------


def _program(found: Composition) -> bpf.Program:
    context = Context(installed()[1], found.composed)
    return bpf.decode(compile_filter(filter_of(found.settings["seccomp"], context), LIBRARY).program)


def _judge_programs(
    row: Row, stacks: tuple[Composition, Composition], programs: tuple[bpf.Program, bpf.Program], where: str
) -> None:
    """What two programs answer to calls of this machine, which knows neither rules nor their order."""
    row.counts["by BPF"] += 1
    one, other = (stack.settings["seccomp"] for stack in stacks)
    numbers = LIBRARY.names(LIBRARY.native())
    native = {*numbers, WILDCARD}
    alike: dict[tuple[int, ...], list[tuple[str, tuple[Rule, Rule]]]] = {}
    for name, pair in _unlike(one, other):
        if name in numbers:
            alike.setdefault((id(pair[0]), id(pair[1])), []).append((name, pair))
    # Of the hundreds that have the same two rules, as all have that no layer names, some are asked.
    calls = [(numbers[name], arguments) for found in alike.values() for name, pair in found[:: len(found) // 4 + 1]
             for arguments in vectors([pair])]  # fmt: skip
    calls += [(numbers["acct"], (0,)), (numbers["chmod"], (0, 0o4755)), (numbers["chmod"], (0, 0o755))]
    seen = Order.SAME
    for number, arguments in calls:
        old, new = (bpf.evaluate(program, LIBRARY.native(), number, arguments).action.kind for program in programs)
        seen = both(seen, Order.TIGHTER if new > old else Order.LOOSER if new < old else Order.SAME)
    told = _order(compare(*stacks), Subject.VALUE, lambda leaf: leaf.member in native if not leaf.setting
                  else leaf.setting == "restrict_suid_sgid")  # fmt: skip
    # What one setting refuses, the other may refuse as well: then there is nothing to be seen of a difference.
    unlike = one.restrict_suid_sgid is not other.restrict_suid_sgid
    if told is not seen and not (unlike and (told is Order.INCOMPARABLE or seen is Order.SAME)):
        row.counts["disagree"] += 1
        row.wrong.append(f"{where}, by BPF: {told}; answers: {seen}")


def measure(
    pairs: int, jobs: int, only: Sequence[str] = (), seconds: float = float("inf")
) -> tuple[dict[str, Row], float]:
    """The rows by mechanism, of at least so many pairs in all, or of what was done in so many ``seconds``, and how many it
    took."""
    names = [name for name in installed()[0] if name in only or not only]
    rows = {name: Row() for name in names}
    begun, number = time.monotonic(), 0
    with ProcessPoolExecutor(jobs) as pool:
        while sum(row.counts["pairs"] for row in rows.values()) < pairs and time.monotonic() < begun + seconds:
            batches = [Batch(name, number + more) for name in names for more in range(4)]
            number += 4
            for batch, row in zip(batches, pool.map(judged, batches), strict=True):
                rows[batch.mechanism] += row
    return rows, time.monotonic() - begun


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--pairs", type=int, default=100_000)
    parser.add_argument("-j", "--jobs", type=int, default=2)
    parser.add_argument("-m", "--minutes", type=float, default=600, help="after which it ends with what is done")
    parser.add_argument("mechanism", nargs="*")
    arguments = parser.parse_args()
    rows, seconds = measure(arguments.pairs, arguments.jobs, arguments.mechanism, 60 * arguments.minutes)
    total = sum(rows.values(), Row())
    print(f"| {' | '.join(HEADS)} |\n|{' --- |' * len(HEADS)}")
    for name, row in {**rows, "all": total}.items():
        print(f"| {' | '.join([name, *(str(row.counts[head]) for head in HEADS[1:])])} |")
    print(f"\n{seconds:.0f} seconds")
    print("\n".join(total.wrong[:20]), file=sys.stderr)
    return 1 if total.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
