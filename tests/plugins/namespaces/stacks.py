"""Hosts made by hand, and settings composed from TOML texts, for the tests of `[namespaces]`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs

from hardening.assemble.spec import assemble
from hardening.compose.composition import Composition, compose
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.host import Host
from hardening.mechanism.mechanism import Context, Violation
from hardening.profile.layers import Stack, parse_layer
from hardening.profile.source import Document
from hardening_namespaces import Namespaces
from hardening_namespaces.facts import NamespaceFacts
from hardening_namespaces.settings import TYPES, NamespacesSettings

USER = 1000
SUBIDS = ((100_000, 65_536),)


def host(uid: int = 0, **facts: Any) -> Host:
    """A host with every namespace; an ordinary user has newuidmap and a range of 65536 ids."""
    subordinate = SUBIDS if uid else ()
    known = NamespaceFacts(frozenset(TYPES), "", subordinate, subordinate, newuidmap=True)
    return Host((6, 12), "6.12.0", "x86_64", uid, uid, (uid,),
                MappingProxyType({NamespaceFacts: attrs.evolve(known, **facts)}))  # fmt: skip


def composition(*texts: str, on: Host | None = None) -> Composition:
    """The composition of TOML texts, the first layer first."""
    documents = [
        Document(f"layer-{number}", Path(f"layer-{number}.toml"), tomllib.loads(text), {})
        for number, text in enumerate(texts)
    ]
    stack = Stack(tuple(parse_layer(document) for document in documents))
    return compose(stack, [Namespaces()], on or host(), date(2026, 1, 1))


def settings(body: str = "") -> NamespacesSettings:
    """The settings of one layer with this `[namespaces]` table."""
    found = composition(f"[namespaces]\n{body}").settings["namespaces"]
    assert isinstance(found, NamespacesSettings)
    return found


def context(on: Host | None = None, **more: Any) -> Context:
    """A context without any other mechanism."""
    return Context(on or host(), {}, **more)


def contributed(body: str = "", on: Host | None = None, **more: Any) -> dict[str, Any]:
    """The configuration that `[namespaces]` alone contributes."""
    fragment = Fragment("namespaces")
    Namespaces().contribute(settings(body), context(on, **more), fragment)
    return dict(assemble([fragment]).document)


def tightened(
    document: Mapping[str, Any], body: str = "", on: Host | None = None, **more: Any
) -> tuple[dict[str, Any], list[Violation]]:
    """A foreign configuration tightened to `[namespaces]`, and what it asked for beyond."""
    fragment = Fragment("namespaces")
    violations = list(Namespaces().tighten(settings(body), document, context(on, **more), fragment))
    return dict(assemble([fragment], document).document), violations


def places(document: Mapping[str, Any]) -> dict[str, str]:
    """OCI type -> path, or ``private``, of the namespaces in a configuration."""
    return {entry["type"]: entry.get("path", "private") for entry in document["linux"]["namespaces"]}
