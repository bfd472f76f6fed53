"""Layers as text -> composition, for the tests of `seccomp`."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import attrs

from hardening.compose.composition import Composition, compose
from hardening.mechanism import host
from hardening.mechanism.host import Host
from hardening.mechanism.mechanism import Context
from hardening.profile.layers import Stack
from hardening_capabilities import Capabilities
from hardening_seccomp import Seccomp, SeccompSettings
from hardening_seccomp.host import SeccompFacts
from tests.support.layers import written


def this_host(**facts: Any) -> Host:
    """This host, with some facts about seccomp replaced."""
    probed = host.probe([Seccomp(), Capabilities()])
    changed = attrs.evolve(probed.of(SeccompFacts), **facts)
    return attrs.evolve(probed, facts={**probed.facts, SeccompFacts: changed})


def composed(folder: Path, *texts: str, on: Host | None = None) -> Composition:
    """The composition of layers written as TOML."""
    return compose(
        Stack(tuple(written(folder, *texts))), [Seccomp(), Capabilities()], on or this_host(), date(2030, 1, 1)
    )


def settings(folder: Path, *texts: str, on: Host | None = None) -> SeccompSettings:
    """The composed settings of layers written as TOML."""
    found = composed(folder, *texts, on=on).settings["seccomp"]
    assert isinstance(found, SeccompSettings)
    return found


def shown(folder: Path, name: str, *texts: str) -> str:
    """What a system call comes to, as people read it."""
    from hardening_seccomp.conditions import describe

    return describe(settings(folder, *texts).syscalls[name])


def context(on: Host | None = None) -> Context:
    """A context without other mechanisms."""
    return Context(on or this_host(), {})
