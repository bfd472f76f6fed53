"""What the findings about AppArmor mean (`hardening.mechanism.mechanism.Mechanism.rules`)."""

from __future__ import annotations

from collections.abc import Mapping

from hardening.mechanism.findings import FindingRule, Severity

RULES: Mapping[str, FindingRule] = {
    "not-looked-at": FindingRule(
        "HRD611",
        "Profiles of which this user cannot see whether they are loaded",
        "Only root reads the list of the loaded profiles: whether the one that is named is there shows when the "
        "command starts.",
        "Look as root: `aa-status`.",
        severity=Severity.NOTE,
    ),
}
