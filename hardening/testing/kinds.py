"""The laws that the values of one kind keep: those of a meet-semilattice (`hardening.testing.laws`)."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

import tomli_w

from hardening.base.values import frozen
from hardening.compare.difference import both
from hardening.errors import HardeningError
from hardening.mechanism.kinds import Kind, Order
from hardening.profile.source import Document, Node

T = TypeVar("T")


@frozen
class Broken:
    """A law that does not hold, and what shows it."""

    law: str
    evidence: str


def check_kind(kind: Kind[T], samples: Sequence[T] | None = None, *, written: bool = True) -> list[Broken]:
    """The laws of a meet-semilattice, over the kind's own samples or those given.

    ``written`` includes the law that `Kind.parse` reads back what `Kind.dump` writes; leave it out for a kind that is
    only used for items of a list, whose grammar the family has.
    """
    values = list(kind.samples() if samples is None else samples)
    broken = [*_order(kind, values), *_intersect_values(kind, values), *_changes(kind, values)]
    if written:
        broken += _reads_back(kind, values)
    if len(values) < 2:
        broken.append(Broken("samples", f"{type(kind).__name__} has {len(values)} samples: nothing can be compared"))
    return broken


def equivalent(kind: Kind[T], a: T, b: T) -> bool:
    """Whether two values allow the same; a neutral kind compares by equality."""
    return a == b if kind.unordered else kind.is_no_looser_than(a, b) and kind.is_no_looser_than(b, a)


def _order(kind: Kind[T], values: Sequence[T]) -> Iterator[Broken]:
    for a in values:
        if not kind.is_no_looser_than(a, a):
            yield Broken("reflexive", f"{kind.show(a)} is not at most as loose as itself")
    for a, b, c in itertools.product(values, repeat=3):
        if kind.is_no_looser_than(a, b) and kind.is_no_looser_than(b, c) and not kind.is_no_looser_than(a, c):
            yield Broken("transitive", _show(kind, a, b, c))
    if kind.unordered:
        return
    for a, b in itertools.combinations(values, 2):
        if kind.is_no_looser_than(a, b) and kind.is_no_looser_than(b, a) and kind.show(a) != kind.show(b):
            yield Broken(
                "antisymmetric", f"{_show(kind, a, b)} are at most as loose as each other, and read differently"
            )


def _intersect_values(kind: Kind[Any], values: Sequence[Any]) -> Iterator[Broken]:
    for a in values:
        if not _same(kind, kind.intersect(a, a), a):
            yield Broken("intersect is idempotent", _show(kind, a))
    if kind.unordered:
        return
    for a, b in itertools.product(values, repeat=2):
        met = kind.intersect(a, b)
        if not _same(kind, met, kind.intersect(b, a)):
            yield Broken("intersect is commutative", _show(kind, a, b))
        if not _none(kind, met) and not (kind.is_no_looser_than(met, a) and kind.is_no_looser_than(met, b)):
            yield Broken("intersect is a lower bound", f"{_show(kind, a, b)} meet in {kind.show(met)}")
        for c in values:
            if (
                kind.is_no_looser_than(c, a)
                and kind.is_no_looser_than(c, b)
                and (_none(kind, met) or not kind.is_no_looser_than(c, met))
            ):
                yield Broken(
                    "intersect is the greatest lower bound", f"{_show(kind, a, b)}: {kind.show(c)} is below both"
                )
            if not _same(kind, _intersection_of(kind, met, c), _intersection_of(kind, a, kind.intersect(b, c))):
                yield Broken("intersect is associative", _show(kind, a, b, c))


def _changes(kind: Kind[T], values: Sequence[T]) -> Iterator[Broken]:
    """What differs between two values is told, and its parts come to what the order says of the whole."""
    for a, b in itertools.product(values, repeat=2):
        parts = kind.changes(a, b)
        told = reduce(both, (part.order for part in parts), Order.SAME)
        if a != b and told is not kind.order(b, a):
            yield Broken("changes are told", f"{_show(kind, a, b)}: {told}, where the second is {kind.order(b, a)}")


def _intersection_of(kind: Kind[Any], a: Any, b: Any) -> Any:
    return None if _none(kind, a) or _none(kind, b) else kind.intersect(a, b)


def _same(kind: Kind[Any], a: Any, b: Any) -> bool:
    return a is b if _none(kind, a) or _none(kind, b) else equivalent(kind, a, b)


def _none(kind: Kind[Any], met: Any) -> bool:
    """Whether a meet says that there is none; None is a value of an optional kind."""
    return met is None and not kind.optional


def _reads_back(kind: Kind[T], values: Sequence[T]) -> Iterator[Broken]:
    for value in values:
        try:
            raw = tomllib.loads(tomli_w.dumps({"value": kind.dump(value)}))["value"]
            read = kind.parse(Node(raw, ("value",), document("sample", {})))
        except (TypeError, HardeningError) as error:
            yield Broken("what is dumped can be parsed", f"{kind.show(value)}: {error}")
            continue
        if not equivalent(kind, read, value):
            yield Broken("what is dumped is parsed to the same", f"{kind.show(value)} comes back as {kind.show(read)}")


def _show(kind: Kind[T], *values: T) -> str:
    return ", ".join(kind.show(value) for value in values)


def document(name: str, tables: Mapping[str, object]) -> Document:
    return Document(name, Path(f"{name}.toml"), tables, {})
