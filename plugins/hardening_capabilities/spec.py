"""The part of the OCI configuration that hands capabilities out: ``process.capabilities`` (runtime-spec, config.md, "Linux
Process")."""

from __future__ import annotations

from collections.abc import Collection

from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import runs_as_root
from hardening.mechanism.schema import WILDCARD
from hardening_capabilities.host import available
from hardening_capabilities.settings import CapabilitiesSettings

POINTER = "/process/capabilities"
SETS = ("bounding", "effective", "inheritable", "permitted", "ambient")


def granted(settings: CapabilitiesSettings, context: Context) -> frozenset[str]:
    """The short names that go into the bounding set: what is allowed, cut to what the host can hand on."""
    lacking = {name for name in settings.added if context.lacks(f"capabilities.{name}")}
    return settings.added & available(context) - lacking


def sets_of(names: Collection[str], kept: Collection[str], root: bool) -> dict[str, list[str]]:
    """The five sets, of full names, sorted: of the ``names`` that root may have, any other user has those that are in
    ``kept``.

    A process of uid 0 gains its permitted set from the bounding set whenever it executes a program, so it needs neither
    inheritable nor ambient ones, which would pass on what it hands to others. Any other user keeps capabilities over
    execve(2) only through the ambient set, which must be part of the permitted and the inheritable one (capabilities(7)).
    """
    full = sorted(f"CAP_{name}" for name in names)
    own = full if root else sorted(f"CAP_{name}" for name in set(names) & set(kept))
    passed = [] if root else own
    return {"bounding": full, "effective": own, "inheritable": passed, "permitted": own, "ambient": passed}


def contribute(settings: CapabilitiesSettings, context: Context, fragment: Fragment) -> None:
    """Put the five sets."""
    names = granted(settings, context)
    leaves = [f"capabilities.{name}" for name in (WILDCARD, *sorted(names))]
    fragment.put(POINTER, sets_of(names, settings.kept, runs_as_root(context)), *leaves)
