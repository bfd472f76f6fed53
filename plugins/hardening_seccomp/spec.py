"""The filter's part of the OCI configuration: ``/linux/seccomp``, the compiled ``seccomp.bpf``, and its digest."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from hardening.base import digest
from hardening.base.linux.libseccomp import YOUNG, Libseccomp
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import Privileges
from hardening_seccomp import groups, multiplex, suid
from hardening_seccomp.actions import DENY, ENOSYS, Action
from hardening_seccomp.compile import compile_filter
from hardening_seccomp.conditions import Rule
from hardening_seccomp.diagrams import constant
from hardening_seccomp.filters import Filter, rule_intersect
from hardening_seccomp.host import SeccompFacts
from hardening_seccomp.oci import POINTER, strictest
from hardening_seccomp.settings import SeccompSettings, calls

FILE = "seccomp.bpf"
DIGEST = digest.ANNOTATION


def filter_of(settings: SeccompSettings, context: Context) -> Filter:
    """The composed filter, of the system calls that some architecture of it has."""
    return context.once(_filter_of, settings)


def _filter_of(settings: SeccompSettings, context: Context) -> Filter:
    return finished(composed(settings, context), context.host.of(SeccompFacts).required_library())


def finished(model: Filter, library: Libseccomp) -> Filter:
    """A filter with what keeps calls behind others from passing by it, and without strangers."""
    return without_strangers(multiplex.guard(model, library), library).normal()


def unrestricted(settings: SeccompSettings, context: Context) -> Filter:
    """The composed filter without what `suid` takes from it."""
    return context.once(_unrestricted, settings)


def _unrestricted(settings: SeccompSettings, context: Context) -> Filter:
    library = context.host.of(SeccompFacts).required_library()
    return finished(composed(settings, context, restrict=False), library)


def composed(settings: SeccompSettings, context: Context, *, restrict: bool = True) -> Filter:
    """The filter as the settings say it."""
    facts = context.host.of(SeccompFacts)
    extra = {name for name in settings.architectures.having(True) if not context.lacks(f"seccomp.architectures.{name}")}
    flags = {word for word, held in (("log", settings.log), ("spec-allow", settings.spec_allow)) if held}
    if context.lacks("seccomp.flags.spec-allow"):
        flags.discard("spec-allow")
    model = Filter(
        default=default(settings),
        rules=rules(settings),
        architectures=frozenset({facts.native, *extra}),
        flags=frozenset(flags),
    )
    if not (restrict and settings.restrict_suid_sgid):
        return model
    return suid.restricted(model, may_set_capabilities=may_set_capabilities(context))


def default(settings: SeccompSettings) -> Action:
    """The answer to numbers of no call that is known here. Where these are denied, a kernel without them is the one that
    programs are made for."""
    rest = strictest(settings.syscalls.rest)
    return ENOSYS if rest == DENY else rest


def rules(settings: SeccompSettings) -> Mapping[str, Rule]:
    """What happens to each call that layers name, and to all that are known here where `DENY` answers the others."""
    data, rest = groups.load(), settings.syscalls.rest
    others = dict.fromkeys(calls(), rest) if strictest(rest) == DENY else {}
    return {name: data.answered(name, rule) for name, rule in {**others, **settings.syscalls.named}.items()}


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
            rule = rule_intersect(rule, constant(model.default))
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
        put(filter_of(settings, context), context.host.of(SeccompFacts).required_library(), fragment)


def put(model: Filter, library: Libseccomp, fragment: Fragment) -> None:
    """Put a filter, compiled, with its digest."""
    compiled = compile_filter(model, library)
    for name, written in compiled.written.items():
        from hardening_seccomp.notes import flattened  # few filters need it

        fragment.tell(flattened(name, model.rule(name), written))
    fragment.put(POINTER, compiled.document, "seccomp.*", "seccomp.architectures", "seccomp.flags")
    fragment.put(f"/annotations/{DIGEST}", digest.of_filter(compiled.document, compiled.program), "seccomp.*")
    fragment.file(FILE, compiled.program, "seccomp.*")
