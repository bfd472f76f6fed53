"""Stacks and hosts for tests, in a line each: profiles from texts without files, a host with given facts, and what a
mechanism makes of them."""

from __future__ import annotations

import json
import sys
import textwrap
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hardening.assemble.pipeline import examine
from hardening.assemble.spec import assemble
from hardening.base.values import freeze
from hardening.compose.composition import Composition, compose
from hardening.mechanism.fragment import Fragment, Spec
from hardening.mechanism.host import Host, plain
from hardening.mechanism.mechanism import Context, Mechanism, Violation
from hardening.plugin import pluginfaces
from hardening.plugin.plugincalls import Plugin
from hardening.profile import toml_lines
from hardening.profile.layers import Layer, Stack, parse_layer
from hardening.profile.source import Document
from hardening.testing.kinds import Broken

#: The day of `composed`: exceptions that end later are valid.
TODAY = date(2026, 1, 1)


def document(text: str, name: str = "profile") -> Document:
    """A text as the document ``NAME.toml``; lines count from 1."""
    text = textwrap.dedent(text).lstrip("\n")
    file = f"{name}.toml"
    places = {path: f"{file}:{line}" for path, line in toml_lines.key_lines(text).items()}
    return Document(name, Path(file), tomllib.loads(text), places)


def layer(text: str, name: str = "profile") -> Layer:
    """A text as a layer. Raises `ProfileError`."""
    return parse_layer(document(text, name))


def stack(*texts: str) -> Stack:
    """Texts as layers that are called a, b, c …"""
    layers = tuple(layer(text, chr(ord("a") + number)) for number, text in enumerate(texts))
    return Stack(layers, named=tuple(item.name for item in layers))


def composed(*texts: str, by: Sequence[Mechanism[Any]], today: date = TODAY, host: Host | None = None) -> Composition:
    """The composition of texts by mechanisms, on a host, else on this one without what mechanisms probe. Raises
    `ProfileError`."""
    return compose(stack(*texts), by, host or plain(), today)


def fake_host(*facts: object, kernel: tuple[int, int] = (6, 12), uid: int = 1000, machine: str = "x86_64") -> Host:
    """A host that is none: its kernel, the caller, and what mechanisms would have probed there."""
    found = MappingProxyType({type(fact): fact for fact in facts})
    return Host(kernel, f"{kernel[0]}.{kernel[1]}.0", machine, uid, uid, (uid,), found)


def of_test(item: Any) -> Plugin:
    """A plugin that brings something and is in no package."""
    return Plugin(item.name, sys.modules[type(item).__module__], "", "")


def registered(mechanism: Mechanism[Any]) -> Mechanism[Any]:
    """A mechanism as the program calls it: what it answers is looked at, what it is given is frozen. Raises `PluginError`
    for one that would be refused."""
    return pluginfaces.mechanism(of_test(mechanism), mechanism)


def contributed(
    mechanism: Mechanism[Any], *texts: str, host: Host | None = None, others: Sequence[Mechanism[Any]] = ()
) -> Spec:
    """The part of the OCI configuration that a mechanism has by a stack of texts: ``.document``, and ``.leaves`` by their
    pointers. ``others`` are those that it names in ``after``, or asks by their roles. Raises `HardeningError`."""
    return contribute(registered(mechanism), composed(*texts, by=[mechanism, *others], host=host), host or plain())


def tightened(
    mechanism: Mechanism[Any],
    given: Mapping[str, Any],
    *texts: str,
    host: Host | None = None,
    others: Sequence[Mechanism[Any]] = (),
) -> tuple[dict[str, Any], list[Violation]]:
    """What a mechanism makes of a configuration of others by a stack of texts, and what that asked for beyond it."""
    found = composed(*texts, by=[mechanism, *others], host=host)
    return tighten(registered(mechanism), given, found, host or plain())


def contribute(mechanism: Mechanism[Any], composition: Composition, host: Host, context: Context | None = None) -> Spec:
    """The same of a composition; ``context`` is what `examine` has given where the host was looked at before."""
    fragment = Fragment(mechanism.name)
    mechanism.contribute(composition.settings[mechanism.name], context or examine(composition, host), fragment)
    return assemble([fragment])


def tighten(
    mechanism: Mechanism[Any], given: Mapping[str, Any], composition: Composition, host: Host
) -> tuple[dict[str, Any], list[Violation]]:
    """The same of a composition."""
    fragment, frozen = Fragment(mechanism.name), freeze(dict(given))
    context = examine(composition, host)
    violations = list(mechanism.tighten(composition.settings[mechanism.name], frozen, context, fragment))
    return assemble([fragment], json.loads(json.dumps(frozen))).document, violations


def check_golden(found: object, file: Path, *, write: bool = False) -> list[Broken]:
    """Hold JSON data, such as ``contributed(…).document``, against a file of the tests; ``write`` makes the file."""
    text = json.dumps(found, indent=2, sort_keys=True) + "\n"
    if write:
        file.write_text(text)
    kept = file.read_text() if file.exists() else ""
    if text == kept:
        return []
    for number, (line, other) in enumerate(zip(text.splitlines(), kept.splitlines(), strict=False), 1):
        if line != other:
            return [Broken("golden", f"{file}:{number}: {other.strip()} is {line.strip()} now")]
    return [Broken("golden", f"{file}: {len(kept.splitlines())} lines, and {len(text.splitlines())} now")]
