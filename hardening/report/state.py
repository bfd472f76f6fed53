"""The short lines that every run shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hardening.compose.composition import Composition
from hardening.mechanism.findings import EXPIRING, NOT_TAKEN, Finding, Severity
from hardening.mechanism.mechanism import Unsupported

#: The rule of the findings that repeat a gap each.
NOT_ENFORCED = "core/not-enforced"


def notes(
    composition: Composition, unsupported: Sequence[Unsupported] = (), findings: Sequence[Finding] = ()
) -> Iterator[str]:
    """One line each: what is not enforced, which findings are more than notes, which exceptions end soon or are used.
    Remedies are left to where there is room for them: `doctor`, and the reports; not so that of what an image lacks,
    which no report of a run shows."""
    yield from standing(unsupported)
    for finding in findings:
        if finding.rule == EXPIRING:
            yield f"expires: {finding.origin}: {finding.message}"
        elif finding.rule != NOT_ENFORCED:
            yield from warnings((finding,))
    covered: dict[str, list[str]] = {}
    for leaf, exception in composition.used_exceptions():
        ticket = f"{exception.ticket}, " if exception.ticket else ""
        line = f"exception: {exception.setting}: {exception.reason} ({ticket}{exception.origin})"
        covered.setdefault(line, []).extend([str(leaf)] if exception.setting != str(leaf) else [])
    yield from (f"{line}{_covering(leaves)}" for line, leaves in covered.items())


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
    more = f" and {len(leaves) - 2} more" if len(leaves) > 3 else ""
    return f" covers {', '.join(leaves[:2] if more else leaves)}{more}" if leaves else ""
