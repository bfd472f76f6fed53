"""Patterns of paths, the same for who composes and who launches: `*` stands for any text in a name, also at its beginning
where that is a dot, and no other character stands for anything but itself. (`glob` has more, and imports `re`.)"""

from __future__ import annotations

from hardening.errors import ProfileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

STAR = "*"
#: Of paths that a pattern means, or that are searched for it: each is a mount, and three stars in /proc are millions.
MOST = 10_000


def expand(pattern: str, listing: Callable[[str], Iterable[str]], top: str = "") -> list[str]:
    """What a pattern may mean below a directory ``top``, whether or not it is there; ``listing`` tells the names in a
    directory. `ProfileError` for more than `MOST`."""
    found = [top.rstrip("/")]
    for part in pattern.strip("/").split("/"):
        if STAR in part:
            found = _bounded(pattern, _matching(found, part, listing))
        else:
            found = [f"{place}/{part}" for place in found]
    return found


def _matching(places: Iterable[str], part: str, listing: Callable[[str], Iterable[str]]) -> Iterator[str]:
    for place in places:
        yield from (f"{place}/{name}" for name in sorted(listing(place or "/")) if matches(name, part))


def _bounded(pattern: str, paths: Iterable[str]) -> list[str]:
    found: list[str] = []
    for path in paths:
        if len(found) == MOST:
            raise ProfileError(
                f'the pattern "{pattern}" means more than {MOST:,} paths', hint="name the directory above them"
            )
        found.append(path)
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
