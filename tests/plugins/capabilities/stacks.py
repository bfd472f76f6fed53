"""Layers as text -> composition, for the tests of `capabilities`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hardening.compose.composition import Composition, compose
from hardening.mechanism.host import Host
from hardening.mechanism.mechanism import Context
from hardening.profile.layers import Stack
from hardening_capabilities import Capabilities
from hardening_capabilities.host import CapabilityFacts
from hardening_capabilities.table import BY_NAME
from hardening_namespaces.settings import NamespacesSettings
from tests.support.layers import written

EVERY = frozenset(BY_NAME)


def host(bounding: frozenset[str] = EVERY, last: int = 40, effective: frozenset[str] = EVERY) -> Host:
    """A host with these capabilities."""
    facts = CapabilityFacts(last, bounding, effective)
    return Host((6, 12), "6.12.0", "x86_64", 0, 0, (0,), MappingProxyType({CapabilityFacts: facts}))


def composed(folder: Path, *texts: str, on: Host | None = None) -> Composition:
    """The composition of layers written as TOML."""
    return compose(Stack(tuple(written(folder, *texts))), [Capabilities()], on or host(), date(2030, 1, 1))


def context(on: Host, *others: object) -> Context:
    """A context in which these settings of other mechanisms are composed too."""
    return Context(on, {type(other): other for other in others})


def namespaces(**values: Any) -> NamespacesSettings:
    """Settings of `namespaces`, the strict ones but for ``values``."""
    from hardening_namespaces import Namespaces

    fields: Mapping[str, Any] = Namespaces().schema.fields
    leaves = {(setting.name, ""): getattr(setting, "default", None) for setting in fields.values()}
    leaves |= {(setting.name, "*"): setting.rest for setting in fields.values() if hasattr(setting, "rest")}
    return Namespaces().build(leaves | {(name, ""): value for name, value in values.items()})
