"""Fragments -> one OCI runtime spec, with the leaves behind every value.

Each mechanism contributes to a `Fragment`: values at JSON pointers (RFC 6901) that it alone owns, items of lists that
several share (``/mounts``, ``/process/env``), and files of the bundle. Two owners of one place are an error that names
both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from hardening.errors import PluginError

OCI_VERSION = "1.2.0"


@attrs.frozen
class Directory:
    """A directory of the bundle; ``mode`` as for mkdir(2)."""

    mode: int = 0o755


@attrs.frozen
class Symlink:
    """A symbolic link of the bundle."""

    target: str


File = bytes | Directory | Symlink


@attrs.frozen
class Value:
    """A contributed value, its owner, and the leaves that decided it."""

    value: Any
    owner: str
    leaves: tuple[str, ...]


class Fragment:
    """What one mechanism contributes. Values are JSON data; None removes the value in a foreign configuration."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.values: dict[str, Value] = {}
        self.items: dict[tuple[str, str], Value] = {}
        self.files: dict[str, File] = {}
        self.lists: set[str] = set()

    def put(self, pointer: str, value: object, *leaves: str) -> None:
        """Set the value at ``pointer``, which this mechanism owns."""
        self.values[pointer] = Value(value, self.owner, leaves)

    def item(self, pointer: str, key: str, value: object, *leaves: str) -> None:
        """Add an item to the shared list at ``pointer``; ``key`` is what makes it unique there, such as a mount's
        destination."""
        if (pointer, key) in self.items:
            raise PluginError(f"{self.owner} contributes {key} to {pointer} twice")
        self.items[pointer, key] = Value(value, self.owner, leaves)

    def replace(self, pointer: str) -> None:
        """Let the shared list at ``pointer`` hold contributed items only, even where there are none: what a foreign
        configuration has there goes."""
        self.lists.add(pointer)

    def file(self, path: str, content: File) -> None:
        """Add a file beside ``config.json``; ``path`` is relative to the bundle."""
        self.files[path] = content


@attrs.frozen
class Spec:
    """An assembled OCI configuration: ``leaves`` maps JSON pointers to the leaves that decided them."""

    document: Mapping[str, Any]
    leaves: Mapping[str, tuple[str, ...]]
    files: Mapping[str, File]


def assemble(fragments: Iterable[Fragment], base: Mapping[str, Any] | None = None) -> Spec:
    """Put fragments together, over ``base`` (a foreign configuration) if given. Raises `PluginError` where two owners
    claim one place."""
    fragments = list(fragments)
    values, items, files = _merge(fragments)
    document: dict[str, Any] = _copy(base) if base is not None else {"ociVersion": OCI_VERSION}
    leaves: dict[str, tuple[str, ...]] = {}
    for pointer in sorted(values):
        _set(document, pointer, values[pointer].value)
        leaves[pointer] = values[pointer].leaves
    lists: dict[str, list[tuple[str, Value]]] = {
        pointer: [] for fragment in fragments for pointer in sorted(fragment.lists)
    }
    for (pointer, key), item in items.items():
        lists.setdefault(pointer, []).append((key, item))
    for pointer, entries in lists.items():
        if pointer == "/mounts":
            # Parents before children, whoever contributed them.
            entries.sort(key=lambda entry: (entry[0].rstrip("/").count("/"), entry[0]))
        _set(document, pointer, [item.value for _, item in entries])
        for index, (_, item) in enumerate(entries):
            leaves[f"{pointer}/{index}"] = item.leaves
    return Spec(document, leaves, files)


def _merge(
    fragments: Sequence[Fragment],
) -> tuple[dict[str, Value], dict[tuple[str, str], Value], dict[str, File]]:
    values: dict[str, Value] = {}
    items: dict[tuple[str, str], Value] = {}
    files: dict[str, File] = {}
    owners: dict[str, str] = {}
    for fragment in fragments:
        for pointer, value in fragment.values.items():
            _claim(owners, pointer, fragment.owner)
            values[pointer] = value
        for key, value in fragment.items.items():
            if key in items:
                raise PluginError(f"{items[key].owner} and {fragment.owner} both contribute {key[1]} to {key[0]}")
            items[key] = value
        for path, content in fragment.files.items():
            if path in files:
                raise PluginError(f"{fragment.owner} contributes the bundle's {path}, which another mechanism owns")
            files[path] = content
    for pointer, _ in items:
        if pointer in values:
            raise PluginError(f"{values[pointer].owner} sets {pointer} whole, and another mechanism adds items to it")
    for pointer, value in values.items():
        for above in _ancestors(pointer):
            if above in values and values[above].owner != value.owner:
                raise PluginError(f"{values[above].owner} owns {above} and {value.owner} owns {pointer} inside it")
    return values, items, files


def _claim(owners: dict[str, str], pointer: str, owner: str) -> None:
    other = owners.setdefault(pointer, owner)
    if other != owner:
        raise PluginError(f"{other} and {owner} both set {pointer}")


def _ancestors(pointer: str) -> Iterator[str]:
    while pointer := pointer.rpartition("/")[0]:
        yield pointer


def escape(token: str) -> str:
    """A key as a token of a JSON pointer."""
    return token.replace("~", "~0").replace("/", "~1")


def unescape(token: str) -> str:
    """A token of a JSON pointer as a key."""
    return token.replace("~1", "/").replace("~0", "~")


def lookup(document: Mapping[str, Any], pointer: str) -> Any:
    """The value at ``pointer``, or None where there is none."""
    value: Any = document
    for token in pointer.split("/")[1:]:
        if isinstance(value, Mapping):
            value = value.get(unescape(token))
        elif isinstance(value, list) and token.isdigit() and int(token) < len(value):
            value = value[int(token)]
        else:
            return None
    return value


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


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value
