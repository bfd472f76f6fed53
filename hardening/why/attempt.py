"""Composing as far as it goes: an explanation must show a stack that is refused, too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date
from typing import Any

import attrs

from hardening.base.values import frozen
from hardening.compose.composition import Composition
from hardening.compose.fold import Resolved
from hardening.compose.image_defaults import ImageDefaults
from hardening.compose.implied import compose_here
from hardening.errors import HardeningError
from hardening.mechanism.host import Host
from hardening.mechanism.mechanism import Mechanism, Reading
from hardening.mechanism.schema import Family, Leaf, Statement
from hardening.profile.layers import Layer, Stack

REFUSED = "refused"
NOT_REACHED = "not reached"
LIMIT = "limit"


@frozen(eq=False)
class Attempt:
    """What could be composed of a stack. ``error`` says why not all of it; ``pending`` are the layers from the one that
    was refused on, which the composition leaves out. ``offer`` is what an image says of itself, below all of them."""

    composition: Composition
    host: Host
    today: date
    error: HardeningError | None = None
    pending: tuple[Layer, ...] = ()
    offer: ImageDefaults | None = None


@frozen
class Pending:
    """What a layer that was left out says of a leaf."""

    layer: str
    origin: str
    said: str
    outcome: str
    statement: Statement


def attempt(
    stack: Stack,
    mechanisms: Sequence[Mechanism[Any]],
    host: Host,
    today: date,
    about: str | None = None,
    offer: ImageDefaults | None = None,
) -> Attempt:
    """Compose a stack; where it is refused, compose the mechanism ``about`` alone, and if that is refused too, as many
    of its layers as possible. Only what no layer at all can cause is raised."""

    def composed(layers: Sequence[Layer]) -> Composition:
        return compose_here(attrs.evolve(stack, layers=tuple(layers)), mechanisms, host, today, offer)

    try:
        return Attempt(composed(stack.layers), host, today, offer=offer)
    except HardeningError as error:
        refusal = error
    if about is not None:
        mechanisms = _needed(mechanisms, about)
        stack = _narrow(stack, {mechanism.name for mechanism in mechanisms})
    for length in range(len(stack.layers), 0, -1):
        with suppress(HardeningError):
            first, pending = stack.layers[:length], stack.layers[length:]
            return Attempt(composed(first), host, today, refusal, pending, offer)
    return Attempt(composed(()), host, today, refusal, stack.layers, offer)


def _needed(mechanisms: Sequence[Mechanism[Any]], name: str) -> list[Mechanism[Any]]:
    """A mechanism and those whose settings it reads."""
    wanted: list[str] = []
    waiting = [name]
    while waiting:
        current = waiting.pop()
        wanted.append(current)
        waiting += [
            before
            for mechanism in mechanisms
            if mechanism.name == current
            for before in mechanism.after
            if before not in wanted
        ]
    return [mechanism for mechanism in mechanisms if mechanism.name in wanted]


def _narrow(stack: Stack, names: set[str]) -> Stack:
    """The stack without the tables of other mechanisms."""
    layers = tuple(
        attrs.evolve(
            layer,
            tables={name: node for name, node in layer.tables.items() if name in names},
            limits={name: node for name, node in layer.limits.items() if name in names},
            exceptions=tuple(item for item in layer.exceptions if item.setting.split(".")[0] in names),
        )
        for layer in stack.layers
    )
    return attrs.evolve(stack, layers=layers)


def pending(attempt: Attempt, mechanism: Mechanism[Any], entry: Resolved) -> Iterator[Pending]:
    """What the layers that were left out say of a leaf. What cannot be read is in the error that was shown."""
    kind = mechanism.schema.settings[entry.leaf.setting].kind
    for index, layer in enumerate(attempt.pending):
        reading = Reading(attempt.host, attempt.composition.composed)
        limit = _statement(mechanism, layer, entry.leaf, reading, limits=True)
        if limit is not None:
            yield Pending(layer.name, str(limit.origin), kind.show(limit.value), LIMIT, limit)
        statement = _statement(mechanism, layer, entry.leaf, reading, limits=False)
        if statement is None:
            continue
        looser = (
            entry.stated and not statement.is_upper_bound and not kind.is_no_looser_than(statement.value, entry.value)
        )
        ceilings = [entry.limit] if entry.limit_origin else []
        ceilings += [limit.value] if limit is not None else []
        beyond = not layer.shipped and any(not kind.is_no_looser_than(statement.value, ceiling) for ceiling in ceilings)
        outcome = REFUSED if index == 0 and (looser or beyond) else NOT_REACHED
        yield Pending(layer.name, str(statement.origin), kind.show(statement.value), outcome, statement)


def _statement(
    mechanism: Mechanism[Any], layer: Layer, leaf: Leaf, reading: Reading, *, limits: bool
) -> Statement | None:
    table = (layer.limits if limits else layer.tables).get(mechanism.name)
    if table is None:
        return None
    try:
        statements = list(mechanism.limits(table, reading) if limits else mechanism.statements(table, reading))
    except HardeningError:
        return None
    by_leaf = {(statement.setting, statement.member): statement for statement in statements}
    setting = mechanism.schema.settings[leaf.setting]
    chain = setting.chain(leaf.member) if isinstance(setting, Family) else (leaf.member,)
    return next((by_leaf[leaf.setting, name] for name in chain if (leaf.setting, name) in by_leaf), None)
