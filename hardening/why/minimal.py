"""Leaving out what is not needed (delta debugging: Zeller and Hildebrandt, Simplifying and Isolating Failure-Inducing Input,
2002)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def minimal(found: Sequence[T], succeeds: Callable[[Sequence[T]], bool]) -> list[T]:
    """A subset with which it succeeds, and with none of it left out; the whole set succeeds, and the empty one does not.
    What came last is the likeliest to be of no use, and goes first: one, and twice as many each time that nobody missed
    them, half as many where somebody did."""
    members = list(found)
    end, size = len(members), 1
    while end:
        begin = max(end - size, 0)
        rest = [*members[:begin], *members[end:]]
        if rest and succeeds(rest):
            members, end, size = rest, begin, 2 * size
        elif end - begin > 1:
            size = (end - begin) // 2
        else:
            end, size = begin, 1
    return members
