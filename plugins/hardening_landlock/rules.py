"""What the findings about Landlock mean (`hardening.mechanism.mechanism.Mechanism.rules`)."""

from __future__ import annotations

from collections.abc import Mapping

from hardening.mechanism.findings import FindingRule, Severity

RULES: Mapping[str, FindingRule] = {
    "tcp-only": FindingRule(
        "HRD621",
        "Ports that are limited for TCP alone, in a network that others share",
        "Landlock knows TCP: UDP and every other protocol pass, to each port.",
        'Write `net = "private"` in `[namespaces]`, or deny the other protocols in `[seccomp]`.',
        '[namespaces]\nnet = "host"\n[landlock]\nbind = [8080]\n',
        '[namespaces]\nnet = "private"\n[landlock]\nbind = [8080]\n',
        severity=Severity.NOTE,
    ),
}
