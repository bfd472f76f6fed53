"""The rules that need no mechanism to say them: of a file, and of what several mechanisms come to together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hardening.compose.rules import LINT, RuleRegistry
from hardening.mechanism.findings import FindingRule, Severity
from hardening.mechanism.mechanism import Mechanism

_EXCEPTED = '[[exceptions]]\nsetting = "{}"\nreason = "the agent reports the host\'s name"\nexpires = 2026-12-31\n'

RULES: Mapping[str, FindingRule] = {
    "unreachable-limit": FindingRule(
        "HRD010",
        "A limit that no layer can reach",
        "An earlier limit is stricter, and limits intersect: what this one seems to permit nobody ever gets.",
        "Write what the earlier limit leaves, or have that one changed.",
        'extends = ["base"]\n[limits.rootfs]\npropagation = "shared"\n',
        'extends = ["base"]\n[limits.rootfs]\npropagation = "private"\n',
    ),
    "shadowed-name": FindingRule(
        "HRD011",
        "A profile whose name stands for another one",
        "`-p NAME` and `extends` take the other file, and where both lie on the search path the name is refused.",
        "Give the file a name of its own.",
        '# file: web.toml\ndescription = "our web servers"\nextends = ["strict"]\n',
        '# file: shop.toml\ndescription = "our web servers"\nextends = ["strict"]\n',
    ),
    "restated": FindingRule(
        "HRD012",
        "A line that says what an earlier layer says already",
        "It changes nothing now, and keeps the value when the earlier layer becomes looser: say so, or leave it out.",
        "Remove it, or keep it with a comment that takes the result back.",
        'extends = ["strict"]\n[rootfs]\nread_only = true\n',
        'extends = ["strict"]\n[rootfs]\nshm_size = "1M"\n',
        severity=Severity.NOTE,
    ),
    "endless-exception": FindingRule(
        "HRD013",
        "An exception without a last day",
        "Nobody looks at it again.",
        "Add `expires`, by which it is reviewed.",
        'extends = ["strict"]\n[namespaces]\nuts = "host"\n'
        + _EXCEPTED.format("namespaces.uts").replace("expires = 2026-12-31\n", ""),
        'extends = ["strict"]\n[namespaces]\nuts = "host"\n' + _EXCEPTED.format("namespaces.uts"),
        severity=Severity.NOTE,
    ),
    "unexplained-suppression": FindingRule(
        "HRD014",
        "A comment for lint that takes nothing back",
        "It has no reason, or names a rule that there is not: the result stays.",
        "Write `# hardening: ignore[HRD101] why it has to be so`.",
        '[process]\nuser = "0"  # hardening: ignore[HRD501]\n',
        '[process]\nuser = "0"  # hardening: ignore[HRD501] the installer writes to /usr\n',
    ),
    "unused-suppression": FindingRule(
        "HRD015",
        "A comment that takes back what nothing finds",
        "It would hide the next result of its rule on this line.",
        "Remove it; `hardening lint --fix` does.",
        '[process]\nuser = "1000"  # hardening: ignore[HRD501] the installer writes to /usr\n',
        '[process]\nuser = "1000"\n',
    ),
    "empty-table": FindingRule(
        "HRD016",
        "A table that says nothing",
        "A reader takes it for a setting.",
        "Remove it; `hardening lint --fix` does.",
        'extends = ["strict"]\n[selinux]\n',
        'extends = ["strict"]\n',
        severity=Severity.NOTE,
    ),
    "repeated-element": FindingRule(
        "HRD017",
        "An element that an array has twice",
        "Whoever takes one of them out believes that it is gone.",
        "Remove one; `hardening lint --fix` does.",
        '[capabilities]\ndrop = ["NET_RAW", "CHOWN", "NET_RAW"]\n',
        '[capabilities]\ndrop = ["NET_RAW", "CHOWN"]\n',
        severity=Severity.NOTE,
    ),
    "opens-calls": FindingRule(
        "HRD901",
        "A dangerous capability together with the system calls that it is for",
        "The filter lets the calls run that the capability opens: nothing is left between the command and what "
        "they do.",
        "Drop the capability, or deny the calls.",
        '[capabilities]\nadd = ["SYS_ADMIN"]\n[seccomp]\nallow = ["@default", "mount"]\n',
        '[capabilities]\nadd = ["SYS_ADMIN"]\n[seccomp]\nallow = ["@default"]\n',
    ),
    "writable-cgroup": FindingRule(
        "HRD902",
        "CAP_SYS_ADMIN beside a cgroup tree that can be written to",
        "Whoever may write a release_agent there has the host's kernel start a program as root of the host "
        "(cgroups(7)).",
        "Show the tree read-only, or drop the capability.",
        '[capabilities]\nadd = ["SYS_ADMIN"]\n[rootfs]\nvolumes.add = ["/sys/fs/cgroup:/cgroup"]\n',
        '[capabilities]\nadd = ["SYS_ADMIN"]\n[rootfs]\nvolumes.add = ["/sys/fs/cgroup:/cgroup:ro"]\n',
        severity=Severity.ERROR,
    ),
    "network-without-sockets": FindingRule(
        "HRD903",
        "The host's network, and no socket to use it",
        "The namespace is shared, and the filter denies socket(2): everything of the host's network is in view "
        "of /proc and "
        "/sys, and no program can use it.",
        'Write `net = "private"`, or allow `socket`.',
        '[namespaces]\nnet = "host"\n[seccomp]\ndefault = "deny"\nallow = ["@strict"]\n',
        '[namespaces]\nnet = "private"\n[seccomp]\ndefault = "deny"\nallow = ["@strict"]\n',
    ),
    "idle-capability": FindingRule(
        "HRD904",
        "A dangerous capability whose system calls are all denied",
        "It does nothing for the command, and everything for whoever finds a way around the filter.",
        "Drop the capability.",
        '[capabilities]\nadd = ["SYS_MODULE"]\n',
        '[capabilities]\ndrop = ["SYS_MODULE"]\n',
        severity=Severity.NOTE,
    ),
    "lent-rights": FindingRule(
        "HRD905",
        "Set-user-ID programs of a volume that raise who runs them",
        "The volume keeps the bits, and nothing keeps the command from gaining rights by them: its owner's are "
        "the command's.",
        "Drop `suid` from the volume, or write `no_new_privileges = true`.",
        '[capabilities]\nno_new_privileges = false\n[rootfs]\nvolumes.add = ["/srv/tools:/opt/tools:ro,suid"]\n',
        '[capabilities]\nno_new_privileges = true\n[rootfs]\nvolumes.add = ["/srv/tools:/opt/tools:ro,suid"]\n',
    ),
    "unmapped-writes": FindingRule(
        "HRD906",
        "A writable volume whose owner the user namespace may not know",
        "In a user namespace of the command's own, files of ids that are not mapped are nobody's: where root "
        "runs this, the "
        "command cannot write to what root owns, and programs say `unable to open`.",
        "Add `idmap` to the volume.",
        '[rootfs]\nvolumes.add = ["/srv/data:/data:rw,noexec"]\n',
        '[rootfs]\nvolumes.add = ["/srv/data:/data:rw,noexec,idmap"]\n',
        severity=Severity.NOTE,
    ),
    "traces-host": FindingRule(
        "HRD907",
        "CAP_SYS_PTRACE with the host's processes in view",
        "The command reads and writes the memory of every process of the host that its user namespace reaches "
        "(ptrace(2)).",
        'Write `pid = "private"`, or drop the capability.',
        '[namespaces]\npid = "host"\n[capabilities]\nadd = ["SYS_PTRACE"]\n',
        '[namespaces]\npid = "private"\n[capabilities]\nadd = ["SYS_PTRACE"]\n',
    ),
    "packets-of-host": FindingRule(
        "HRD908",
        "Power over the network of the host",
        "With the host's network and user namespaces, NET_ADMIN changes its routes and firewall, and NET_RAW "
        "reads and forges "
        "its packets (capabilities(7)).",
        "Drop the capability, or give the command a network of its own.",
        '[namespaces]\nnet = "host"\nuser = "host"\n[capabilities]\nadd = ["NET_ADMIN"]\n',
        '[namespaces]\nnet = "private"\nuser = "host"\n[capabilities]\nadd = ["NET_ADMIN"]\n',
    ),
    "makes-devices": FindingRule(
        "HRD909",
        "CAP_MKNOD beside a volume where device nodes work",
        "The command makes the node of a disk there, and reads and writes it past every file system (mknod(2)).",
        "Drop `dev` from the volume, or the capability.",
        '[namespaces]\nuser = "host"\n[capabilities]\nadd = ["MKNOD"]\n[rootfs]\nvolumes.add = '
        '["/srv/data:/data:dev,noexec"]\n',
        '[namespaces]\nuser = "host"\n[capabilities]\nadd = ["MKNOD"]\n[rootfs]\nvolumes.add = '
        '["/srv/data:/data:noexec"]\n',
    ),
}


def registry(mechanisms: Iterable[Mechanism[Any]]) -> RuleRegistry:
    """The rules that there are, those of lint among them."""
    return RuleRegistry(mechanisms, {LINT: RULES})
