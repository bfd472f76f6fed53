"""The filter's part of the OCI configuration: ``/linux/seccomp``, the compiled ``seccomp.bpf``, and its digest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from hardening.base import digest
from hardening.base.pointer import lookup
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Context, Excess
from hardening.mechanism.roles import Privileges
from hardening.mechanism.schema import REST
from hardening_seccomp import multiplex, suid
from hardening_seccomp.compile import compile_filter
from hardening_seccomp.conditions import describe
from hardening_seccomp.diagrams import constant
from hardening_seccomp.filters import Filter, excesses, looser_flags, meet, rule_meet
from hardening_seccomp.host import SeccompFacts
from hardening_seccomp.libseccomp import YOUNG, Libseccomp
from hardening_seccomp.oci import POINTER, read, strictest
from hardening_seccomp.settings import SeccompSettings

FILE = "seccomp.bpf"
DIGEST = digest.ANNOTATION


def filter_of(settings: SeccompSettings, context: Context) -> Filter:
    """The composed filter, of the system calls that some architecture of it has."""
    return _finished(_composed(settings, context), context.host.of(SeccompFacts).required_library())


def _finished(model: Filter, library: Libseccomp) -> Filter:
    return without_strangers(multiplex.guard(model, library), library).normal()


def unrestricted(settings: SeccompSettings, context: Context) -> Filter:
    """The composed filter without what `suid` takes from it."""
    library = context.host.of(SeccompFacts).required_library()
    return _finished(_composed(settings, context, restrict=False), library)


def _composed(settings: SeccompSettings, context: Context, *, restrict: bool = True) -> Filter:
    facts = context.host.of(SeccompFacts)
    extra = {name for name in settings.architectures.having(True) if not context.lacks(f"seccomp.architectures.{name}")}
    flags = {word for word, held in (("log", settings.log), ("spec-allow", settings.spec_allow)) if held}
    if context.lacks("seccomp.flags.spec-allow"):
        flags.discard("spec-allow")
    model = Filter(
        default=strictest(settings.syscalls.rest),
        rules=settings.syscalls.named,
        architectures=frozenset({facts.native, *extra}),
        flags=frozenset(flags),
    )
    if not (restrict and settings.restrict_suid_sgid):
        return model
    return suid.restricted(model, may_set_capabilities=may_set_capabilities(context))


def may_set_capabilities(context: Context, *, unknown: bool = True) -> bool:
    """Whether the command may come to hold CAP_SETFCAP; ``unknown`` where no mechanism says it."""
    capabilities = context.of(Privileges)
    return unknown if capabilities is None else "SETFCAP" in capabilities.added


def without_strangers(model: Filter, library: Libseccomp) -> Filter:
    """The filter without rules for system calls that none of its architectures has. Of a call that is younger than the
    library, by which runtimes know names, only what is stricter than the default is kept: nobody would open it."""
    rules = {}
    for name, rule in model.rules.items():
        if is_young(name, library):
            rule = rule_meet(rule, constant(model.default))
        if not is_stranger(name, model, library):
            rules[name] = rule
    return attrs.evolve(model, rules=rules)


def is_stranger(name: str, model: Filter, library: Libseccomp) -> bool:
    """Whether no architecture of the filter has this system call, by itself or behind another, as far as the library
    knows."""
    carrier = multiplex.carrier_of(name)
    tokens = [token for token in map(library.architecture, model.architectures) if token is not None]
    return not any(library.has(token, word) for word in (name, carrier) if word for token in tokens)


def is_young(name: str, library: Libseccomp) -> bool:
    """Whether the library does not know a system call, while its number is known here."""
    return name in YOUNG and library.resolved(library.native(), name) is None


def contribute(settings: SeccompSettings, context: Context, fragment: Fragment) -> None:
    """Put the filter, unless this host was found unable to have one."""
    if not context.lacks("seccomp.*"):
        _put(filter_of(settings, context), context.host.of(SeccompFacts).required_library(), fragment)


def _put(model: Filter, library: Libseccomp, fragment: Fragment) -> None:
    compiled = compile_filter(model, library)
    for name, written in compiled.written.items():
        from hardening_seccomp.findings import flattened  # few filters need it

        fragment.tell(flattened(name, model.rule(name), written))
    fragment.put(POINTER, compiled.document, "seccomp.*", "seccomp.architectures", "seccomp.flags")
    fragment.put(f"/annotations/{DIGEST}", digest.of_filter(compiled.document, compiled.program), "seccomp.*")
    fragment.file(FILE, compiled.program, "seccomp.*")


def tighten(
    settings: SeccompSettings, document: Mapping[str, Any], context: Context, fragment: Fragment
) -> Iterable[Excess]:
    """Replace a foreign filter by its exact intersection with the composed one."""
    if context.lacks("seccomp.*"):
        return
    facts = context.host.of(SeccompFacts)
    library = facts.required_library()
    allowed = filter_of(settings, context)
    found = lookup(document, POINTER)
    if found is None:
        yield Excess(POINTER, "no filter", f"a filter, else {allowed.default}", "seccomp.*")
        _put(allowed, library, fragment)
        return
    foreign = read(found, native=facts.native)
    # Of an architecture that goes all system calls go.
    common = attrs.evolve(foreign.model, architectures=foreign.model.architectures & allowed.architectures)
    model = without_strangers(common, library)
    for name in excesses(model, allowed):
        asked = describe(model.rule(name)) if name != REST else str(model.default)
        limit = describe(allowed.rule(name)) if name != REST else str(allowed.default)
        yield Excess(
            f"{POINTER}/syscalls" if name != REST else f"{POINTER}/defaultAction", asked, limit, f"seccomp.{name}"
        )
    for name in sorted(foreign.model.architectures - allowed.architectures):
        yield Excess(f"{POINTER}/architectures", name, "kill-process", f"seccomp.architectures.{name}")
    for flag in sorted(looser_flags(model, allowed)):
        yield Excess(f"{POINTER}/flags", flag, "not set", f"seccomp.flags.{flag}")
    for pointer, names in foreign.pretended:
        for name in names:
            yield Excess(pointer, "errno 0: the call seems to succeed", "errno:EPERM", f"seccomp.{name}")
    for name in foreign.ambiguous:
        rule = describe(foreign.model.rule(name))
        yield Excess(
            f"{POINTER}/syscalls", f"{name}: overlapping entries of different actions", rule, f"seccomp.{name}"
        )
    for name in foreign.model.rules:
        if is_stranger(name, foreign.model, library):
            asked = f"{name}: unknown here, as it is to the runtime"
            yield Excess(f"{POINTER}/syscalls", asked, "left out", f"seccomp.{name}")
    # With fewer architectures than the foreign filter, more of its system calls are strangers.
    _put(_finished(meet(_composed(settings, context), foreign.model), library), library, fragment)
