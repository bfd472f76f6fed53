"""What the findings about namespaces mean (`hardening.mechanism.mechanism.Mechanism.rules`)."""

from __future__ import annotations

from collections.abc import Mapping

from hardening.mechanism.findings import FindingRule, Severity

RULES: Mapping[str, FindingRule] = {
    "shared-*": FindingRule(
        "HRD201",
        "A namespace that is shared",
        "What belongs to the namespace is in reach of the command: with the host's PID namespace every process, with "
        "its network every abstract socket and loopback service (namespaces(7)). A shared UTS or cgroup namespace is a "
        "note.",
        'Write `"private"` for it.',
        '[namespaces]\nipc = "host"\n',
        '[namespaces]\nipc = "private"\n',
    ),
    "host-root": FindingRule(
        "HRD202",
        "Root of the host is mapped into the container",
        "The command may own and read what is root's on every volume.",
        'Write `id_map = "auto"`, which takes subordinate ids (subuid(5)).',
        '[namespaces]\nuid_map = ["0:0:1"]\ngid_map = ["0:0:1"]\n',
        '[namespaces]\nid_map = "auto"\n',
    ),
    "no-effect": FindingRule(
        "HRD203",
        "A setting without effect, since its namespace is not private",
        "A name, an offset or a map is set in a namespace of the command's own alone.",
        "Make the namespace private, or leave the setting out.",
        '[namespaces]\nuts = "host"\ndomainname = "lab"\n',
        '[namespaces]\nuts = "private"\ndomainname = "lab"\n',
    ),
    "one-id": FindingRule(
        "HRD204",
        "Fewer ids than could be mapped",
        "Without subordinate ids (subuid(5)), or without newuidmap, the command has one id: files of others are "
        "nobody's.",
        "Install uidmap, and give the user subordinate ids.",
        severity=Severity.NOTE,
    ),
}
