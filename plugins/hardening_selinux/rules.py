"""What the findings about labels mean (`hardening.mechanism.mechanism.Mechanism.rules`)."""

from __future__ import annotations

from collections.abc import Mapping

from hardening.mechanism.findings import FindingRule, Severity

RULES: Mapping[str, FindingRule] = {
    "off": FindingRule(
        "HRD601",
        "A command without a label",
        "The policy does not tell it from whoever started it, so that nothing keeps it from what others left readable.",
        "Write `enabled = true`.",
        "[selinux]\nenabled = false\n",
        "[selinux]\nenabled = true\n",
    ),
    "unconfined": FindingRule(
        "HRD602",
        "A type that does not confine",
        "`unconfined_t`, `spc_t` and their like may do all that the kernel lets them.",
        'Write `type = "auto"`, or a type made for this application (udica(8) writes one).',
        '[selinux]\ntype = "spc_t"\n',
        '[selinux]\ntype = "auto"\n',
    ),
    "shared-level": FindingRule(
        "HRD603",
        "A level that several containers share",
        "Containers of one level can reach each other's files.",
        'Write `level = "auto"`, which reserves a pair of categories for each container.',
        '[selinux]\nlevel = "s0:c1,c2"\n',
        '[selinux]\nlevel = "auto"\n',
    ),
    "host-namespace": FindingRule(
        "HRD604",
        "A namespace of the host that undoes the separation by labels",
        "With the host's PID or IPC namespace, whatever the policy lets the command's type do to processes or shared "
        "memory, it does to those of the host.",
        'Write `"private"` for it in `[namespaces]`.',
        '[namespaces]\npid = "host"\n[selinux]\nenabled = true\n',
        '[namespaces]\npid = "private"\n[selinux]\nenabled = true\n',
    ),
    "not-relabelled": FindingRule(
        "HRD605",
        "A volume that is not relabelled",
        "SELinux is not active here, so that `z` or `Z` of a volume does nothing.",
        "Nothing, on a host without SELinux.",
        severity=Severity.NOTE,
    ),
}
