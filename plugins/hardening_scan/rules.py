"""What the findings about a gate mean (`hardening.mechanism.mechanism.Mechanism.rules`)."""

from __future__ import annotations

from collections.abc import Mapping

from hardening.mechanism.findings import FindingRule

RULES: Mapping[str, FindingRule] = {
    "command-not-asked": FindingRule(
        "HRD821",
        "A scanner that no run asks",
        "The profile names a scanner, and nothing that it finds stops a run.",
        'Write `external = "deny"` in `[scan]`, or leave `command` out.',
        '[scan]\ncommand = ["/usr/bin/scanner", "{root}"]\n',
        '[scan]\ncommand = ["/usr/bin/scanner", "{root}"]\nexternal = "deny"\n',
    ),
}
