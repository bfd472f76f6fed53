"""The short lines that every run shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hardening.base.text import listed
from hardening.compose.composition import Composition
from hardening.mechanism.findings import EXPIRING, NOT_ENFORCED, NOT_TAKEN, PLACEHOLDER, Finding, Severity
from hardening.mechanism.mechanism import Unsupported
from hardening.profile.exemption import Exemption


def notes(
    composition: Composition, unsupported: Sequence[Unsupported] = (), findings: Sequence[Finding] = ()
) -> Iterator[str]:
    """One line each: what is not enforced, which findings are more than notes, which exceptions end soon or are used.
    Remedies are left to where there is room for them: `doctor`, and the reports; not so that of what an image lacks,
    which no report of a run shows."""
    yield from standing(unsupported)
    unreasoned = [finding for finding in findings if finding.rule == PLACEHOLDER]
    for finding in findings:
        if finding.rule == EXPIRING:
            yield f"expires: {finding.origin}: {finding.message}"
        elif finding.rule != NOT_ENFORCED and (finding.rule != PLACEHOLDER or len(unreasoned) == 1):
            yield from warnings((finding,))
    if len(unreasoned) > 1:  # a layer as a tool wrote it: what is to be done is one thing
        yield f"warning: {unreasoned[0].origin}: {len(unreasoned)} exceptions have no reason yet: {unreasoned[0].hint}"
    yield from _exceptions(composition)


def _exceptions(composition: Composition) -> Iterator[str]:
    """Which exceptions are used, each group of leaves by itself, and those of a file with the same reason in one line."""
    settings: dict[tuple[str, ...], list[Exemption]] = {}
    covered: dict[tuple[str, ...], list[str]] = {}
    for leaf, exception in composition.used_exceptions():
        is_group = exception.setting != str(leaf)
        place = str(exception.origin)
        key = (exception.reason, exception.ticket, place if is_group else place.rpartition(":")[0])
        alike = settings.setdefault(key, [])
        if exception not in alike:
            alike.append(exception)
        covered.setdefault(key, []).extend([str(leaf)] if is_group else [])
    for used, alike in settings.items():
        named = ", ".join(exception.setting for exception in alike)
        ticket = f"{alike[0].ticket}, " if alike[0].ticket else ""
        yield f"exception: {named}: {alike[0].reason} ({ticket}{alike[0].origin}){_covering(covered[used])}"


def standing(unsupported: Sequence[Unsupported]) -> Iterator[str]:
    """One line for each thing that this host cannot enforce."""
    for lacking in unsupported:
        yield f"not enforced: {lacking.leaf}: {' '.join(lacking.reason.split())}"


def warnings(findings: Sequence[Finding]) -> Iterator[str]:
    """One line for each finding that is more than a note."""
    for finding in findings:
        if finding.severity is not Severity.NOTE:
            place = finding.origin or finding.leaf
            hint = f": {finding.hint}" if finding.rule == NOT_TAKEN and finding.hint else ""
            yield f"{finding.severity.word}: {place}{': ' if place else ''}{finding.message}{hint}"


def _covering(leaves: Sequence[str]) -> str:
    """Which leaves the exception for a group permitted, in a few words."""
    return f" covers {listed(leaves, 2 if len(leaves) > 3 else 3)}" if leaves else ""
