"""What differs between two compositions, leaf by leaf: what the second one permits that the first denies, and the reverse.

A leaf that neither names has on both sides the value of a leaf that one of them does name, so that the named ones of both
are all there is to compare. The order is that of each setting's kind (`hardening.mechanism.kinds`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from enum import StrEnum
from functools import reduce
from typing import Any

import attrs

from hardening.assemble import pipeline
from hardening.base.values import frozen
from hardening.compose.composition import Composition
from hardening.compose.fold import EMPTY, Resolved, text
from hardening.errors import HardeningError
from hardening.mechanism.findings import Gate, Severity
from hardening.mechanism.host import Host
from hardening.mechanism.kinds import Kind, Order, ValueChange
from hardening.mechanism.schema import Leaf
from hardening.profile.exemption import Exemption

UNLIMITED = "no limit"
#: A leaf, and what it comes to in two compositions.
_Pair = tuple[Leaf, Resolved, Resolved]


class Subject(StrEnum):
    """What differs: the value that a run has, what later layers may say, or which findings refuse a run."""

    VALUE = "value"
    LIMIT = "limit"
    FINDINGS = "findings"


@frozen(eq=False)
class LeafDifference:
    """One part of one leaf, or of its limit, in which two compositions differ. ``what`` names the part, and is empty for the
    whole; ``before`` and ``after`` are texts, ``origins`` where each was decided; ``order`` is how the second stands to the
    first. ``entries`` are the two leaves, None for what is no leaf: then ``leaf`` names a rule of findings."""

    leaf: Leaf
    subject: Subject
    what: str
    before: str
    after: str
    order: Order
    origins: tuple[str, str]
    entries: tuple[Resolved, Resolved] | None = None

    @property
    def name(self) -> str:
        """The leaf as a profile has it."""
        return f"limits.{self.leaf}" if self.subject is Subject.LIMIT else str(self.leaf)

    @property
    def exception(self) -> Exemption | None:
        """What permitted the second value in its own stack; None where no earlier layer said anything stricter."""
        return self.entries[1].exception if self.entries is not None and self.subject is Subject.VALUE else None


@frozen(eq=False)
class StackComparison:
    """All in which two compositions differ; ``added`` and ``removed`` are the exceptions that one of them alone has, which
    permit nothing by themselves."""

    differences: tuple[LeafDifference, ...]
    added: tuple[Exemption, ...] = ()
    removed: tuple[Exemption, ...] = ()

    @property
    def order(self) -> Order:
        """How the second stands to the first."""
        return reduce(both, (item.order for item in self.differences), Order.SAME)


def both(one: Order, other: Order) -> Order:
    """How a whole stands to another whose two parts stand so."""
    if one is other or other is Order.SAME or (other is Order.OTHER and one is not Order.SAME):
        return one
    return other if one in (Order.SAME, Order.OTHER) else Order.INCOMPARABLE


def compare(before: Composition, after: Composition, host: Host | None = None) -> StackComparison:
    """Everything in which ``after`` differs from ``before``. Both were composed by the same mechanisms. ``host`` is as for
    `differences`."""
    pairs = _unlike(before, after)
    found = (*_of_values(pairs, before, after, host), *_limits(pairs), *_gates(before, after))
    old, new = ([item for layer in stack.stack.layers for item in layer.exceptions] for stack in (before, after))
    return StackComparison(found, _without(new, old), _without(old, new))


def differences(before: Composition, after: Composition, host: Host | None = None) -> Iterator[LeafDifference]:
    """The leaves of which a run has another value, by mechanism and name. With a ``host`` what is stricter by its order and
    yet shows what it lay over there counts as what cannot be compared."""
    yield from _of_values(_unlike(before, after), before, after, host)


def _of_values(
    pairs: Sequence[_Pair], before: Composition, after: Composition, host: Host | None
) -> Iterator[LeafDifference]:
    for leaf, one, other, seen in _values(pairs, before, after, host):
        for change in _changes(one.kind, one.value, other.value):
            said = attrs.evolve(change, what=seen, order=Order.INCOMPARABLE) if seen is not None else change
            yield _of(leaf, Subject.VALUE, said, (one.origin, other.origin), (one, other))


def beyond(composition: Composition, floor: Composition, host: Host | None = None) -> Iterator[LeafDifference]:
    """Every leaf, as a whole, in which ``composition`` permits more than ``floor``, or cannot be compared with it. ``host``
    is as for `differences`."""
    for leaf, one, other, seen in _values(_unlike(floor, composition), floor, composition, host):
        order = one.kind.order(other.value, one.value) if seen is None else Order.INCOMPARABLE
        if order in (Order.LOOSER, Order.INCOMPARABLE):
            change = ValueChange(seen or "", one.shown, other.shown, order)
            yield _of(leaf, Subject.VALUE, change, (one.origin, other.origin), (one, other))


def _values(
    pairs: Sequence[_Pair], before: Composition, after: Composition, host: Host | None
) -> Iterator[tuple[Leaf, Resolved, Resolved, str | None]]:
    """The leaves, with words for what is seen in the place of one on a host; None where nothing is."""
    seen = _uncovered(pairs, before, after, host)
    for leaf, one, other in pairs:
        yield leaf, one, other, seen.get(leaf)


def _uncovered(pairs: Sequence[_Pair], before: Composition, after: Composition, host: Host | None) -> dict[Leaf, str]:
    """The leaves of ``before`` in whose place something else is seen under ``after``, with words for it: by its settings,
    and on a host, where there is one on which it can run."""
    tighter = {leaf for leaf, one, other in pairs if one.kind.order(other.value, one.value) is Order.TIGHTER}
    if not tighter:
        return {}
    found: dict[Leaf, str] = {}
    context = None
    with suppress(HardeningError):  # of what cannot run here nothing is seen on this host
        context = pipeline.examine(after, host) if host is not None else None
    for mechanism in after.mechanisms:
        found |= mechanism.uncovered(after.settings[mechanism.name], context, before.settings[mechanism.name])
    return {leaf: words for leaf, words in found.items() if leaf in tighter}


def _unlike(before: Composition, after: Composition) -> list[_Pair]:
    """The leaves that have another value, or limit, by mechanism and name. Few differ of a thousand, so that those alone are
    sorted."""
    mechanisms = {mechanism.name: (place, mechanism) for place, mechanism in enumerate(before.mechanisms)}
    found: list[_Pair] = []
    for leaf in {**before.leaves, **after.leaves}:
        mechanism = mechanisms[leaf.mechanism][1]
        one, other = (
            item.leaves.get(leaf) or item.at(mechanism, leaf.setting, leaf.member) for item in (before, after)
        )
        limited = bool(one.limit_origin), bool(other.limit_origin)
        if one.value != other.value or limited[0] is not limited[1] or (limited[0] and one.limit != other.limit):
            found.append((leaf, one, other))
    return sorted(found, key=lambda pair: (mechanisms[pair[0].mechanism][0], pair[0]))


def _of(
    leaf: Leaf,
    subject: Subject,
    change: ValueChange,
    origins: tuple[str, str],
    entries: tuple[Resolved, Resolved] | None,
) -> LeafDifference:
    return LeafDifference(leaf, subject, change.what, change.before, change.after, change.order, origins, entries)


def _changes(kind: Kind[Any], before: Any, after: Any) -> Iterable[ValueChange]:
    """The parts of a change, where an empty text is seen."""
    if before == after:
        return
    for change in kind.changes(before, after):
        yield attrs.evolve(change, before=change.before or EMPTY, after=change.after or EMPTY)


def _limits(pairs: Sequence[_Pair]) -> Iterator[LeafDifference]:
    """The leaves that later layers may loosen less, or more."""
    for leaf, one, other in pairs:
        origins = (one.limit_origin, other.limit_origin)
        if not any(origins):
            continue
        changes: Iterable[ValueChange]
        if all(origins):
            changes = _changes(one.kind, one.limit, other.limit)
        else:
            order = Order.LOOSER if one.limit_origin else Order.TIGHTER
            if one.kind.is_loosest(one.limit if one.limit_origin else other.limit):
                order = Order.OTHER  # a limit that leaves everything to later layers
            old, new = (text(item.kind, item.limit) if item.limit_origin else UNLIMITED for item in (one, other))
            changes = (ValueChange("", old, new, order),)
        yield from (_of(leaf, Subject.LIMIT, change, origins, (one, other)) for change in changes)


def _gates(before: Composition, after: Composition) -> Iterator[LeafDifference]:
    """The rules whose findings refuse a run of one of them from another severity on; that of all others has no name."""
    found = [item.gates for item in (before, after)]
    for rule in sorted({rule for side in found for gate in side for rule in gate.places}):
        (rank, old, place), (other, new, other_place) = (_refusal(side, rule) for side in found)
        if rank != other:
            change = ValueChange("", old, new, Order.LOOSER if other > rank else Order.TIGHTER)
            yield _of(Leaf("findings", "rules", rule), Subject.FINDINGS, change, (place, other_place), None)


def _refusal(side: Iterable[Gate], rule: str) -> tuple[int, str, str]:
    """From which severity on some gate refuses what a rule finds, the least as a number that grows with it, and the line."""
    said = ((gate.least(rule), gate.line(rule)) for gate in side)
    found = [(least.rank, str(least), str(line)) for least, line in said if least is not None]
    return min(found, default=(len(Severity), "never", ""))


def _without(exceptions: Iterable[Exemption], others: Iterable[Exemption]) -> tuple[Exemption, ...]:
    """The exceptions that say what none of the others does, wherever they stand."""

    def said(item: Exemption) -> tuple[object, ...]:
        return (item.setting, item.reason, item.ticket, item.expires)

    known = {said(item) for item in others}
    return tuple(item for item in exceptions if said(item) not in known)
