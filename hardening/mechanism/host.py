"""What this kernel and user can do, probed once and passed on as a value, also to who reads a layer (`Reading`).

The core knows the plain facts of a machine; each mechanism adds the facts that it needs through its own ``probe``.
Tests build a `Host` by hand to stand for another kernel.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Protocol, TypeVar

import attrs

from hardening.base.values import frozen
from hardening.errors import PluginError
from hardening.mechanism.findings import Finding
from hardening.mechanism.inputs import Input, Unknown

F = TypeVar("F")


@frozen
class Host:
    """Facts of one host and caller. ``facts`` holds what mechanisms probed, by the type of the fact. One that is ``assumed``
    is no host: a profile is read for it alone, and no file of this machine says anything about it."""

    kernel: tuple[int, int]
    release: str
    machine: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    facts: Mapping[type, object] = MappingProxyType({})
    assumed: bool = False

    @property
    def root(self) -> bool:
        """Whether the caller is root in its user namespace."""
        return self.uid == 0

    def of(self, kind: type[F]) -> F:
        """The facts of type ``kind``; `KeyError` if no mechanism probed them."""
        fact = self.find(kind)
        if fact is None:
            raise KeyError(kind)
        return fact

    def find(self, kind: type[F]) -> F | None:
        """The facts that are of ``kind`` or derive from it; None if no mechanism probed such."""
        return next((fact for fact in self.facts.values() if isinstance(fact, kind)), None)


class Probing(Protocol):
    """What of a mechanism looks at the host (`hardening.mechanism.mechanism`)."""

    @property
    def name(self) -> str: ...

    def probe(self, host: Host) -> object | None: ...

    def assumed(self, host: Host) -> object | None: ...


def plain() -> Host:
    """The facts that the core knows, without those of mechanisms (uname(2), credentials(7))."""
    name = os.uname()
    match = re.match(r"(\d+)\.(\d+)", name.release)
    kernel = (int(match[1]), int(match[2])) if match else (0, 0)
    return Host(kernel, name.release, name.machine, os.geteuid(), os.getegid(), tuple(sorted(os.getgroups())))


def neutral(mechanisms: Iterable[Probing]) -> Host:
    """A host that lacks nothing, of an ordinary user, of this machine's kind (`Host.assumed`). Raises `PluginError`."""
    host = Host((99, 0), "assumed", os.uname().machine, 1000, 1000, (1000,), assumed=True)
    return _with_facts(host, {}, mechanisms)


def probe(mechanisms: Iterable[Probing], known: Host | None = None) -> Host:
    """The plain facts and what every mechanism adds to them, or to what is ``known``. Raises `PluginError`."""
    return _with_facts(plain(), {} if known is None else dict(known.facts), mechanisms)


def _with_facts(host: Host, facts: dict[type, object], mechanisms: Iterable[Probing]) -> Host:
    for mechanism in mechanisms:
        fact = mechanism.assumed(host) if host.assumed else mechanism.probe(host)
        if type(fact) in facts:
            raise PluginError(
                f"{mechanism.name} probes {type(fact).__name__}, which another mechanism owns",
                hint="uninstall one of them",
            )
        if fact is not None:
            facts[type(fact)] = fact
    return attrs.evolve(host, facts=MappingProxyType(facts))


@frozen(eq=False)
class Reading:
    """What a mechanism may look at while it reads a layer: the host, and the composed settings of the mechanisms that it
    names in ``after``. It may write to ``noted``, what it found in the layers and wants to be told with the findings of the
    composition, and to ``looked``, the files that it read for them (`hardening.mechanism.inputs`)."""

    host: Host
    composed: Mapping[type, object]
    noted: list[Finding] = attrs.field(factory=list, eq=False)
    looked: list[Input | Unknown] = attrs.field(factory=list, eq=False)
    #: What was asked for so far, with the answers: on these the reading depends, and on no other mechanism.
    asked: list[tuple[type, object]] = attrs.field(factory=list, init=False, eq=False)

    def of(self, kind: type[F]) -> F | None:
        """The composed settings that are of ``kind`` or derive from it (`hardening.mechanism.roles`); None where there are
        none."""
        found = next((settings for settings in self.composed.values() if isinstance(settings, kind)), None)
        self.asked.append((kind, found))
        return found
