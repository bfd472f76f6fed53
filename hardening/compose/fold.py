"""The fold that decides a leaf, and keeps everything that was said of it.

The says of the layers are folded from the first layer to the last:

- the first say is free;
- a say that is at most as loose as the value so far replaces it;
- a looser one, or one that cannot be compared, is an error, unless an exception of the same layer names the leaf;
- an *at most* say (a complete seccomp filter) never loosens: the value becomes the meet of both;
- limits meet; what a layer says at or after a limit must not exceed it, and what was said before is cut down to it; so is
  what a shipped profile says after it, of which its users can change neither.

A leaf of which no layer says anything has the strict default of its mechanism, cut down to the limits. A layer that is
``complete`` states the strict defaults of all leaves that are unstated so far and that have an order, so that a later layer
loosens them only with an exception.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from typing import Any

import attrs

from hardening.base.values import frozen
from hardening.errors import ProfileError, quoted
from hardening.mechanism.kinds import Kind
from hardening.mechanism.schema import WILDCARD, Leaf, Statement
from hardening.profile.exemption import REASON, Exemption
from hardening.profile.layers import Layer
from hardening.profile.source import Origin
from hardening.profile.toml_text import inline

#: How a message shows a value whose text is empty.
EMPTY = "(none)"


class Outcome(StrEnum):
    """What became of one say."""

    STATED = "stated"
    SAME = "same"
    TIGHTENED = "tightened"
    INTERSECTED = "intersected"
    EXCEPTED = "loosened by exception"
    LIMIT = "limit"
    CUT = "cut by limit"
    COMPLETED = "strict default of a complete profile"


@frozen
class HistoryStep:
    """One entry of a leaf's history: what a layer said, and the value after it, which nobody may have stated yet. Few of
    them are ever shown, so their text is made where one is."""

    layer: str
    place: Origin
    given: Any
    outcome: Outcome
    stated: bool
    after: Any
    exception: Exemption | None
    kind: Kind[Any] = attrs.field(eq=False, repr=False)

    @property
    def origin(self) -> str:
        """Where it was said."""
        return str(self.place)

    @property
    def said(self) -> str:
        """What was said, as text, with how it was written where that has placeholders."""
        written = f" (written {self.place.written})" if self.place.written else ""
        return self.kind.show(self.given) + written

    @property
    def value(self) -> str:
        """The value after it, as text."""
        return self.kind.show(self.after) if self.stated else ""


def text(kind: Kind[Any], value: Any) -> str:
    """A value for a message, where one that is empty would not be seen."""
    return kind.show(value) or EMPTY


def described_origin(origin: object, steps: Iterable[HistoryStep]) -> str:
    """The place of a decision for a message; at a line of which nobody would think, with what it does there."""
    completed = any(step.outcome is Outcome.COMPLETED and str(step.place) == str(origin) for step in steps)
    return f"{origin} ({Outcome.COMPLETED})" if completed else str(origin)


@frozen
class Resolved:
    """The composed value of one leaf. ``origin`` is that of the say that decided it; ``limit`` is the ceiling, if any."""

    leaf: Leaf
    value: Any
    origin: str
    stated: bool
    steps: tuple[HistoryStep, ...]
    limit: Any
    limit_origin: str
    kind: Kind[Any] = attrs.field(eq=False, repr=False)

    @property
    def shown(self) -> str:
        """The value as text."""
        return self.kind.show(self.value)

    @property
    def described_origin(self) -> str:
        """The origin for a message."""
        return described_origin(self.origin, self.steps)

    @property
    def decided(self) -> bool:
        """Whether a layer decided the value, which states it or whose limit the default exceeds."""
        return self.stated or self.origin == self.limit_origin

    @property
    def exception(self) -> Exemption | None:
        """What permitted the value: the last exception for a loosening that no limit and no later layer has taken back."""
        found: Exemption | None = None
        before: Any = None
        for step in self.steps:
            # One for what a value comes to elsewhere (`hardening.compose.implied`) leaves the value as it is.
            if step.exception is not None and (
                step.after == before or not self.kind.is_no_looser_than(self.value, before)
            ):
                found = step.exception
            before = step.after if step.stated else before
        return found

    @property
    def limit_shown(self) -> str:
        """The ceiling as text; empty where there is none."""
        return self.kind.show(self.limit) if self.limit_origin else ""


@frozen(eq=False)
class LeafEntry:
    """What one layer contributes to one leaf."""

    layer: Layer
    limit: Statement | None
    statement: Statement | None
    exception: Exemption | None


@frozen(eq=False)
class LayerStatements:
    """One layer's says about one mechanism, by setting and member; ``place`` is the layer's in the stack."""

    place: int
    layer: Layer
    statements: Mapping[tuple[str, str], Statement]
    limits: Mapping[tuple[str, str], Statement]
    exceptions: Mapping[tuple[str, str], Exemption]

    @cached_property
    def members(self) -> Mapping[str, Collection[str]]:
        """The members of which it says something, by setting."""
        found: dict[str, dict[str, None]] = {}
        for setting, member in (*self.statements, *self.limits):
            found.setdefault(setting, {})[member] = None
        return found

    def entry(self, setting: str, member: str) -> LeafEntry:
        """What it contributes to one leaf of a scalar, or of a family whose members stand side by side."""
        key, rest = (setting, member), (setting, WILDCARD)
        return LeafEntry(
            self.layer,
            self.limits.get(key) or self.limits.get(rest),
            self.statements.get(key) or self.statements.get(rest),
            self.exceptions.get(key),
        )


def permission(leaf: Leaf, layer: Layer | None, word: str = "") -> str:
    """What somebody adds to a layer to permit a loosening of a leaf there, or of all that a ``word`` of that layer means."""
    name = str(Leaf(leaf.mechanism, leaf.setting, word)) if word else str(leaf)
    if layer is None or not layer.document.typed:
        setting = inline(name)
        return f'at the end of the same layer:\n[[exceptions]]\nsetting = {setting}\nreason = "…"'
    return f"--exception {quoted(f'{name}={REASON}')}"


class Fold:
    """The fold of one leaf."""

    def __init__(self, leaf: Leaf, kind: Kind[Any]) -> None:
        self.leaf = leaf
        self.kind = kind
        self.steps: list[HistoryStep] = []
        self.value: Any = None
        self.origin: Origin | None = None
        self.limit: Statement | None = None
        #: whether it is a complete layer alone that has stated the value
        self.completed = False

    def run(self, entries: Sequence[LeafEntry], default: Any, default_origin: str) -> Resolved:
        """Fold the entries in their order. What nobody says is ``default``, set at ``default_origin``. Raises
        `ProfileError`."""
        for entry in entries:
            self._take(entry, default)
        stated = self.origin is not None
        origin = str(self.origin) if stated else self._rest_on(default, default_origin)
        return Resolved(
            self.leaf,
            self.value,
            origin,
            stated,
            tuple(self.steps),
            self.limit.value if self.limit else None,
            str(self.limit.origin) if self.limit else "",
            self.kind,
        )

    def _take(self, entry: LeafEntry, default: Any) -> None:
        if entry.limit is not None:
            self._ratchet(entry.layer, entry.limit)
        if entry.statement is not None:
            self._say(entry.layer, entry.statement, entry.exception)
        elif entry.layer.complete is not None and self.origin is None and self._closes(default):
            self._complete(entry.layer, Statement(self.leaf.setting, self.leaf.member, default, entry.layer.complete))

    def _ratchet(self, layer: Layer, said: Statement) -> None:
        if self.limit is None:
            self.limit = said
        elif not self.kind.is_no_looser_than(self.limit.value, said.value):
            self.limit = attrs.evolve(said, value=self._intersect_values(self.limit, said.value, said.origin))
        self._record(layer, said, Outcome.LIMIT)
        if self.origin is not None and not self.kind.is_no_looser_than(self.value, self.limit.value):
            if self.completed:
                cut = self._nearest(self.limit, self.value)
            else:
                cut = self._intersect_values(self.limit, self.value, self.origin)
            self._record_cut(layer, self.limit, cut)

    def _say(self, layer: Layer, said: Statement, exception: Exemption | None) -> None:
        is_upper_bound = said.is_upper_bound and exception is None
        value, outcome, used = said.value, Outcome.STATED, None
        if not (is_upper_bound or layer.shipped):
            # First, for no exception helps: who is told of a missing one must not meet the limit next.
            self._require_within_limit(said)
        if self.origin is not None and is_upper_bound:
            value, outcome = self._intersect(layer, said), Outcome.INTERSECTED
        cut = self._cut(value)
        if self.origin is not None and not is_upper_bound:
            if self.kind.is_no_looser_than(cut, self.value):
                outcome = Outcome.SAME if self.kind.is_no_looser_than(self.value, cut) else Outcome.TIGHTENED
            elif exception is not None:
                outcome, used = Outcome.EXCEPTED, exception
            else:
                raise self._loosening(layer, said)
        if not (is_upper_bound and self.origin is not None and value == self.value):
            self.origin = said.origin
        self.value, self.completed = value, False
        self._record(layer, said, outcome, used)
        if cut is not value and self.limit is not None:
            self._record_cut(layer, self.limit, cut)

    def _rest_on(self, default: Any, origin: str) -> str:
        """Take the default, within the limit, and return the origin of which of them decided."""
        self.value = default if self.limit is None else self._nearest(self.limit, default)
        return origin if self.limit is None or self.value is default else str(self.limit.origin)

    def _closes(self, default: Any) -> bool:
        """Whether a complete layer states a default: not one without an order, nor that all other members are permitted
        whatever they are, which no layer can say, and nothing loosens."""
        if self.kind.unordered or self.kind.identity:
            return False
        return self.leaf.member != WILDCARD or not self.kind.is_loosest(default)

    def _complete(self, layer: Layer, said: Statement) -> None:
        self.value, self.origin, self.completed = said.value, said.origin, True
        self._record(layer, said, Outcome.COMPLETED)
        if self.limit is not None and (cut := self._nearest(self.limit, said.value)) is not said.value:
            self._record_cut(layer, self.limit, cut)

    def _nearest(self, limit: Statement, default: Any) -> Any:
        """A default within a limit. One that excludes it altogether, such as another root, leaves its own value."""
        if self.kind.is_no_looser_than(default, limit.value):
            return default
        met = self.kind.intersect(limit.value, default)
        return limit.value if met is None and not self.kind.optional else met

    def _require_within_limit(self, said: Statement) -> None:
        if self.limit is not None and not self.kind.is_no_looser_than(said.value, self.limit.value):
            raise ProfileError(
                f"{self.leaf}: {said.word or text(self.kind, said.value)} exceeds the limit "
                f"{text(self.kind, self.limit.value)} set at {self.limit.origin}",
                origin=said.origin,
                hint="no exception lifts a limit: stay within it, or have it changed where it is set",
                setting=str(self.leaf),
            )

    def _intersect(self, layer: Layer, said: Statement) -> Any:
        met = self.kind.intersect(self.value, said.value)
        if met is None and not self.kind.optional:
            raise self._loosening(layer, said)
        return met

    def _cut(self, value: Any) -> Any:
        if self.limit is None or self.kind.is_no_looser_than(value, self.limit.value):
            return value
        return self._intersect_values(self.limit, value, self.limit.origin)

    def _intersect_values(self, limit: Statement, value: Any, origin: Origin) -> Any:
        met = self.kind.intersect(limit.value, value)
        if met is None and not self.kind.optional:
            raise ProfileError(
                f"{self.leaf}: {text(self.kind, value)} and the limit {text(self.kind, limit.value)} set at {limit.origin} "
                "have no value in common",
                origin=origin,
                setting=str(self.leaf),
            )
        return met

    def _loosening(self, layer: Layer, said: Statement) -> ProfileError:
        looser = self.kind.is_no_looser_than(self.value, said.value)
        how = "is looser than" if looser else "cannot be compared with"
        hint = f"{self._way_out(said, looser)}, or add {permission(self.leaf, layer, said.word)}"
        if layer.shipped and self.origin is not None:
            # It is not the caller's to be edited, and what is named later only tightens it.
            line = f"`-p {quoted(layer.asked)} -p {quoted(self.origin.layer)}`"
            hint = f"name {self.origin.layer} after {layer.asked}, as in {line}"
        return ProfileError(
            f"{self.leaf}: {said.word or text(self.kind, said.value)} {how} {text(self.kind, self.value)}, "
            f"set at {described_origin(self.origin, self.steps)}",
            origin=said.origin,
            hint=hint,
            setting=str(self.leaf),
        )

    def _way_out(self, said: Statement, looser: bool) -> str:
        """What to say instead of a loosening. Of values that cannot be compared neither is stricter."""
        within = None if looser else self.kind.intersect(self.value, said.value)
        if within is None or not self.kind.parts:
            return "keep the stricter value"
        return f"write {inline(self.kind.show(within))} ({self.kind.parts}), the loosest that is within both"

    def _record_cut(self, layer: Layer, limit: Statement, value: Any) -> None:
        """From here on it is the limit that decides the value."""
        self.value, self.origin = value, limit.origin
        self._record(layer, limit, Outcome.CUT)

    def _record(self, layer: Layer, said: Statement, outcome: Outcome, exception: Exemption | None = None) -> None:
        stated = self.origin is not None
        after = self.value if stated else None
        self.steps.append(
            HistoryStep(layer.name, said.origin, said.value, outcome, stated, after, exception, self.kind)
        )
