"""Patterns of paths, the same for who composes and who launches: `*` stands for any text in a name, also at its beginning
where that is a dot, and no other character stands for anything but itself. (`glob` has more, and imports `re`.)"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

STAR = "*"


def expand(pattern: str, listing: Callable[[str], Iterable[str]], top: str = "") -> list[str]:
    """What a pattern may mean below a directory ``top``, whether or not it is there; ``listing`` tells the names in a
    directory."""
    found = [top.rstrip("/")]
    for part in pattern.strip("/").split("/"):
        if STAR in part:
            found = [
                f"{place}/{name}" for place in found for name in sorted(listing(place or "/")) if matches(name, part)
            ]
        else:
            found = [f"{place}/{part}" for place in found]
    return found


def matches(name: str, pattern: str) -> bool:
    """Whether a name matches a part of a pattern."""
    first, *others = pattern.split(STAR)
    if not others:
        return name == pattern
    *middle, last = others
    if len(name) < len(first) + len(last) or not name.startswith(first) or not name.endswith(last):
        return False
    rest = name[len(first) : len(name) - len(last)]
    for part in middle:
        _, found, rest = rest.partition(part) if part else ("", STAR, rest)
        if not found:
            return False
    return True
