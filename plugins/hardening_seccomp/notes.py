"""What is worth saying of one layer's table, or of a rule, which the composed filter no longer shows."""

from __future__ import annotations

from collections.abc import Sequence

from hardening.mechanism.findings import Finding, FindingsOf
from hardening.mechanism.schema import WILDCARD
from hardening.profile.source import Origin
from hardening_seccomp.actions import is_denial
from hardening_seccomp.conditions import Rule, describe
from hardening_seccomp.diagrams import apply
from hardening_seccomp.oci import FLAGS

_about = FindingsOf("seccomp")
_HINT = "leave it out, or add an architecture that has it"


def foreign_name(name: str, native: str, origin: Origin) -> Finding:
    """A name that neither the machine nor a further architecture of the table has."""
    message = f"{name} is not a system call of {native}: it applies only where an architecture that has it is added"
    return _about.note("foreign-syscall", message, name, hint=_HINT, origin=origin)


def foreign_names(names: Sequence[str], native: str, origin: Origin) -> Finding:
    """The same of a docker profile, which serves many machines."""
    return _about.note(
        "foreign-syscall",
        f"the profile allows {len(names)} names that are no system calls of {native} or of its further architectures: "
        + ", ".join(names),
        WILDCARD,
        hint="nothing, where the profile serves several kinds of machines; else leave them out",
        origin=origin,
    )


def young_name(name: str, origin: Origin) -> Finding:
    """An allowed call of a number that is known here, and not to the library by which runtimes know names."""
    message = f"{name}: the installed libseccomp does not know it, so it is not allowed, and gets the default action"
    return _about.warning("unknown-syscall", message, name, hint="update libseccomp", origin=origin)


def flag(name: str, place: str) -> Finding:
    """A flag of a docker profile that is not taken from there."""
    if name == FLAGS["spec-allow"]:
        reason = "it would let speculative store bypass stay permitted, which the file alone does not decide"
        hint = 'write flags.add = ["spec-allow"] in [seccomp] to have it all the same'
        return _about.warning("flag", f"{name} is not taken: {reason}", "flags.spec-allow", hint=hint, origin=place)
    reason = "it is for a listener, and there is none"
    if name == FLAGS["tsync"]:
        reason = "the filter is loaded before the command has threads"
    return _about.note("flag", f"{name} has no effect: {reason}", WILDCARD, hint="leave it out", origin=place)


def overlap(name: str, origin: Origin) -> Finding:
    """Entries of a docker profile about whose order runtimes disagree."""
    return _about.warning(
        "overlap",
        f"{name}: entries of the profile with different actions overlap; the strictest applies; libseccomp orders them "
        "by their comparisons for docker and podman, whichever was written first",
        name,
        hint="write entries that exclude each other",
        origin=origin,
    )


def flattened(name: str, rule: Rule, written: Rule) -> Finding:
    """A rule that was written plainer than it is, and what is lost by it."""
    runs, denials = ([str(one) for one in written.leaves if is_denial(one) is denied] for denied in (False, True))
    if written.is_constant and any(not is_denial(one) for one in rule.leaves) and denials:
        loss = f"every call gets its strictest action, {denials[0]}, also those that would run ({describe(rule)})"
    elif any(apply(lambda was, now: is_denial(now) and not is_denial(was), rule, written).leaves):
        loss = f"some calls that would run are denied, what is left is: {describe(written)}"
    elif len(runs) < sum(not is_denial(one) for one in rule.leaves):
        loss = f"every call that runs gets {runs[0]}"
    else:
        loss = f"every denied call gets {' or '.join(denials)}, and what runs is what the layers let run"
    return _about.warning(
        "stricter",
        f"{name}: the rule cannot be written exactly for libseccomp: {loss}",
        name,
        hint="use fewer or simpler comparisons, or libseccomp 2.6.1 or newer",
    )
