"""What differs between two OCI configurations, as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hardening.compare.configuration import IDENTITY, Change, shortened, shown
from hardening.mechanism.mechanism import Violation
from hardening.report.table import Table, in_one

UMASK = "/process/user/umask"
_MANY = 4


def table(items: list[Change]) -> Table:
    """Changes, one a row, with what differs of objects and arrays; elements of one array that came or went are one row."""
    parts: dict[object, list[Change]] = {}
    for number, item in enumerate(items):
        array, _, index = item.pointer.rpartition("/")
        element = index.isdecimal() and None in (item.before, item.after)
        parts.setdefault((array, item.leaves) if element else number, []).append(item)
    rows = [row for part in parts.values() for row in (map(_row, part) if len(part) < _MANY else [_together(part)])]
    return Table(("pointer", "before", "after", "because of"), tuple(rows), "changes", expands=True)


def _row(item: Change) -> tuple[str, ...]:
    before, after = _differing(item.before, item.after)
    return item.pointer, _cell(item, before), _cell(item, after), ", ".join(item.leaves[:4])


def _differing(before: Any, after: Any) -> tuple[Any, Any]:
    """Of two objects the members that differ, with what says which objects they are; of two arrays the elements."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        pairs = {key: (before.get(key), after.get(key)) for key in {**before, **after}}
        named = {key: _differing(*pair) for key, pair in pairs.items() if pair[0] != pair[1] or key in IDENTITY}
        return tuple(
            {key: pair[at] for key, pair in named.items() if key in side} for at, side in enumerate((before, after))
        )  # type: ignore[return-value]
    if isinstance(before, list) and isinstance(after, list):
        own = [item for item in before if item not in after], [item for item in after if item not in before]
        return own if any(own) else (before, after)
    return before, after


def _together(items: list[Change]) -> tuple[str, ...]:
    """Elements of one array: their texts, or of others their number."""
    sides = [
        [item.before for item in items if item.after is None],
        [item.after for item in items if item.before is None],
    ]
    cells = [
        ", ".join(side)
        if side and all(isinstance(item, str) for item in side)
        else f"{len(side)} elements"
        if side
        else "-"
        for side in sides
    ]
    return items[0].pointer.rpartition("/")[0], *cells, ", ".join(items[0].leaves[:4])


def _cell(change: Change, value: Any) -> str:
    # A file mode means nothing to a reader in JSON's decimal.
    if change.pointer == UMASK and isinstance(value, int) and value >= 0:
        return f"0{value:03o}"
    return shown(value, "-")


def beyond(violations: Iterable[Violation]) -> Table:
    """What was asked for beyond a profile, a row a thing. What is allowed may be a line to paste, and is never cut."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for item in violations:
        alike.setdefault((item.pointer, shortened(item.asked), item.allowed), []).append(item.leaf)
    rows = tuple((*key, in_one(leaves)) for key, leaves in alike.items())
    return Table(("pointer", "asked for", "allowed", "setting"), rows, "asked for beyond the profile", expands=True)
