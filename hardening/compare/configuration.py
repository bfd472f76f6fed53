"""Two OCI configurations held against each other, by JSON pointer, with the leaves behind each change, or with the order
that a field has by itself; and one that is there already against a stack, by what tightening makes of it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import attrs

from hardening.assemble import pipeline
from hardening.assemble.foreign import DIRECTIVES, NEUTRAL, require_shape
from hardening.base.pointer import above, escape, lookup, unescape
from hardening.base.values import frozen
from hardening.compare.difference import LeafDifference, StackComparison, Subject, both
from hardening.compose.composition import Composition
from hardening.mechanism.host import Host
from hardening.mechanism.kinds import Order
from hardening.mechanism.schema import Leaf
from hardening.plugin.plugins import Plugins

#: What tells an object of an array of an OCI configuration from the others, the first of these that it has.
IDENTITY = ("destination", "path", "type", "containerID")
_LONGEST = 120  # characters of a value
#: Fields whose order the specification gives (config.md, config-linux.md): arrays of what is given, and of what is withheld;
#: flags that withhold; and ceilings, of which none is the loosest.
_GIVING = frozenset(
    f"/process/capabilities/{name}" for name in ("bounding", "effective", "permitted", "inheritable", "ambient")
)
_WITHHOLDING = frozenset({"/linux/maskedPaths", "/linux/readonlyPaths"})
_FLAGS = frozenset({"/root/readonly", "/process/noNewPrivileges"})
_CEILINGS = frozenset(f"/linux/resources/{name}" for name in ("pids/limit", "memory/limit"))
_NAMESPACES, _RLIMITS, _FILTER = "/linux/namespaces", "/process/rlimits", "/linux/seccomp"
#: Arrays that are sets; of any other the order counts, as a later mount lies over an earlier one.
_SETS = (
    _GIVING
    | _WITHHOLDING
    | {_NAMESPACES, _RLIMITS, "/process/user/additionalGids", "/linux/uidMappings", "/linux/gidMappings"}
)
_ENVIRONMENT = "/process/env"
_NOTHING = "nothing"


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
    """Elements with the same key are held against each other, wherever they stand; the others were added or removed. What
    both have in another order is one change of the array."""
    old, new = (dict(enumerate(map(_text, items))) for items in (before, after))
    there = {*old.values()} & {*new.values()}
    partners: dict[str, list[int]] = {}
    for index in reversed(new):
        if new[index] not in there:
            partners.setdefault(_key(after[index]), []).append(index)
    changed: dict[int, str] = {}
    for index, item in enumerate(before):
        key = _key(item)
        if old[index] in there:
            continue
        if key and partners.get(key):
            partner = partners[key].pop()
            changed[partner] = old[index]
            yield Change(f"{pointer}/{partner}", item, after[partner])
        else:
            yield Change(f"{pointer}/{index}", item, None)
    for index, item in enumerate(after):
        if new[index] not in there and index not in changed:
            yield Change(f"{pointer}/{index}", None, item)
    kept = {*changed.values()} | there
    orders = (
        [(text, item) for text, item in zip(old.values(), before, strict=True) if text in kept],
        [(changed.get(index, new[index]), after[index]) for index in new if index in changed or new[index] in there],
    )
    if _in_order(pointer, orders[0]) != _in_order(pointer, orders[1]):
        names = [[next(_identity(item), item) for _, item in order] for order in orders]
        yield Change(pointer, names[0], names[1])


def _in_order(pointer: str, elements: Sequence[tuple[str, Any]]) -> Any:
    """The elements of an array, as text and value, as far as their order counts: of variables the last of a name does."""
    texts = [text for text, _ in elements]
    if pointer == _ENVIRONMENT:
        return sorted(texts), {text.partition("=")[0]: text for text in texts}
    return sorted(texts) if pointer in _SETS else texts


def _identity(item: Any) -> Iterator[Any]:
    """What an object of an array has of what tells it from the others, in that order; nothing of any other element."""
    return (item[name] for name in IDENTITY if isinstance(item, Mapping) and name in item)


def _text(value: Any) -> str:
    """A value as text that tells ``true`` from 1, which Python's own comparison does not."""
    return json.dumps(value, sort_keys=True)


def _key(item: Any) -> str:
    """What makes an element unique in the arrays of an OCI configuration; empty where nothing does."""
    return next(map(_text, _identity(item)), "")


def _decided(
    pointer: str, leaves: Mapping[str, tuple[str, ...]], below: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """The leaves of a place, of the nearest one above it that has any, or else of all ``below`` it."""
    return next((leaves[at] for at in (pointer, *above(pointer)) if at in leaves), below.get(pointer, ()))


def against(
    plugins: Plugins, composition: Composition, host: Host, document: Mapping[str, Any], file: Path, *, first: bool
) -> StackComparison:
    """How a configuration stands to a stack, or with ``first`` the stack to the configuration.

    What tightening reports is what the configuration permits beyond the stack; where the stack then still composes to
    something else, that is taken for more than the configuration permits. Raises what tightening it raises.
    """
    tightened = pipeline.tighten(plugins, composition, host, document, origin=file.absolute().parent)
    own = pipeline.assembled(plugins, composition, host)
    unlike = {item.pointer for item in changes(document, own.spec.document, {})}
    less_there = changes(tightened.spec.document, own.spec.document, own.spec.leaves)
    more, less = (Order.TIGHTER, Order.LOOSER) if first else (Order.LOOSER, Order.TIGHTER)

    def difference(name: str, what: str, stack: str, asked: str, order: Order) -> LeafDifference:
        leaf = Leaf(*name.split(".", 1)) if "." in name else Leaf(name, "")
        entry = next(iter(composition.meant(name)), None)
        texts, places = (stack, asked), (entry.origin if entry is not None else "", f"{file}:{what}")
        if first:
            texts, places = texts[::-1], places[::-1]
        return LeafDifference(leaf, Subject.VALUE, "", *texts, order, places)

    return StackComparison(
        (
            *(
                difference(item.leaf or item.pointer, item.pointer, item.allowed, item.asked, more)
                for item in tightened.violations
            ),
            *(
                difference(
                    next(iter(item.leaves), item.pointer), item.pointer, shown(item.after), shown(item.before), less
                )
                for item in less_there
                if item.pointer in unlike and not _is_neutral(item.pointer)
            ),
        )
    )


def between(before: Mapping[str, Any], after: Mapping[str, Any], files: tuple[Path, Path]) -> StackComparison:
    """How one configuration stands to another, field by field, as far as a field has an order by itself: a change of any
    other cannot be compared. Raises `SpecError` for values of types that the specification does not give them."""
    for document in (before, after):
        require_shape(document)

    def difference(change: Change, order: Order, old: str, new: str) -> LeafDifference:
        place, member, what = change.pointer, "", ""
        array = place.rpartition("/")[0]
        if array in _GIVING | _WITHHOLDING:
            place, member = array, str(change.after if change.before is None else change.before)
            old, new = (_NOTHING if value is None else "there" for value in (change.before, change.after))
        else:
            what = next(map(str, _identity(change.after if change.before is None else change.before)), "")
        places = (f"{files[0]}:{place}", f"{files[1]}:{place}")
        return LeafDifference(Leaf(place, "", member), Subject.VALUE, what, old, new, order, places)

    found = [
        difference(item, _order(item), *map(shown, _unlike(item.before, item.after)))
        for item in changes({**before, "linux": _ceilings(before)}, {**after, "linux": _ceilings(after)}, {})
    ]
    old, new = (lookup(document, _FILTER) for document in (before, after))
    if _text(old) != _text(new):
        order = Order.LOOSER if new is None else Order.TIGHTER if old is None else Order.INCOMPARABLE
        sizes = (_NOTHING if item is None else f"{len(_text(item))} bytes" for item in (old, new))
        found.append(difference(Change(_FILTER, None, None), order, *sizes))
    return StackComparison(tuple(found))


def _ceilings(document: Mapping[str, Any]) -> dict[str, Any]:
    """The part for Linux with its ceilings, there or not, and without the filter: a rule of it says nothing by itself."""
    found = document.get("linux") or {}
    ceilings = {"pids": {}, "memory": {}, **(found.get("resources") or {})}
    return {key: value for key, value in found.items() if key != "seccomp"} | {"resources": ceilings}


def _unlike(before: Any, after: Any) -> tuple[Any, Any]:
    """Two values without what both have alike."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        parts = {key: _unlike(before.get(key), after.get(key)) for key in {**before, **after}}
        kept = [(key, *pair) for key, pair in parts.items() if _text(before.get(key)) != _text(after.get(key))]
        return {key: old for key, old, _ in kept}, {key: new for key, _, new in kept}
    if isinstance(before, list) and isinstance(after, list):
        old, new = set(map(_text, before)), set(map(_text, after))
        if old != new:  # else it is their order, or how often each is there
            removed = [item for item in before if _text(item) not in new]
            return removed, [item for item in after if _text(item) not in old]
    return before, after


def _order(change: Change) -> Order:
    """How a configuration with the second value stands to one with the first."""
    place, old, new = change.pointer, change.before, change.after
    array = place.rpartition("/")[0]
    if _is_neutral(place):
        return Order.OTHER
    if place in _FLAGS:
        return Order.OTHER if bool(old) is bool(new) else Order.TIGHTER if new else Order.LOOSER
    if {place, array} & (_GIVING | _WITHHOLDING):  # an element, or all of an array
        return Order.TIGHTER if (new is None) is bool({place, array} & _GIVING) else Order.LOOSER
    if array == _NAMESPACES and None in (old, new):
        # One that is joined may be anybody's, and what one of its own for users comes to depends on its maps.
        item = new if old is None else old
        made = item.keys() == {"type"} and item["type"] != "user"
        return Order.INCOMPARABLE if not made else Order.TIGHTER if old is None else Order.LOOSER
    if place in _CEILINGS and 0 not in (old, new):
        return _of_numbers([math.inf if item is None or item < 0 else item for item in (old, new)])
    if array == _RLIMITS and None not in (old, new):
        return _of_numbers(*([item.get(name, 0) for item in (old, new)] for name in ("soft", "hard")))
    return Order.INCOMPARABLE


def _of_numbers(*ceilings: Sequence[float]) -> Order:
    """How some numbers stand to others, of each a pair, where a smaller one is the tighter."""
    orders = (Order.TIGHTER if new < old else Order.LOOSER if new > old else Order.SAME for old, new in ceilings)
    return reduce(both, orders, Order.SAME)


def _is_neutral(place: str) -> bool:
    """Whether a field gives nothing to what is run; of annotations, those that no runtime acts on."""
    name = unescape(place.removeprefix("/annotations/")) if place.startswith("/annotations/") else ""
    return any(f"{place}/".startswith(f"{one}/") for one in NEUTRAL) and not name.startswith(DIRECTIVES)


def shown(value: Any, nothing: str = _NOTHING) -> str:
    """A value as people read it, as JSON; ``nothing`` for None."""
    return shortened(json.dumps(value, ensure_ascii=False)) if value is not None else nothing


def shortened(text: str) -> str:
    """One long value would make every line of a table as long; as JSON a report has the whole."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
