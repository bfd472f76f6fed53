"""How a foreign filter is replaced by its exact intersection with the composed one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from hardening.base.pointer import lookup
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Context, Violation
from hardening.mechanism.schema import WILDCARD
from hardening_seccomp import groups
from hardening_seccomp.conditions import describe
from hardening_seccomp.filters import intersect, looser_flags, violations
from hardening_seccomp.host import SeccompFacts
from hardening_seccomp.oci import POINTER, read
from hardening_seccomp.settings import SeccompSettings
from hardening_seccomp.spec import composed, filter_of, finished, is_stranger, put, without_strangers


def tighten(
    settings: SeccompSettings, document: Mapping[str, Any], context: Context, fragment: Fragment
) -> Iterable[Violation]:
    """Replace a foreign filter by its exact intersection with the composed one."""
    if context.lacks("seccomp.*"):
        return
    facts = context.host.of(SeccompFacts)
    library = facts.required_library()
    allowed = filter_of(settings, context)
    found = lookup(document, POINTER)
    if found is None:
        yield Violation(POINTER, "no filter", f"a filter, else {allowed.default}", "seccomp.*")
        put(allowed, library, fragment)
        return
    foreign = read(found, native=facts.native)
    # Of an architecture that goes all system calls go.
    common = attrs.evolve(foreign.model, architectures=foreign.model.architectures & allowed.architectures)
    model = without_strangers(common, library)
    described = groups.load().described
    for name in violations(model, allowed):
        asked = described(model.rule(name)) if name != WILDCARD else str(model.default)
        limit = described(allowed.rule(name)) if name != WILDCARD else str(allowed.default)
        yield Violation(
            f"{POINTER}/syscalls" if name != WILDCARD else f"{POINTER}/defaultAction", asked, limit, f"seccomp.{name}"
        )
    for name in sorted(foreign.model.architectures - allowed.architectures):
        yield Violation(f"{POINTER}/architectures", name, "kill-process", f"seccomp.architectures.{name}")
    for flag in sorted(looser_flags(model, allowed)):
        yield Violation(f"{POINTER}/flags", flag, "not set", f"seccomp.flags.{flag}")
    for pointer, names in foreign.pretended:
        for name in names:
            yield Violation(pointer, "errno 0: the call seems to succeed", "errno:EPERM", f"seccomp.{name}")
    for name in foreign.ambiguous:
        rule = describe(foreign.model.rule(name))
        yield Violation(
            f"{POINTER}/syscalls", f"{name}: overlapping entries of different actions", rule, f"seccomp.{name}"
        )
    for name in foreign.model.rules:
        if is_stranger(name, foreign.model, library):
            asked = f"{name}: unknown here, as it is to the runtime"
            yield Violation(f"{POINTER}/syscalls", asked, "left out", f"seccomp.{name}")
    # With fewer architectures than the foreign filter, more of its system calls are strangers. What both deny gets the
    # errno of the composed one, which tells the known from the unknown.
    put(finished(intersect(foreign.model, composed(settings, context)), library), library, fragment)
