"""The words in which an attempt to escape is written down."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from tests.escape.attacks.kit import Given
    from tests.escape.world import World

#: Stands for the folder of the `World` in a layer.
FOLDER = "@FOLDER@"
#: Who launches: the host's root, or an ordinary user.
STANCES = ("root", "rootless")


@attrs.frozen
class Loosening:
    """Settings that a layer loosens, each with the exception that this takes.

    ``values`` are whole settings, ``add`` and ``drop`` elements of lists; `text` is the layer.
    """

    values: Mapping[str, object] = MappingProxyType({})
    add: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    drop: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    #: What the exceptions name, where that is not the setting itself.
    settings: tuple[str, ...] = ()
    #: Whether it is none: what is tightened needs no exception.
    free: bool = False

    @property
    def text(self) -> str:
        lines = [f"{name} = {_toml(value)}" for name, value in self.values.items()]
        lines += [f"{_list(name, 'add')} = {json.dumps(items)}" for name, items in self.add.items()]
        lines += [f"{_list(name, 'drop')} = {json.dumps(items)}" for name, items in self.drop.items()]
        for name in self.exceptions:
            lines.append(f'[[exceptions]]\nsetting = "{name}"\nreason = "an attempt to escape"')
        return "\n".join(lines) + "\n"

    @property
    def for_root(self) -> bool:
        """Whether only root can do without it: an ordinary user's container always has a user namespace."""
        return "namespaces.user" in self.values

    @property
    def exceptions(self) -> tuple[str, ...]:
        """The leaves that are loosened."""
        if self.settings or self.free:
            return self.settings
        members = [f"{name}.{item}" for name, items in {**self.add, **self.drop}.items() for item in items]
        return (*self.values, *members)

    def __bool__(self) -> bool:
        return bool(self.values or self.add or self.drop)


def _list(name: str, how: str) -> str:
    if name == "capabilities":
        return f"capabilities.{how}"
    return "seccomp.allow" if name == "seccomp" else f"{name}.{how}"


def _toml(value: object) -> str:
    """A value in TOML; of tables only those of strings."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(each) for each in value) + "]"
    return json.dumps(value)


def allow(*names: str) -> Loosening:
    """System calls that may run."""
    return Loosening(add={"seccomp": names})


def hold(*names: str) -> Loosening:
    """Capabilities that the command holds."""
    return Loosening(add={"capabilities": names})


def say(**values: object) -> Loosening:
    """Whole settings; two underscores stand for a dot."""
    return Loosening({name.replace("__", "."): value for name, value in values.items()})


@attrs.frozen
class Outcome:
    """What came of an attempt, and what the attacker saw."""

    escaped: bool
    said: str


@attrs.frozen
class Attempt:
    """One attempt to escape, and the one defence that stops it.

    ``overlap`` are other defences that would stop it as well: they are off in both runs. ``overlap_of_root`` are off
    where root launches. ``refused`` says of a stance why the kernel refuses it with every defence off.
    """

    name: str
    source: str
    what: str
    defence: str
    tries: Profiled | Staged
    refused: Mapping[str, str] = MappingProxyType({})
    #: Whether another host may be set up so that the kernel does not refuse it; a launch may be refused as a whole here.
    depends: bool = False
    #: Whether the defence is that nothing is launched.
    fails_closed: bool = False
    needs: tuple[str, ...] = ()
    #: Why no shipped profile stops it, where that is so.
    beyond: str = ""
    #: Whether it is after more than a limit of its own: the shipped profiles have other ones.
    relative: bool = False


@attrs.frozen
class Profiled:
    """An attack inside of a container that profiles describe.

    ``off`` is the layer that switches its defence off. Where no setting does, ``left_out`` is code that takes a step
    away from the launcher in its own process; ``before`` is code that runs there in both cases. ``change`` alters the
    configuration in both. `FOLDER` in a text stands for the folder of the `World`.
    """

    attack: Callable[[Given], str]
    off: Loosening = Loosening()
    overlap: tuple[Loosening, ...] = ()
    overlap_of_root: tuple[Loosening, ...] = ()
    overlap_of_rootless: tuple[Loosening, ...] = ()
    left_out: str = ""
    before: str = ""
    change: Callable[[dict[str, Any]], None] | None = None
    #: A command in front of the launcher's.
    prefix: tuple[str, ...] = ()
    #: In a container of its own where it succeeds: it leaves traces there.
    alone: bool = False

    @property
    def name(self) -> str:
        return f"{self.attack.__module__}.{self.attack.__name__}"

    def setup(self, stance: str, *, on: bool) -> Setup:
        """The container for a stance, with the defence on or off."""
        overlap = (*self.overlap, *(self.overlap_of_root if stance == "root" else self.overlap_of_rootless))
        layers = tuple(layer.text for layer in (*overlap, *(() if on else (self.off,)))
                       if layer and not (stance == "rootless" and layer.for_root))  # fmt: skip
        code = self.before + ("" if on else self.left_out)
        return Setup(layers, code, self.change, self.prefix, self.name if self.alone and not on else "")


@attrs.frozen
class Setup:
    """What makes one container: layers on top of `strict`, code for the launcher, a change of the configuration,
    a command in front. Attempts that agree in it share the container, unless ``only`` names one."""

    layers: tuple[str, ...]
    code: str = ""
    change: Callable[[dict[str, Any]], None] | None = None
    prefix: tuple[str, ...] = ()
    only: str = ""


@attrs.frozen
class Staged:
    """An attack on the launcher itself: ``run`` launches with its defence (True) or with that step left out (False)."""

    run: Callable[[World, bool], Outcome]
