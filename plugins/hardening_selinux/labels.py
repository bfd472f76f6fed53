"""Security contexts: ``user:role:type[:level]``, and the levels of multi-level and multi-category security."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import attrs

from hardening.base.values import frozen

CATEGORIES = 1024

_NAME = r"[A-Za-z_][A-Za-z0-9_.-]{0,254}"
_SENSITIVITY = r"s(0|[1-9]\d{0,2})"
_CATEGORY = r"c(0|[1-9]\d{0,3})"


@frozen
class Point:
    """One end of a range: a sensitivity, and the categories in ascending order."""

    sensitivity: int
    categories: tuple[int, ...] = ()

    def dominates(self, other: Point) -> bool:
        """Whether a subject here may read what stands at ``other``."""
        return self.sensitivity >= other.sensitivity and set(self.categories) >= set(other.categories)

    def __str__(self) -> str:
        text = ",".join(_runs(self.categories))
        return f"s{self.sensitivity}:{text}" if text else f"s{self.sensitivity}"


@frozen
class Level:
    """A level, or a range of them where ``low`` and ``high`` differ. `str` gives the form that the kernel prints."""

    low: Point
    high: Point

    @classmethod
    def parse(cls, text: str) -> Level:
        """Read ``s0``, ``s0:c1,c2``, ``s0:c0.c5`` or ``s0-s0:c0.c1023``; raises `ValueError` with the reason."""
        first, dash, second = text.partition("-")
        low = _point(first)
        high = _point(second) if dash else low
        if not high.dominates(low):
            raise ValueError(f"{high} does not dominate {low}")
        return cls(low, high)

    @classmethod
    def of_pair(cls, pair: tuple[int, int], sensitivity: int = 0) -> Level:
        """The level of an MCS pair."""
        point = Point(sensitivity, tuple(sorted(pair)))
        return cls(point, point)

    @property
    def pair(self) -> tuple[int, int] | None:
        """The two categories, where the level is such a pair and no range."""
        found = self.low.categories
        return (found[0], found[1]) if self.low == self.high and len(found) == 2 else None

    def __str__(self) -> str:
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"


def _point(text: str) -> Point:
    name, colon, rest = text.partition(":")
    match = re.fullmatch(_SENSITIVITY, name)
    if match is None:
        raise ValueError(f'"{name}" is not a sensitivity such as s0')
    categories = {number for part in rest.split(",") for number in _categories(part)} if colon else set()
    return Point(int(match[1]), tuple(sorted(categories)))


def _categories(text: str) -> Iterable[int]:
    first, dot, last = text.partition(".")
    numbers = []
    for name in (first, last) if dot else (first,):
        match = re.fullmatch(_CATEGORY, name)
        if match is None or int(match[1]) >= CATEGORIES:
            raise ValueError(f'"{name}" is not a category from c0 to c{CATEGORIES - 1}')
        numbers.append(int(match[1]))
    if numbers[0] > numbers[-1]:
        raise ValueError(f'"{text}" runs backwards')
    return range(numbers[0], numbers[-1] + 1)


def _runs(categories: tuple[int, ...]) -> Iterator[str]:
    """Three or more neighbours as ``cA.cB``, as the kernel prints them."""
    start = 0
    for index in range(1, len(categories) + 1):
        if index < len(categories) and categories[index] == categories[index - 1] + 1:
            continue
        first, last = categories[start], categories[index - 1]
        yield f"c{first}" if first == last else f"c{first}{',' if last == first + 1 else '.'}c{last}"
        start = index


@frozen
class Label:
    """A security context. ``level`` is None under a policy without levels."""

    user: str
    role: str
    type: str
    level: Level | None = None

    @classmethod
    def parse(cls, text: str) -> Label:
        """Read a context, split at most in four; raises `ValueError` with the reason."""
        parts = text.rstrip("\0\n").split(":", 3)
        if len(parts) < 3:
            raise ValueError(f'"{text}" is not of the form user:role:type:level')
        for name, part in zip(("user", "role", "type"), parts, strict=False):
            if not is_name(part):
                raise ValueError(f'"{part}" is not the name of a {name}')
        level = Level.parse(parts[3]) if len(parts) == 4 else None
        return cls(parts[0], parts[1], parts[2], level)

    def at(self, level: Level | None) -> Label:
        """The same context at another level."""
        return attrs.evolve(self, level=level)

    def __str__(self) -> str:
        names = f"{self.user}:{self.role}:{self.type}"
        return f"{names}:{self.level}" if self.level is not None else names


def is_name(text: str) -> bool:
    """Whether a text can be the name of an SELinux user, role or type."""
    return re.fullmatch(_NAME, text) is not None
