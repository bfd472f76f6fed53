"""Fragments -> one OCI runtime spec, with the leaves behind every value.

Each mechanism contributes to a `Fragment`: values at JSON pointers (RFC 6901) that it alone owns, items of lists that
several share (``/mounts``, ``/process/env``), and files of the bundle. Two owners of one place are an error that names
both.
"""

from __future__ import annotations

import json
import math
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from hardening.errors import PluginError
from hardening.launch import leases
from hardening.values import frozen

if TYPE_CHECKING:
    from hardening.findings import Finding

CONFIG = "config.json"
#: the annotation that names the leases of a bundle
LEASES = leases.ANNOTATION

OCI_VERSION = "1.2.0"


@frozen
class Directory:
    """A directory of the bundle; ``mode`` as for mkdir(2)."""

    mode: int = 0o755


@frozen
class Symlink:
    """A symbolic link of the bundle."""

    target: str


File = bytes | Directory | Symlink
_Key = TypeVar("_Key")


@frozen
class Value:
    """A contributed value, its owner, and the leaves that decided it; ``public`` and ``derived`` as for `Fragment.item`."""

    value: Any
    owner: str
    leaves: tuple[str, ...]
    public: bool = False
    derived: bool = False


#: Lists whose items have a name of their own: which one it is, so that nobody adds a second under another key.
_NAMES: Mapping[str, Callable[[Any], object]] = MappingProxyType(
    {
        "/process/env": lambda entry: entry.partition("=")[0],
        "/mounts": lambda mount: mount["destination"],
    }
)


class Fragment:
    """What one mechanism contributes, each part with the leaves that decided it: settings of that mechanism. Values are JSON
    data; None removes the value in a foreign configuration. What was contributed cannot be taken back."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._values: dict[str, Value] = {}
        self._items: dict[tuple[str, str], Value] = {}
        self._files: dict[str, Value] = {}
        self._replaced: dict[str, Value] = {}
        self._leases: list[Path] = []
        self._told: list[Finding] = []

    @property
    def owner(self) -> str:
        """The mechanism that contributes."""
        return self._owner

    @property
    def values(self) -> Mapping[str, Value]:
        """Values by their pointers."""
        return MappingProxyType(self._values)

    @property
    def items(self) -> Mapping[tuple[str, str], Value]:
        """Items of shared lists by the list's pointer and their key."""
        return MappingProxyType(self._items)

    @property
    def files(self) -> Mapping[str, Value]:
        """Files of the bundle by their paths."""
        return MappingProxyType(self._files)

    @property
    def replaced(self) -> Mapping[str, Value]:
        """The shared lists that hold contributed items only."""
        return MappingProxyType(self._replaced)

    @property
    def leases(self) -> Sequence[Path]:
        """Files that the launch stage holds locked."""
        return tuple(self._leases)

    @property
    def told(self) -> Sequence[Finding]:
        """Where what was contributed is less than what the layers say."""
        return tuple(self._told)

    @property
    def pointers(self) -> frozenset[str]:
        """Every place that this fragment decides."""
        return frozenset({*self._values, *(pointer for pointer, _ in self._items), *self._replaced})

    def put(self, pointer: str, value: object, *leaves: str) -> None:
        """Set the value at ``pointer``, which this mechanism owns."""
        self._keep(self._values, pointer, f"sets {pointer}", self._value(pointer, value, leaves))

    def item(
        self, pointer: str, key: str, value: object, *leaves: str, public: bool = False, derived: bool = False
    ) -> None:
        """Add an item to the shared list at ``pointer``; ``key`` is what makes it unique there: a mount's destination, a
        variable's name. ``public`` says of a variable that its value follows from the settings alone, and is nothing that
        the caller passes on: unless the command line says something of one of its leaves, a receipt may have it. A
        ``derived`` value is in no case what somebody has written, such as the home of the user who was chosen: it is kept
        whatever the command line says."""
        made = attrs.evolve(self._value(pointer, value, leaves), public=public or derived, derived=derived)
        try:
            name = _NAMES[pointer](value) if pointer in _NAMES else key
        except (AttributeError, KeyError, TypeError):
            raise PluginError(f"{self._owner} contributes to {pointer} what is no item of it: {value!r}") from None
        if name != key:
            raise PluginError(f"{self._owner} contributes {name} to {pointer} as {key}")
        self._keep(self._items, (pointer, key), f"contributes {key} to {pointer}", made)

    def replace(self, pointer: str, *leaves: str) -> None:
        """Let the shared list at ``pointer`` hold contributed items only, even where there are none: what a foreign
        configuration has there goes. One mechanism may say so."""
        self._replaced[pointer] = self._value(pointer, None, leaves)

    def tell(self, finding: Finding) -> None:
        """Say where what is contributed is less than what the layers say, as where a filter cannot be written exactly. A
        warning is shown with every launch, a quiet one too."""
        self._told.append(finding)

    def file(self, path: str, content: File, *leaves: str) -> None:
        """Add a file beside ``config.json``; ``path`` is relative to the bundle, without ``..``."""
        if path != posixpath.normpath(path) or path.startswith(("/", "../")) or path in ("", ".", "..", CONFIG):
            raise PluginError(f"{self._owner} contributes the file {path}, which has no place in a bundle")
        if not isinstance(content, File):
            raise PluginError(
                f"{self._owner} contributes the bundle's {path} as {type(content).__name__}, not as bytes"
            )
        self._keep(self._files, path, f"contributes the bundle's {path}", Value(content, self._owner, leaves))

    def lease(self, path: Path) -> None:
        """Have the launch stage hold a lock on a file for as long as the container lives (`hardening.launch.leases`)."""
        self._leases.append(path)

    def _value(self, pointer: str, value: object, leaves: tuple[str, ...]) -> Value:
        if not pointer.startswith("/"):
            raise PluginError(f"{self._owner} contributes to {pointer!r}, which is no JSON pointer")
        if not _is_json(value):
            raise PluginError(f"{self._owner} contributes to {pointer} what is no JSON data: {value!r}")
        return Value(_copy(value), self._owner, leaves)

    def _keep(self, kept: dict[_Key, Value], key: _Key, deed: str, value: Value) -> None:
        if key in kept:
            raise PluginError(f"{self._owner} {deed} twice")
        kept[key] = value


@frozen
class Spec:
    """An assembled OCI configuration: ``config`` are the bytes of ``config.json``, which are what is judged, written and
    run; ``leaves`` maps JSON pointers to the leaves that decided them, ``derived`` are those of items that nobody has
    written as they are; ``told`` says where it is less than what the layers say."""

    config: bytes
    leaves: Mapping[str, tuple[str, ...]]
    files: Mapping[str, File]
    derived: frozenset[str] = frozenset()
    told: tuple[Finding, ...] = ()

    @property
    def document(self) -> dict[str, Any]:
        """The configuration as JSON data; a copy of its own for every caller."""
        document: dict[str, Any] = json.loads(self.config)
        return document


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
    core = {f"/annotations/{escape(name)}": _CORE for name in (*annotations, LEASES)} | {"/ociVersion": _CORE}
    _require_one_owner(fragments, core)
    document: dict[str, Any] = _copy(base) if base is not None else {"ociVersion": OCI_VERSION}
    leaves: dict[str, tuple[str, ...]] = {}
    derived = set()
    for pointer, value in sorted(
        (item for part in fragments for item in part.values.items()), key=lambda item: item[0]
    ):
        _set(document, pointer, _copy(value.value))
        leaves[pointer] = value.leaves
    lists: dict[str, list[tuple[str, Value]]] = {pointer: [] for part in fragments for pointer in sorted(part.replaced)}
    for part in fragments:
        for (pointer, key), item in part.items.items():
            lists.setdefault(pointer, []).append((key, item))
    for pointer, entries in lists.items():
        if pointer == "/mounts":
            # Parents before children, whoever contributed them.
            entries.sort(key=lambda entry: (entry[0].rstrip("/").count("/"), entry[0]))
        _set(document, pointer, [_copy(item.value) for _, item in entries])
        for index, (_, item) in enumerate(entries):
            leaves[f"{pointer}/{index}"] = item.leaves
            if item.derived:
                derived.add(f"{pointer}/{index}")
    held = [str(path) for part in fragments for path in part.leases]
    for name, text in {**annotations, LEASES: json.dumps(held) if held else None}.items():
        _set(document, f"/annotations/{escape(name)}", text)
    files = {path: content.value for part in fragments for path, content in part.files.items()}
    told = tuple(finding for part in fragments for finding in part.told)
    return Spec(to_json(document), MappingProxyType(leaves), MappingProxyType(files), frozenset(derived), told)


def _require_one_owner(fragments: Sequence[Fragment], core: Mapping[str, str]) -> None:
    """Each place has one owner: a value, or a list that is shared item by item; nothing stands above or below it that
    belongs to another, and nothing sets a shared list whole. ``core`` are the values that no mechanism sets."""
    values: dict[str, str] = dict(core)
    items: dict[tuple[str, str], str] = {}
    replaced: dict[str, str] = {}
    files: dict[str, tuple[str, File]] = {}
    for part in fragments:
        for pointer in part.values:
            _claim(values, pointer, part.owner, f"set {pointer}")
        for key in part.items:
            _claim(items, key, part.owner, f"contribute {key[1]} to {key[0]}")
        for pointer in part.replaced:
            _claim(replaced, pointer, part.owner, f"replace {pointer}")
        for path, content in part.files.items():
            other = files.setdefault(path, (part.owner, content.value))
            if other[0] != part.owner:
                raise PluginError(f"{other[0]} and {part.owner} both contribute the bundle's {path}", hint=_ONE_OWNER)
    lists = {pointer: owner for (pointer, _), owner in items.items()} | replaced
    for pointer, owner in [*values.items(), *lists.items()]:
        for above in _ancestors(pointer):
            outer = lists.get(above) or values.get(above, owner)
            if outer != owner or above in lists:
                raise PluginError(f"{outer} owns {above} and {owner} sets {pointer} inside it", hint=_ONE_OWNER)
    for pointer in values.keys() & lists.keys():
        raise PluginError(
            f"{values[pointer]} sets {pointer} whole, and {lists[pointer]} adds items to it", hint=_ONE_OWNER
        )
    for path, (owner, _) in files.items():
        for above in _ancestors(path):
            if above in files and not isinstance(files[above][1], Directory):
                raise PluginError(f"{owner} contributes {path}, but {above} is no directory", hint=_ONE_OWNER)


_CORE = "the core"
_ONE_OWNER = "one plugin owns each place: uninstall one of them, or have it contribute elsewhere"


def _claim(owners: dict[_Key, str], key: _Key, owner: str, deed: str) -> None:
    other = owners.setdefault(key, owner)
    if other != owner:
        raise PluginError(f"{other} and {owner} both {deed}", hint=_ONE_OWNER)


def _ancestors(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


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
    if isinstance(value, list | tuple):
        return [_copy(item) for item in value]
    return value


def _is_json(value: object) -> bool:
    """Whether a value can stand in a configuration (RFC 8259): objects by texts, and no number that is none."""
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_json(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_json, value))
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int)
