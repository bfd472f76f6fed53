"""Fragments -> one OCI runtime spec, with the leaves behind every value.

Two owners of one place are an error that names both.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

from hardening.base.pointer import ARGS, above, escape, lookup, unescape
from hardening.errors import LaunchError, PluginError, SpecError
from hardening.launch.config import confinement
from hardening.launch.config.bundle import HELPERS, LEASES
from hardening.launch.config.confinement import POINTER, helpers, joined
from hardening.mechanism.fragment import Directory, File, Fragment, Spec, Value, copied

OCI_VERSION = "1.2.0"

_Key = TypeVar("_Key")


def to_json(document: Mapping[str, Any]) -> bytes:
    """A configuration as the bytes of ``config.json``."""
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def assemble(
    fragments: Iterable[Fragment],
    base: Mapping[str, Any] | None = None,
    annotations: Mapping[str, str | None] = MappingProxyType({}),
) -> Spec:
    """Put fragments together, over ``base`` (a foreign configuration) if given, with the core's own ``annotations`` (None
    removes one). Raises `PluginError` where two owners claim one place."""
    fragments = list(fragments)
    core = {f"/annotations/{escape(name)}": _CORE for name in (*annotations, LEASES, HELPERS)} | {"/ociVersion": _CORE}
    _require_one_owner(fragments, core)
    document: dict[str, Any] = copied(base) if base is not None else {"ociVersion": OCI_VERSION}
    leaves: dict[str, tuple[str, ...]] = {}
    derived = set()
    for pointer, value in sorted(
        (item for part in fragments for item in part.values.items()), key=lambda item: item[0]
    ):
        _set(document, pointer, copied(value.value))
        leaves[pointer] = value.leaves
    lists: dict[str, list[tuple[str, Value]]] = {pointer: [] for part in fragments for pointer in sorted(part.replaced)}
    for part in fragments:
        for (pointer, key), item in part.items.items():
            lists.setdefault(pointer, []).append((key, item))
    for pointer, entries in lists.items():
        if pointer == "/mounts":
            # Parents before children, whoever contributed them.
            entries.sort(key=lambda entry: (entry[0].rstrip("/").count("/"), entry[0]))
        _set(document, pointer, [copied(item.value) for _, item in entries])
        for index, (_, item) in enumerate(entries):
            leaves[f"{pointer}/{index}"] = item.leaves
            if item.derived:
                derived.add(f"{pointer}/{index}")
    held = [str(path) for part in fragments for path in part.leases]
    for name, text in {**annotations, LEASES: json.dumps(held) if held else None}.items():
        _set(document, f"/annotations/{escape(name)}", text)
    _confine(document, fragments, leaves)
    files = {path: content.value for part in fragments for path, content in part.files.items()}
    told = tuple(finding for part in fragments for finding in part.told)
    return Spec(to_json(document), MappingProxyType(leaves), MappingProxyType(files), frozenset(derived), told)


def _confine(document: dict[str, Any], fragments: Sequence[Fragment], leaves: dict[str, tuple[str, ...]]) -> None:
    """Put the helpers before the command, where there is one already. Those that a foreign configuration brings confine it
    further, unless they are the same: to tighten twice is to do so once."""
    own = [part.helper for part in fragments if part.helper is not None]
    found = [list(helper.value) for helper in own]
    try:
        brought = helpers(document)
    except LaunchError as error:
        raise SpecError(error.message, origin=POINTER, hint="take it out: only what is composed here has one") from None
    command = confinement.command(document)
    if brought and command != lookup(document, ARGS):
        found += brought[len(found) :] if brought[: len(found)] == found else brought
    _set(document, POINTER, json.dumps(found) if found else None)
    if found and command:
        _set(document, ARGS, joined(found, command))
    if own:
        leaves[POINTER] = tuple(leaf for helper in own for leaf in helper.leaves)


def _require_one_owner(fragments: Sequence[Fragment], core: Mapping[str, str]) -> None:
    """Each place has one owner: a value, or a list that is shared item by item; nothing stands above or below it that
    belongs to another, and nothing sets a shared list whole. ``core`` are the values that no mechanism sets."""
    values: dict[str, str] = dict(core)
    items: dict[tuple[str, str], str] = {}
    replaced: dict[str, str] = {}
    files: dict[str, tuple[str, File]] = {}
    for part in fragments:
        for pointer in part.values:
            _claim(values, pointer, part.label, f"set {pointer}")
        for key in part.items:
            _claim(items, key, part.label, f"contribute {key[1]} to {key[0]}")
        for pointer in part.replaced:
            _claim(replaced, pointer, part.label, f"replace {pointer}")
        for path, content in part.files.items():
            other = files.setdefault(path, (part.label, content.value))
            if other[0] != part.label:
                raise PluginError(f"{other[0]} and {part.label} both contribute the bundle's {path}", hint=_ONE_OWNER)
    lists = {pointer: owner for (pointer, _), owner in items.items()} | replaced
    for pointer, owner in [*values.items(), *lists.items()]:
        for place in above(pointer):
            outer = lists.get(place) or values.get(place, owner)
            if outer != owner or place in lists:
                raise PluginError(f"{outer} owns {place} and {owner} sets {pointer} inside it", hint=_ONE_OWNER)
    for pointer in values.keys() & lists.keys():
        raise PluginError(
            f"{values[pointer]} sets {pointer} whole, and {lists[pointer]} adds items to it", hint=_ONE_OWNER
        )
    for path, (owner, _) in files.items():
        for place in above(path):
            if place in files and not isinstance(files[place][1], Directory):
                raise PluginError(f"{owner} contributes {path}, but {place} is not a directory", hint=_ONE_OWNER)


_CORE = "the core"
_ONE_OWNER = "one plugin owns each place: uninstall one of them, or have it contribute elsewhere"


def _claim(owners: dict[_Key, str], key: _Key, owner: str, deed: str) -> None:
    other = owners.setdefault(key, owner)
    if other != owner:
        raise PluginError(f"{other} and {owner} both {deed}", hint=_ONE_OWNER)


def _set(document: dict[str, Any], pointer: str, value: Any) -> None:
    *parents, last = [unescape(token) for token in pointer.split("/")[1:]]
    target = document
    for parent in parents:
        inner = target.get(parent)
        if not isinstance(inner, dict):
            if value is None:
                return
            inner = target[parent] = {}
        target = inner
    if value is None:
        target.pop(last, None)
    else:
        target[last] = value
