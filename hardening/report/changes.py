"""What differs between two OCI configurations, by JSON pointer, with the leaves behind each change."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from hardening.base.pointer import above, escape, lookup
from hardening.base.values import frozen
from hardening.mechanism.mechanism import Violation
from hardening.report.table import Table

UMASK = "/process/user/umask"
_CELL = 120  # characters


@frozen
class Change:
    """One change. ``before`` or ``after`` is None where the value was added or removed."""

    pointer: str
    before: Any
    after: Any
    leaves: tuple[str, ...] = ()


def changes(before: Mapping[str, Any], after: Mapping[str, Any], leaves: Mapping[str, tuple[str, ...]]) -> list[Change]:
    """The changes from one configuration to another; ``leaves`` maps pointers of the second to what decided them. Arrays
    are compared by their elements."""
    found: dict[str, dict[str, None]] = {}
    for pointer, names in leaves.items():
        for place in above(pointer):
            found.setdefault(place, {}).update(dict.fromkeys(names))
    below = {pointer: tuple(names) for pointer, names in found.items()}
    return [
        attrs.evolve(item, leaves=_decided(_place(item, after), leaves, below)) for item in _walk("", before, after)
    ]


def _place(change: Change, after: Mapping[str, Any]) -> str:
    """Where the reason of a change is looked for: an element that was removed has no place of its own any more."""
    array = change.pointer.rpartition("/")[0]
    return array if change.after is None and isinstance(lookup(after, array), list) else change.pointer


def _walk(pointer: str, before: Any, after: Any) -> Iterator[Change]:
    if _text(before) == _text(after):
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in [*before, *(key for key in after if key not in before)]:
            yield from _walk(f"{pointer}/{escape(key)}", before.get(key), after.get(key))
    elif isinstance(before, list) and isinstance(after, list):
        yield from _walk_array(pointer, before, after)
    else:
        yield Change(pointer, before, after)


def _walk_array(pointer: str, before: list[Any], after: list[Any]) -> Iterator[Change]:
    """Elements with the same key are held against each other, wherever they stand; the others were added or removed."""
    old, new = set(map(_text, before)), set(map(_text, after))
    removed = [(index, item) for index, item in enumerate(before) if _text(item) not in new]
    added = [(index, item) for index, item in enumerate(after) if _text(item) not in old]
    partners: dict[str, list[int]] = {}
    for index, item in reversed(added):
        partners.setdefault(_key(item), []).append(index)
    changed: set[int] = set()
    for index, item in removed:
        key = _key(item)
        if key and partners.get(key):
            changed.add(partner := partners[key].pop())
            yield Change(f"{pointer}/{partner}", item, after[partner])
        else:
            yield Change(f"{pointer}/{index}", item, None)
    for index, item in added:
        if index not in changed:
            yield Change(f"{pointer}/{index}", None, item)
    if not removed and not added and sorted(map(_text, before)) != sorted(map(_text, after)):
        yield Change(pointer, before, after)


def _text(value: Any) -> str:
    """A value as text that tells ``true`` from 1, which Python's own comparison does not."""
    return json.dumps(value, sort_keys=True)


def _key(item: Any) -> str:
    """What makes an element unique in the arrays of an OCI configuration; empty where nothing does."""
    names = ("destination", "path", "type", "containerID") if isinstance(item, Mapping) else ()
    return next((_text(item[name]) for name in names if name in item), "")


def _decided(
    pointer: str, leaves: Mapping[str, tuple[str, ...]], below: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """The leaves of a place, of the nearest one above it that has any, or else of all ``below`` it."""
    return next((leaves[at] for at in (pointer, *above(pointer)) if at in leaves), below.get(pointer, ()))


def table(items: list[Change]) -> Table:
    """Changes, one a line."""
    rows = tuple(
        (item.pointer, _cell(item, item.before), _cell(item, item.after), ", ".join(item.leaves[:4])) for item in items
    )
    return Table(("pointer", "before", "after", "because of"), rows, "changes")


def _cell(change: Change, value: Any) -> str:
    # A file mode means nothing to a reader in JSON's decimal.
    if change.pointer == UMASK and isinstance(value, int) and value >= 0:
        return f"0{value:03o}"
    return _short(json.dumps(value, ensure_ascii=False) if value is not None else "-")


def beyond(violations: Iterable[Violation]) -> Table:
    """What was asked for beyond a profile, one thing a line. What is allowed may be a line to paste, and is never cut."""
    rows = tuple((item.pointer, _short(item.asked), item.allowed, item.leaf) for item in violations)
    return Table(("pointer", "asked for", "allowed", "setting"), rows, "asked for beyond the profile")


def _short(text: str) -> str:
    """One long cell would make every line as long; as JSON a report has the whole."""
    return text if len(text) <= _CELL else f"{text[: _CELL - 3]}..."
