"""What is worth saying about a gate: what of it does less than it seems to."""

from __future__ import annotations

from collections.abc import Iterator

from hardening.mechanism.findings import Finding, FindingsOf
from hardening.mechanism.scanner import EXTERNAL
from hardening_scan.settings import ScanSettings

_about = FindingsOf("scan")


def findings(settings: ScanSettings) -> Iterator[Finding]:
    """A scanner that no run asks."""
    if settings.command and EXTERNAL not in settings.gated:
        yield _about.warning(
            "command-not-asked",
            f"no run asks {settings.command[0]}: scan.{EXTERNAL} denies nothing",
            "command",
            hint=f'write {EXTERNAL} = "deny" in [scan]',
        )
