"""What several mechanisms come to together, by what each answers for (`hardening.mechanism.roles`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hardening.base.text import listed
from hardening.mechanism.findings import Finding, FindingRule, Severity
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import HOST, PRIVATE, CallFilter, Isolation, Privileges, RootDirectory, Volume

#: Where the kernel shows its control groups (cgroups(7)).
_CGROUPS = "/sys/fs/cgroup"
#: Whose files are root's, or a service's, but seldom those of whoever types a command (Filesystem Hierarchy Standard).
_OF_ROOT = ("/etc/", "/opt/", "/srv/", "/usr/", "/var/")
_SHOWN = 6

RULES: Mapping[str, FindingRule] = {
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


def crossings(settings: Mapping[str, Any], context: Context) -> Iterator[Finding]:
    """All of them; ``settings`` are those of all mechanisms by name. What nobody answers for is not looked at. The first
    leaf of each is the one to mend."""
    privileges, isolation = context.of(Privileges), context.of(Isolation)
    calls, root = context.of(CallFilter), context.of(RootDirectory)
    volumes = root.mounted_volumes() if root is not None else []
    named = _Names(settings)
    if privileges is not None and calls is not None:
        yield from _calls(named, privileges, calls)
    if isolation is not None and calls is not None and isolation.where("net") == HOST and not calls.lets_run("socket"):
        text = "the network is the host's, and the filter denies socket(2): no program can use it"
        yield _found("network-without-sockets", text, [named(isolation, "net"), named(calls, "socket")])
    if privileges is not None and isolation is not None:
        yield from _of_host(named, privileges, isolation)
    if privileges is not None and root is not None:
        yield from _with_volumes(named, privileges, root, volumes)
    if isolation is not None and isolation.where("user") == PRIVATE:
        for volume in volumes:
            if volume.writable and not volume.idmap and volume.source.startswith(_OF_ROOT):
                text = f"{volume.target} can only be written to where the files of {volume.source} belong to the caller"
                leaves = [named.volume(root, volume)]
                yield _found("unmapped-writes", text, leaves, "add `idmap`")


def _calls(named: _Names, privileges: Privileges, calls: CallFilter) -> Iterator[Finding]:
    for capability in sorted(privileges.added):
        opened = sorted(privileges.opened_by(capability))
        run = [call for call in opened if calls.lets_run(call)]
        leaf = named(privileges, capability)
        if run:
            text = f"{capability} opens {listed(run, _SHOWN)}, which the filter lets run"
            yield _found("opens-calls", text, [leaf, *(named(calls, call) for call in run)])
        elif opened and not privileges.has_other_uses(capability):
            text = f"the filter denies every system call that {capability} is for, such as {opened[0]}"
            yield _found("idle-capability", text, [leaf], "drop it")


def _of_host(named: _Names, privileges: Privileges, isolation: Isolation) -> Iterator[Finding]:
    if "SYS_PTRACE" in privileges.added and isolation.where("pid") == HOST:
        text = "SYS_PTRACE reaches the processes of the host, whose PID namespace is shared"
        yield _found("traces-host", text, [named(privileges, "SYS_PTRACE"), named(isolation, "pid")])
    if isolation.where("net") == HOST and isolation.where("user") == HOST:
        for capability in sorted({"NET_ADMIN", "NET_RAW"} & privileges.added):
            text = f"{capability} is over the network of the host, whose network and user namespaces are shared"
            yield _found("packets-of-host", text, [named(privileges, capability), named(isolation, "net")])


def _with_volumes(
    named: _Names, privileges: Privileges, root: RootDirectory, volumes: Sequence[Volume]
) -> Iterator[Finding]:
    trees = [item for item in volumes if item.writable and f"{item.source}/".startswith(f"{_CGROUPS}/")]
    if trees and "SYS_ADMIN" in privileges.added:
        text = f"SYS_ADMIN writes a release_agent to {trees[0].source}, which the kernel starts as root of the host"
        leaves = [*(named.volume(root, item) for item in trees), named(privileges, "SYS_ADMIN")]
        yield _found("writable-cgroup", text, leaves, "add `ro`")
    lending = [item for item in volumes if "suid" in item.rights]
    if lending and not privileges.no_new_privileges:
        text = f"set-user-ID programs of {lending[0].source} give the command the rights of their owners"
        leaves = [*(named.volume(root, item) for item in lending), named(privileges, "no_new_privileges")]
        yield _found("lent-rights", text, leaves, "drop `suid`")
    working = [item for item in volumes if item.writable and "dev" in item.rights]
    if working and "MKNOD" in privileges.added:
        text = f"MKNOD makes device nodes on {working[0].target}, where they work"
        leaves = [*(named.volume(root, item) for item in working), named(privileges, "MKNOD")]
        yield _found("makes-devices", text, leaves, "drop `dev`")


def _found(rule: str, text: str, leaves: Sequence[str], hint: str = "") -> Finding:
    first, *others = leaves
    return Finding(f"core/{rule}", RULES[rule].severity, text, first, hint=hint, also=tuple(others))


class _Names:
    """The full names of leaves of whoever answers for something."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._owners = {id(own): name for name, own in settings.items()}

    def __call__(self, settings: object, below: str) -> str:
        return f"{self._owners[id(settings)]}.{below}"

    def volume(self, root: RootDirectory | None, volume: Volume) -> str:
        """That of a volume of a root."""
        return self(root, f"volumes.{volume.target}")
