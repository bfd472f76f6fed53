"""What one mechanism contributes to a configuration: values at JSON pointers (RFC 6901) that it alone owns, items of lists
that several share (``/mounts``, ``/process/env``), and files of the bundle. And the configuration that this becomes."""

from __future__ import annotations

import json
import math
import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import attrs

from hardening.base.pointer import CONFIG, lookup
from hardening.base.values import frozen
from hardening.errors import PluginError, ProfileError
from hardening.mechanism.answers import Violation
from hardening.mechanism.findings import Finding
from hardening.mechanism.kinds import Kind
from hardening.mechanism.schema import ConfigField, Leaf, Scalar, Schema
from hardening.profile.source import Document, Node


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

    def __init__(self, owner: str, plugin: str = "") -> None:
        self._owner = owner
        self._plugin = plugin
        self._values: dict[str, Value] = {}
        self._items: dict[tuple[str, str], Value] = {}
        self._files: dict[str, Value] = {}
        self._replaced: dict[str, Value] = {}
        self._leases: list[Path] = []
        self._helper: Value | None = None
        self._told: list[Finding] = []

    @property
    def owner(self) -> str:
        """The mechanism that contributes."""
        return self._owner

    @property
    def label(self) -> str:
        """The same for messages, with the plugin whose it is where that is known."""
        return f"{self._plugin} with [{self._owner}]" if self._plugin else self._owner

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
        """Files that the launcher holds locked."""
        return tuple(self._leases)

    @property
    def helper(self) -> Value | None:
        """The words of the helper that confines the command."""
        return self._helper

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
            raise PluginError(f"{self._owner} contributes to {pointer} what is not an item of it: {value!r}") from None
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
        """Have the launcher hold a lock on a file for as long as the container lives
        (`hardening.launch.container.leases`)."""
        self._leases.append(path)

    def confine(self, argv: Sequence[str], *leaves: str) -> None:
        """Have a helper confine the command by what only a process can do for itself: it is executed as the command, with
        the same ids, capabilities and filter, and has to execute what follows on ``--`` once that is done, or to end. Its
        first word is an absolute path inside, where a mount point of the mechanism shows it. The helpers of several
        mechanisms are executed in the order of these (`hardening.launch.config.confinement`)."""
        if self._helper is not None:
            raise PluginError(f"{self._owner} confines the command twice")
        words = list(argv)
        if not words or not all(isinstance(word, str) and "\0" not in word for word in words) or words[0][:1] != "/":
            raise PluginError(
                f"{self._owner} confines the command by what is no helper with an absolute path: {words!r}"
            )
        self._helper = Value(words, self._owner, leaves)

    def _value(self, pointer: str, value: object, leaves: tuple[str, ...]) -> Value:
        if not pointer.startswith("/"):
            raise PluginError(f"{self._owner} contributes to {pointer!r}, which is not a JSON pointer")
        if not _is_json(value):
            raise PluginError(f"{self._owner} contributes to {pointer} what is not JSON data: {value!r}")
        return Value(copied(value), self._owner, leaves)

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


def copied(value: Any) -> Any:
    """JSON data of one's own."""
    if isinstance(value, str):  # as most are, and of which it takes longest to say that they are no Mapping
        return value
    if isinstance(value, list | tuple):
        return [copied(item) for item in value]
    return {key: copied(item) for key, item in value.items()} if isinstance(value, Mapping) else value


def _is_json(value: object) -> bool:
    """Whether a value can stand in a configuration (RFC 8259): objects by texts, and no number that is none."""
    if value is None or isinstance(value, str | int):
        return True
    if isinstance(value, list | tuple):
        return all(map(_is_json, value))
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, Mapping) and all(isinstance(key, str) and _is_json(item) for key, item in value.items())


# --- settings that say where they stand -------------------------------------------------------------------------------


def contribute_fields(mechanism: str, schema: Schema, settings: object, fragment: Fragment) -> None:
    """Put the value of each plain setting of ``mechanism`` into its field."""
    for name, _, field, value in _plain(schema, settings):
        fragment.put(field.pointer, field.write(value), str(Leaf(mechanism, name)))


def tighten_fields(
    mechanism: str, schema: Schema, settings: object, document: Mapping[str, Any], fragment: Fragment
) -> Iterator[Violation]:
    """Hold the field of each plain setting in a foreign configuration to its value (`Mechanism.tighten`)."""
    for name, kind, field, allowed in _plain(schema, settings):
        leaf, raw = str(Leaf(mechanism, name)), lookup(document, field.pointer)
        asked = field.unset if raw is None else _read(kind, field, raw)
        if asked is not None and ((raw is not None and kind.unordered) or kind.is_no_looser_than(asked, allowed)):
            if raw is not None:
                fragment.put(field.pointer, raw, leaf)
            continue
        met = kind.intersect(asked, allowed) if asked is not None else None
        kept = allowed if met is None else met
        if raw is not None:
            shown = str(raw) if asked is None else kind.show(asked)
            yield Violation(field.pointer, shown, kind.show(kept), leaf)
        fragment.put(field.pointer, field.write(kept), leaf)


def _plain(schema: Schema, settings: object) -> Iterator[tuple[str, Kind[Any], ConfigField[Any], Any]]:
    """Name, kind, field and value of each plain setting."""
    for attribute, setting in schema.fields.items():
        if isinstance(setting, Scalar) and setting.field is not None:
            yield setting.name, setting.kind, setting.field, getattr(settings, attribute)


def _read(kind: Kind[Any], field: ConfigField[Any], raw: object) -> Any:
    """The value of what stands in a field; None for what is none."""
    try:
        return kind.parse(Node(field.read(raw), (), Document("configuration", None, {}, {})))
    except (ValueError, ProfileError):
        return None
