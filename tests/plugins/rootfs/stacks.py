"""Layers as text -> settings, specs and findings, for the tests of `rootfs`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hardening.assemble.spec import assemble
from hardening.compose.composition import Composition, compose
from hardening.mechanism.findings import Finding
from hardening.mechanism.fragment import Fragment, Spec
from hardening.mechanism.host import Host
from hardening.mechanism.mechanism import Context, Violation
from hardening.profile.layers import Stack
from hardening_namespaces import Namespaces
from hardening_namespaces import host as namespace_host
from hardening_namespaces.facts import NamespaceFacts
from hardening_rootfs import Rootfs
from hardening_rootfs.host import check
from hardening_rootfs.settings import RootfsSettings
from hardening_rootfs.surroundings import RootfsFacts
from tests.support.layers import written

MECHANISMS = (Namespaces(), Rootfs())


def host(
    *, kernel: tuple[int, int] = (6, 12), uid: int = 0, private: tuple[str, ...] = (), unified: bool = True
) -> Host:
    """A host of this kernel and caller, whose home and XDG directories are ``private``, with cgroups of version 2 alone
    or not."""
    facts = RootfsFacts(private, unified)
    plain = Host(kernel, f"{kernel[0]}.{kernel[1]}.0", "x86_64", uid, uid, (uid,))
    return Host(
        plain.kernel, plain.release, plain.machine, uid, uid, (uid,),
        MappingProxyType({RootfsFacts: facts, NamespaceFacts: namespace_host.probe(plain)}),
    )  # fmt: skip


def composed(folder: Path, *texts: str, on: Host | None = None) -> Composition:
    """The composition of layers written as TOML to ``folder``."""
    return compose(Stack(tuple(written(folder, *texts))), MECHANISMS, on or host(), date(2030, 1, 1))


def settings_of(folder: Path, *texts: str) -> RootfsSettings:
    """The composed settings."""
    value = composed(folder, *texts).settings["rootfs"]
    assert isinstance(value, RootfsSettings)
    return value


def context_of(composition: Composition, on: Host | None = None) -> Context:
    """The context after the host check."""
    context = Context(on or host(), composition.composed)
    found = tuple(check(composition.settings["rootfs"], context))
    return Context(context.host, composition.composed, unsupported=found)


def spec_of(folder: Path, *texts: str, on: Host | None = None) -> Spec:
    """What the mechanism contributes."""
    composition = composed(folder, *texts, on=on)
    fragment = Fragment("rootfs")
    Rootfs().contribute(composition.settings["rootfs"], context_of(composition, on), fragment)
    return assemble([fragment])


def mounts_of(spec: Spec) -> dict[str, dict[str, Any]]:
    """The mounts by destination."""
    return {mount["destination"]: mount for mount in spec.document["mounts"]}


def tightened(
    folder: Path, document: Mapping[str, Any], *texts: str, on: Host | None = None
) -> tuple[dict[str, Any], list[Violation]]:
    """A foreign configuration after tightening, and what it asked for beyond."""
    composition = composed(folder, *texts, on=on)
    fragment = Fragment("rootfs")
    context = Context(on or host(), composition.composed)
    violations = list(Rootfs().tighten(composition.settings["rootfs"], document, context, fragment))
    return dict(assemble([fragment], document).document), violations


def findings_of(folder: Path, *texts: str, on: Host | None = None) -> list[Finding]:
    """The mechanism's findings."""
    composition = composed(folder, *texts, on=on)
    return list(Rootfs().findings(composition.settings["rootfs"], context_of(composition, on)))
