"""What the findings about capabilities mean (`hardening.mechanism.mechanism.Mechanism.rules`)."""

from __future__ import annotations

from collections.abc import Mapping

from hardening.mechanism.findings import FindingRule, Severity

RULES: Mapping[str, FindingRule] = {
    "dangerous": FindingRule(
        "HRD101",
        "A capability that can lead to all of root's power",
        "Each such capability gives away more than its name says; the result has how. In a user namespace of the "
        "command's own it reaches only what belongs to that, and the finding is a note.",
        "Take the smaller way that the result names, and drop the capability.",
        '[capabilities]\ndrop = ["ALL"]\nadd = ["SYS_PTRACE"]\n',
        '[capabilities]\ndrop = ["ALL"]\n',
        severity=Severity.NOTE,
    ),
    "new-privileges": FindingRule(
        "HRD102",
        "Programs that can give the command what its user does not have",
        "Without no_new_privileges a set-user-ID program or one with file capabilities raises who runs it (execve(2)).",
        "Write `no_new_privileges = true`, and start the command as the user that it needs.",
        "[capabilities]\nno_new_privileges = false\n",
        "[capabilities]\nno_new_privileges = true\n",
    ),
    "no-effect": FindingRule(
        "HRD103",
        "A capability without effect",
        "A network namespace heeds only capabilities over the user namespace that owns it (user_namespaces(7)): "
        "NET_ADMIN, NET_BIND_SERVICE and NET_RAW do nothing with the host's network and a user namespace of the "
        "command's own.",
        "Drop it, or give the command a network of its own.",
        '[namespaces]\nnet = "host"\n[capabilities]\nadd = ["NET_BIND_SERVICE"]\n',
        '[namespaces]\nnet = "private"\n[capabilities]\nadd = ["NET_BIND_SERVICE"]\n',
    ),
    "cut-by-host": FindingRule(
        "HRD104",
        "A capability that the caller has not got to give",
        "It is allowed, and not in the caller's bounding set: the command does not get it.",
        "Drop it from the profile, or give it to the caller.",
    ),
}
