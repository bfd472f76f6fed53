"""What the findings about AppArmor mean (`hardening.mechanism.mechanism.Mechanism.rules`)."""

from __future__ import annotations

from collections.abc import Mapping

from hardening.mechanism.findings import FindingRule

RULES: Mapping[str, FindingRule] = {
    "not-looked-at": FindingRule("HRD611", "Profiles of which this user cannot see whether they are loaded"),
}
