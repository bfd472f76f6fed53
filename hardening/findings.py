"""What the tool noticed and did not refuse: shown with every composition, and in JSON and SARIF reports."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from hardening.values import frozen

#: The rule of what an image asks for and is not given (`hardening.offer`).
NOT_TAKEN = "core/not-taken-from-image"


class Severity(StrEnum):
    """How much a finding matters; ``warning`` and above make the exit code 1 where findings are asked for."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


@frozen
class Finding:
    """One observation. ``rule`` is a stable identifier such as ``seccomp/unknown-syscall``, ``leaf`` the setting that it
    is about, ``origin`` the place to look at."""

    rule: str
    severity: Severity
    message: str
    leaf: str = ""
    origin: str = ""
    hint: str = ""


def count_serious(findings: Iterable[Finding]) -> int:
    """How many findings are more than notes."""
    return sum(finding.severity is not Severity.NOTE for finding in findings)
