"""The part of the OCI configuration that hands capabilities out: ``process.capabilities`` and
``process.noNewPrivileges`` (runtime-spec, config.md, "Linux Process")."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from hardening.base.pointer import lookup
from hardening.errors import SpecError
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Context, Excess
from hardening.mechanism.roles import CommandProcess, runs_as_root
from hardening.mechanism.schema import REST
from hardening_capabilities.host import available
from hardening_capabilities.settings import CapabilitiesSettings, normal

POINTER = "/process/capabilities"
NO_NEW_PRIVILEGES = "/process/noNewPrivileges"
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
    """Put the five sets and the flag."""
    names = granted(settings, context)
    leaves = [f"capabilities.{name}" for name in (REST, *sorted(names))]
    fragment.put(POINTER, sets_of(names, settings.kept, runs_as_root(context)), *leaves)
    fragment.put(NO_NEW_PRIVILEGES, settings.no_new_privileges, "capabilities.no_new_privileges")


def tighten(
    settings: CapabilitiesSettings, document: Mapping[str, Any], context: Context, fragment: Fragment
) -> Iterator[Excess]:
    """Intersect every set with what the settings allow for the user as whom the tightened configuration runs."""
    command = context.of(CommandProcess)
    uid = command.tightened_uid(document, context) if command is not None else lookup(document, "/process/user/uid")
    root = not uid
    allowed = sets_of(settings.added, settings.kept, root)
    asked = {name: _names(document, name) for name in SETS}
    kept = {name: sorted(asked[name] & set(allowed[name])) for name in SETS}
    for capability in sorted(set().union(*asked.values()) - set(allowed["bounding"])):
        holders = ", ".join(name for name in SETS if capability in asked[name])
        yield Excess(POINTER, f"{capability} ({holders})", "not allowed", f"capabilities.{normal(capability)}")
    for name in SETS[1:]:
        for capability in sorted(asked[name] & set(allowed["bounding"]) - set(allowed[name])):
            whom = "not for uid 0" if root else "for uid 0 alone"
            yield Excess(f"{POINTER}/{name}", capability, whom, f"capabilities.{normal(capability)}")
    fragment.put(POINTER, kept, "capabilities.*")
    asked_flag = lookup(document, NO_NEW_PRIVILEGES)
    if settings.no_new_privileges and asked_flag is False:
        yield Excess(NO_NEW_PRIVILEGES, "false", "true", "capabilities.no_new_privileges")
    fragment.put(NO_NEW_PRIVILEGES, settings.no_new_privileges or asked_flag is True, "capabilities.no_new_privileges")


def _names(document: Mapping[str, Any], name: str) -> set[str]:
    pointer = f"{POINTER}/{name}"
    raw = lookup(document, pointer)
    if raw is None:
        return set()
    if not isinstance(raw, list) or not all(isinstance(item, str) for item in raw):
        raise SpecError("an array of capability names is expected", origin=pointer)
    return {item.upper() for item in raw}
