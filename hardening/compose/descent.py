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

from collections.abc import Mapping, Sequence
from typing import Any

from hardening.base.values import frozen
from hardening.compose.fold import Fold, HistoryStep, LayerStatements, LeafEntry, Resolved
from hardening.errors import HardeningError, ProfileError
from hardening.mechanism.schema import WILDCARD, Family, Leaf, Statement
from hardening.profile.source import Origin

_Statements = Mapping[tuple[str, str], Statement]


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
            self.value, self.origin = self._cut(entry.inherited.value), entry.inherited.origin
            self.steps = [*entry.inherited.steps, *self.steps]
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
    mechanism: str, family: Family[Any], stating: Sequence[LayerStatements], source: str
) -> tuple[dict[Leaf, Resolved], list[HardeningError]]:
    """Every named member of ``family``, and ``*``, with the problems of those that cannot be folded. A member below one
    with a problem is left out: it would only have the same one. ``source`` is where the defaults stand."""
    return _Descent(mechanism, family, stating, source).run()


class _Descent:
    def __init__(self, mechanism: str, family: Family[Any], stating: Sequence[LayerStatements], source: str) -> None:
        self.mechanism = mechanism
        self.source = source
        self.family = family
        self.stating = stating
        self.speakers = self._speakers()
        self.folds: dict[str, _Member] = {}
        self.resolved: dict[str, Resolved] = {}

    def run(self) -> tuple[dict[Leaf, Resolved], list[HardeningError]]:
        problems: list[HardeningError] = []
        failed: set[str] = set()
        members = dict.fromkeys([*self.family.default, *self.speakers, WILDCARD])
        chains = {member: self.family.chain(member) for member in members}
        for member in sorted(members, key=lambda member: len(chains[member])):
            chain = chains[member]
            if not failed.isdisjoint(chain):
                failed.add(member)
                continue
            try:
                self._fold(member, chain)
            except ProfileError as error:
                problems.append(error)
                failed.add(member)
        leaves = {Leaf(self.mechanism, self.family.name, member): found for member, found in self.resolved.items()}
        return leaves, problems

    def _speakers(self) -> dict[str, list[int]]:
        """By member, the places of the layers that say something of it, or limit it."""
        found: dict[str, dict[int, None]] = {}
        for place, part in enumerate(self.stating):
            for setting, member in (*part.statements, *part.limits):
                if setting == self.family.name:
                    found.setdefault(member, {})[place] = None
            if part.layer.complete is not None:
                found.setdefault(WILDCARD, {})[place] = None
        return {member: list(places) for member, places in found.items()}

    def _fold(self, member: str, chain: tuple[str, ...]) -> None:
        leaf = Leaf(self.mechanism, self.family.name, member)
        fold = self.folds[member] = _Member(leaf, self.family)
        places = sorted({place for name in chain for place in self.speakers.get(name, ())})
        entries: list[_Entry] = []
        named = False
        for place in places:
            part = self.stating[place]
            own = part.statements.get((self.family.name, member))
            entries.append(self._entry(part, chain, named))
            named = named or own is not None
        above = self._state(chain[1:])
        default = self.family.default.get(member, self.family.rest) if above is None else above.value
        self.resolved[member] = fold.run(entries, default, str(above.origin) if above is not None else self.source)

    def _entry(self, part: LayerStatements, chain: tuple[str, ...], named: bool) -> _Entry:
        """What a layer contributes to the first member of a chain; ``named`` says whether a layer before has named it."""
        member, setting = chain[0], self.family.name
        limit = self._nearest(part.limits, chain)
        own = part.statements.get((setting, member))
        exception = part.exceptions.get((setting, member))
        if own is None:
            # Of one that is not named yet nothing has to be said: it is whatever is above it.
            statement = self._nearest(part.statements, chain[1:]) if named else None
            statement = (
                None
                if statement is None
                else Statement(setting, member, statement.value, statement.origin, is_upper_bound=True)
            )
            return _Entry(part.layer, limit, statement, None, part.place)
        inherited = None if named else self._state(chain[1:], part.place)
        return _Entry(part.layer, limit, own, exception, part.place, inherited)

    def _nearest(self, statements: _Statements, chain: Sequence[str]) -> Statement | None:
        for name in chain:
            found = statements.get((self.family.name, name))
            if found is not None:
                return found
        return None

    def _state(self, chain: Sequence[str], before: int | None = None) -> _State | None:
        """The value of the nearest named member of a chain, before the layer at a place or at the end of the stack."""
        for name in chain:
            states = self.folds[name].states if name in self.folds else ()
            for state in reversed(states):
                if before is None or state.place < before:
                    return state
        return None
