"""The orders that settings have: what it means for one value to be at most as loose as another.

A kind is a meet-semilattice with a grammar: it reads a value from TOML, compares two values, and finds the loosest value
that is at most as loose as both. Mechanisms use these or bring their own; `hardening.testing.laws` checks any of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Generic, TypeVar

from hardening.base import units
from hardening.base.text import nearest
from hardening.base.values import frozen
from hardening.profile.source import Node

T = TypeVar("T")


class Order(StrEnum):
    """How one value stands to another: it permits the same, less, more, or each what the other does not. Values that differ
    in nothing that matters to security are only ``OTHER``."""

    SAME = "same"
    TIGHTER = "tighter"
    LOOSER = "looser"
    INCOMPARABLE = "incomparable"
    OTHER = "other"


@frozen
class ValueChange:
    """A part in which one value differs from another: ``what`` names it, and is empty for the whole; ``before`` and
    ``after`` are texts, ``order`` is how the second stands to the first."""

    what: str
    before: str
    after: str
    order: Order


class Kind(ABC, Generic[T]):
    """One order of values of type ``T``."""

    #: A neutral kind has no order that matters to security: it cannot be limited and never loosens.
    unordered: bool = False
    #: Which of its values is chosen says what runs, not what that may do: a complete layer leaves the choice open.
    identity: bool = False
    #: None is a value of an optional kind, and its strictest: an absent volume, for example.
    optional: bool = False
    #: What a value is made of, where the parts have orders of their own, and two values may have none.
    parts: str = ""

    @abstractmethod
    def parse(self, node: Node) -> T:
        """Read a value; raises `ProfileError` through the node."""

    @abstractmethod
    def is_no_looser_than(self, a: T, b: T) -> bool:
        """Whether ``a`` allows nothing that ``b`` does not."""

    @abstractmethod
    def intersect(self, a: T, b: T) -> T | None:
        """The loosest value at most as loose as both; None where a kind that is not optional has no such value."""

    @abstractmethod
    def grammar(self) -> str:
        """How the value is written, for the reference page."""

    def json_schema(self) -> Mapping[str, object]:
        """How the value is written, as JSON Schema (draft-07), for editors; anything, where a kind does not say it."""
        return {}

    @abstractmethod
    def samples(self) -> Sequence[T]:
        """A few values that differ in every way the order knows, for the property tests."""

    def order(self, value: T, other: T) -> Order:
        """How ``value`` stands to ``other``."""
        if value == other:
            return Order.SAME
        down, up = self.is_no_looser_than(value, other), self.is_no_looser_than(other, value)
        if down:
            return Order.OTHER if up else Order.TIGHTER
        return Order.LOOSER if up else Order.INCOMPARABLE

    def changes(self, before: T, after: T) -> Sequence[ValueChange]:
        """The parts in which two values differ that are not the same (``hardening diff``): the whole, unless a kind tells
        its parts apart."""
        return (ValueChange("", self.show(before), self.show(after), self.order(after, before)),)

    def is_loosest(self, value: T) -> bool:
        """Whether a value restricts nothing, as far as the samples tell."""
        return self.unordered or all(self.is_no_looser_than(sample, value) for sample in self.samples())

    def is_whole(self, value: T) -> bool:
        """Whether a value answers all that its name stands for alike; not so a rule that looks at arguments."""
        return True

    def candidates(self, value: T) -> Sequence[T]:
        """Values that may be looser than this. Where one is made of parts: those with a single part looser, each in turn.
        ``hardening explain`` offers the first of the smallest."""
        return self.samples()

    def steps(self, value: T) -> Sequence[T]:
        """Such values that ``hardening test --mutate`` tries, which may be more than anybody should be offered."""
        return self.candidates(value)

    def show(self, value: T) -> str:
        """The value as people read it: a boolean as TOML has it, and None, which TOML cannot say, as ``none``."""
        return str(value).lower() if isinstance(value, bool) or value is None else str(value)

    def dump(self, value: T) -> object:
        """The value as TOML data that `parse` reads back."""
        return value


@frozen(eq=False)
class Flag(Kind[bool]):
    """A boolean of which ``strict`` is the stricter one."""

    strict: bool

    def parse(self, node: Node) -> bool:
        return node.boolean()

    def is_no_looser_than(self, a: bool, b: bool) -> bool:
        return a == b or a is self.strict

    def intersect(self, a: bool, b: bool) -> bool:
        return self.strict if self.strict in (a, b) else a

    def grammar(self) -> str:
        return "`true` or `false`"

    def json_schema(self) -> Mapping[str, object]:
        return {"type": "boolean"}

    def samples(self) -> Sequence[bool]:
        return (True, False)


@frozen(eq=False)
class Choice(Kind[str]):
    """One of several words, ``values`` from the strictest to the loosest."""

    values: tuple[str, ...]

    def parse(self, node: Node) -> str:
        value = node.string()
        if value not in self.values:
            values = ", ".join(item or '""' for item in self.values)
            raise node.error(f'"{value}" is none of {values}', hint=nearest(value, self.values) or "write one of these")
        return value

    def is_no_looser_than(self, a: str, b: str) -> bool:
        return self.values.index(a) <= self.values.index(b)

    def intersect(self, a: str, b: str) -> str:
        return min(a, b, key=self.values.index)

    def grammar(self) -> str:
        return " \\| ".join(f'`"{value}"`' for value in self.values)

    def json_schema(self) -> Mapping[str, object]:
        return {"enum": list(self.values)}

    def samples(self) -> Sequence[str]:
        return self.values


@frozen(eq=False)
class Ceiling(Kind[int]):
    """A number of which the smaller is the stricter; ``size`` also takes ``"64M"`` (binary multiples)."""

    low: int = 0
    high: int = 2**63 - 1
    size: bool = False
    unit: str = ""

    def parse(self, node: Node) -> int:
        if self.size and isinstance(node.raw, str):
            try:
                number = units.size(node.raw)
            except ValueError as error:
                raise node.error(str(error), hint=units.SIZE_HINT) from None
            return Node(number, node.path, node.document).integer(self.low, self.high)
        return node.integer(self.low, self.high)

    def is_no_looser_than(self, a: int, b: int) -> bool:
        return a <= b

    def intersect(self, a: int, b: int) -> int:
        return min(a, b)

    def grammar(self) -> str:
        number = (
            f"{self.unit or 'number'}, {self.low} to {self.high}" if self.high < 2**63 - 1 else self.unit or "number"
        )
        return f'{number}, or a size such as `"64M"`' if self.size else number

    def json_schema(self) -> Mapping[str, object]:
        number = {"type": "integer", "minimum": self.low, "maximum": self.high}
        return {"anyOf": [number, {"type": "string"}]} if self.size else number

    def samples(self) -> Sequence[int]:
        return (self.low, self.low + 1, min(self.low + 4096, self.high), self.high)

    def candidates(self, value: int) -> Sequence[int]:
        """Twice as much, or the highest."""
        return (min(2 * value or 1, self.high),)

    def show(self, value: int) -> str:
        return units.show_size(value) if self.size else str(value)


@frozen(eq=False)
class Unordered(Kind[T]):
    """A value without an order that matters to security, such as a host name."""

    reader: Callable[[Node], T]
    text: str
    examples: tuple[T, ...] = ()
    unordered = True

    def parse(self, node: Node) -> T:
        return self.reader(node)

    def is_no_looser_than(self, a: T, b: T) -> bool:
        return True

    def intersect(self, a: T, b: T) -> T:
        return b

    def grammar(self) -> str:
        return self.text

    def samples(self) -> Sequence[T]:
        return self.examples


@frozen(eq=False)
class Exact(Kind[T]):
    """A value that can only be equal or incomparable, such as a path: any change of it counts as a loosening.

    ``strictest``, where there is one, is at most as loose as every value.
    """

    reader: Callable[[Node], T]
    text: str
    strictest: T | None = None
    examples: tuple[T, ...] = ()

    def parse(self, node: Node) -> T:
        return self.reader(node)

    def is_no_looser_than(self, a: T, b: T) -> bool:
        return a == b or (self.strictest is not None and a == self.strictest)

    def intersect(self, a: T, b: T) -> T | None:
        return a if self.is_no_looser_than(a, b) else b if self.is_no_looser_than(b, a) else self.strictest

    def grammar(self) -> str:
        return self.text

    def samples(self) -> Sequence[T]:
        return self.examples

    def candidates(self, value: T) -> Sequence[T]:
        """The first example that is another one: the rest stand for it as well."""
        return [item for item in self.examples if not self.is_no_looser_than(item, value)][:1]
