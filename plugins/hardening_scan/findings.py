"""What is worth saying about a gate: what of it does less than it seems to."""

from __future__ import annotations

from collections.abc import Iterator

from hardening.findings import Finding, Severity
from hardening.scankinds import EXTERNAL, UNREAD
from hardening.schema import REST
from hardening_scan.settings import ScanSettings


def findings(settings: ScanSettings) -> Iterator[Finding]:
    """A scanner that no run asks, and a gate that takes an unknown for an acceptance."""
    if settings.command and EXTERNAL not in settings.gated:
        yield Finding(
            "scan/command-not-asked",
            Severity.WARNING,
            f"no run asks {settings.command[0]}: scan.{EXTERNAL} denies nothing",
            leaf="scan.command",
            hint=f'{EXTERNAL} = "deny"',
        )
    if settings.gated and settings.unread.rest:
        yield Finding(
            "scan/unread-allowed",
            Severity.WARNING,
            "a root is admitted although some of it could not be looked at",
            leaf=f"scan.{UNREAD}.{REST}",
            hint=f"name the paths that nobody can look at: {UNREAD}.allow",
        )
