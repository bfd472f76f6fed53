"""What the findings about filters mean (`hardening.mechanism.mechanism.Mechanism.rules`)."""

from __future__ import annotations

from collections.abc import Mapping

from hardening.mechanism.findings import FindingRule, Severity

RULES: Mapping[str, FindingRule] = {
    "allows-*": FindingRule(
        "HRD301",
        "A dangerous system call that is allowed",
        "The call undoes what other mechanisms build, or reaches much of the kernel; the result says how.",
        "Deny it, or allow it for the arguments that are needed alone (`rules`).",
        '[seccomp]\nallow = ["@default", "ptrace"]\n',
        '[seccomp]\nallow = ["@default"]\n',
    ),
    "open-default": FindingRule(
        "HRD302",
        "System calls that no rule names are allowed",
        "Each newer kernel has calls of which nobody has decided anything yet.",
        'Write `default = "deny"`, and allow what is needed.',
        '[seccomp]\ndefault = "allow"\n',
        '[seccomp]\ndefault = "deny"\n',
    ),
    "harsh-default": FindingRule(
        "HRD303",
        "A default action that kills",
        "A C library that probes for a newer call dies, where ENOSYS lets it fall back to an older one.",
        'Write `default = "deny"`.',
        '[seccomp]\ndefault = "kill-process"\n',
        '[seccomp]\ndefault = "deny"\n',
        severity=Severity.NOTE,
    ),
    "architecture": FindingRule(
        "HRD304",
        "System calls of another architecture",
        "More of the kernel is open, and 32-bit calls have numbers of their own, which single rules easily forget.",
        'Write `architectures = ["native"]` unless programs of that architecture run.',
        '[seccomp]\narchitectures = ["native", "x32"]\n',
        '[seccomp]\narchitectures = ["native"]\n',
    ),
    "set-id-files": FindingRule(
        "HRD305",
        "Files with set-ID bits or capabilities that the command can leave",
        "On a volume a program with such a bit lends its owner's rights to whoever runs it on the host.",
        "Write `restrict_suid_sgid = true`.",
        "[seccomp]\nrestrict_suid_sgid = false\n",
        "[seccomp]\nrestrict_suid_sgid = true\n",
    ),
    "delicate": FindingRule(
        "HRD314",
        "A rule that libseccomp may build wrongly",
        "libseccomp gets it in several entries that order numbers or look at several arguments. Before 2.6.1 it merges "
        "some of them wrongly (GHSA-4q85-33p6-j5g6), and never comes back from others. Each launch proves its filter, "
        "and writes such a rule plainer: then more is denied than it says.",
        "Compare for equality (`eq`, `masked_eq`), one argument a rule, or have libseccomp 2.6.1 or newer.",
        '[[seccomp.rules]]\nnames = ["personality"]\naction = "allow"\nargs = [{ index = 0, op = "gt", value = 8 }]\n'
        '[[seccomp.rules]]\nnames = ["personality"]\naction = "allow"\nargs = [{ index = 1, op = "eq", value = 3 '
        "}]\n",
        '[[seccomp.rules]]\nnames = ["personality"]\naction = "allow"\nargs = [{ index = 0, op = "eq", value = 8 }]\n',
        severity=Severity.NOTE,
    ),
    "flag": FindingRule(
        "HRD306",
        "A flag of a profile of docker's that is not taken",
        "A flag of the file would loosen more than the file alone decides, or has no effect here.",
        "Do what the result says, or leave the flag out.",
    ),
    "foreign-syscall": FindingRule(
        "HRD307",
        "A name that is not a system call of this machine",
        "It applies only where an architecture that has it is added.",
        "Leave it out, or add the architecture.",
        severity=Severity.NOTE,
    ),
    "multiplexed": FindingRule(
        "HRD308",
        "A call that carries others and is answered as the strictest of them",
        "`socketcall` and `ipc` carry calls whose arguments no filter sees: one of them runs only where everything "
        "behind it does.",
        "Allow it, and each call that it carries, by name, for programs that need it.",
    ),
    "old-libseccomp": FindingRule(
        "HRD309",
        "A libseccomp with a known fault",
        "It merges some comparisons wrongly (GHSA-4q85-33p6-j5g6). The compiled filter was proved equal to the "
        "composed one.",
        "Update libseccomp to 2.6.1 or newer.",
        severity=Severity.NOTE,
    ),
    "overlap": FindingRule(
        "HRD310",
        "Entries of a profile that overlap",
        "Entries of the file have different actions for the same call. The strictest applies here, and libseccomp "
        "orders them by their comparisons for docker and podman.",
        "Write entries that exclude each other.",
    ),
    "overruled": FindingRule(
        "HRD311",
        "A system call that layers allow and restrict_suid_sgid denies",
        "No filter sees whether the call marks a file, so it is denied altogether.",
        "Drop SETFCAP, or write `restrict_suid_sgid = false`.",
        severity=Severity.NOTE,
    ),
    "stricter": FindingRule(
        "HRD312",
        "A rule that cannot be written exactly",
        "libseccomp takes no form that says exactly this, so that more is denied than the layers say; the result has "
        "what.",
        "Use fewer or simpler comparisons, or libseccomp 2.6.1 or newer.",
    ),
    "unknown-syscall": FindingRule(
        "HRD313",
        "A system call that libseccomp does not know",
        "The installed library has no such name: the call is denied by its number, or gets the default action.",
        "Check the name, or update libseccomp.",
    ),
}
