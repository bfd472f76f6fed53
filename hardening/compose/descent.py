"""The fold of a family whose members stand below one another, as the scopes of an image policy do.

A member that nobody names has the value of the nearest named one above it. So it goes with time as well:

- the first layer that names a member does so from the value that it had until then, that of the nearest one above it: a
  narrower `accept` below an earlier `reject` is a loosening;
- what a later layer says of a member above holds for one that it does not name, and that was named before, as an *at most*
  say: a later, broader `accept` loosens nothing below it, and a later, broader `reject` rejects all below;
- within one layer the nearest name counts, and nothing above it;
- an exception permits the member that it names, and those below that nobody has named: whoever has named one meant it;
- limits are looked up in the same way in each layer, and all of them hold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hardening.base.values import frozen
from hardening.compose.fold import Fold, HistoryStep, LayerStatements, LeafEntry, Resolved
from hardening.errors import HardeningError, ProfileError
from hardening.mechanism.schema import WILDCARD, Family, Leaf, Statement
from hardening.profile.source import Origin


@frozen(eq=False)
class _State:
    """A member after one layer, which stands at ``place`` in the stack."""

    place: int
    value: Any
    origin: Origin
    steps: tuple[HistoryStep, ...]


@frozen(eq=False)
class _Entry(LeafEntry):
    """``inherited`` is what the member was before anybody named it. A layer that is complete states the default of ``*``
    alone: all others without a value have that."""

    place: int
    inherited: _State | None = None


class _Member(Fold):
    """The fold of one member, which remembers what it was after each layer."""

    def __init__(self, leaf: Leaf, family: Family[Any]) -> None:
        super().__init__(leaf, family.kind)
        self.states: list[_State] = []

    def _take(self, entry: LeafEntry, default: Any) -> None:
        if not isinstance(entry, _Entry):
            raise TypeError("a member is folded from entries that know their place")
        if entry.inherited is not None:
            # Its earlier limits have been met; the one of this layer cuts what is inherited as it would cut any value.
            self.value, self.origin = entry.inherited.value, entry.inherited.origin
            self.steps = [*entry.inherited.steps, *self.steps]
            if self.limit is not None and (cut := self._cut(self.value)) is not self.value:
                self._record_cut(entry.layer, self.limit, cut)
        if self.leaf.member == WILDCARD:
            super()._take(entry, default)
        else:
            if entry.limit is not None:
                self._ratchet(entry.layer, entry.limit)
            if entry.statement is not None:
                self._say(entry.layer, entry.statement, entry.exception)
        if self.origin is not None:
            self.states.append(_State(entry.place, self.value, self.origin, tuple(self.steps)))


def fold_family(
    mechanism: str,
    family: Family[Any],
    speakers: Mapping[str, Mapping[LayerStatements, None]],
    source: str,
) -> tuple[dict[Leaf, Resolved], list[HardeningError]]:
    """Every named member of ``family``, and ``*``, with the problems of those that cannot be folded. A member below one
    with a problem is left out: it would only have the same one. ``speakers`` are the layers that say something of each
    member, or limit it, a layer that is complete for ``*``; ``source`` is where the defaults stand."""
    folds: dict[str, _Member] = {}
    resolved: dict[Leaf, Resolved] = {}
    problems: list[HardeningError] = []
    failed: set[str] = set()
    members = dict.fromkeys([*family.default, *speakers, WILDCARD])
    chains = {member: family.chain(member) for member in members}
    for member in sorted(members, key=lambda member: len(chains[member])):
        chain = chains[member]
        if not failed.isdisjoint(chain):
            failed.add(member)
            continue
        leaf = Leaf(mechanism, family.name, member)
        fold = folds[member] = _Member(leaf, family)
        parts = {part for name in chain for part in speakers.get(name, ())}
        entries: list[_Entry] = []
        named = False
        for part in sorted(parts, key=lambda part: part.place):
            entries.append(_entry(family.name, folds, part, chain, named))
            named = named or (family.name, member) in part.statements
        above = _state(folds, chain[1:])
        default = family.default.get(member, family.rest) if above is None else above.value
        try:
            resolved[leaf] = fold.run(entries, default, str(above.origin) if above is not None else source)
        except ProfileError as error:
            problems.append(error)
            failed.add(member)
    return resolved, problems


def _entry(
    setting: str, folds: Mapping[str, _Member], part: LayerStatements, chain: tuple[str, ...], named: bool
) -> _Entry:
    """What a layer contributes to the first member of a chain; ``named`` says whether a layer before has named it."""
    member = chain[0]
    limit = _nearest(part.limits, setting, chain)
    own = part.statements.get((setting, member))
    if own is not None:
        inherited = None if named else _state(folds, chain[1:], part.place)
        return _Entry(part.layer, limit, own, part.exceptions.get((setting, member)), part.place, inherited)
    # Of one that is not named yet nothing has to be said: it is whatever is above it.
    above = _nearest(part.statements, setting, chain[1:]) if named else None
    statement = (
        Statement(setting, member, above.value, above.origin, is_upper_bound=True) if above is not None else None
    )
    return _Entry(part.layer, limit, statement, None, part.place)


def _nearest(statements: Mapping[tuple[str, str], Statement], setting: str, chain: Sequence[str]) -> Statement | None:
    return next((statements[setting, name] for name in chain if (setting, name) in statements), None)


def _state(folds: Mapping[str, _Member], chain: Sequence[str], before: float = math.inf) -> _State | None:
    """The value of the nearest named member of a chain, ``before`` the layer at a place or at the end of the stack."""
    states = (state for name in chain if name in folds for state in reversed(folds[name].states))
    return next((state for state in states if state.place < before), None)
