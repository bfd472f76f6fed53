"""What several mechanisms come to together, by what each answers for (`hardening.mechanism.roles`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hardening.base.text import listed
from hardening.base.values import frozen
from hardening.compose.composition import Composition
from hardening.compose.rules import LINT
from hardening.mechanism.findings import Finding, Severity
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import HOST, PRIVATE, CallFilter, Isolation, Privileges, RootDirectory, Volume

#: Where the kernel shows its control groups (cgroups(7)).
_CGROUPS = "/sys/fs/cgroup"
#: Whose files are root's, or a service's, but seldom those of whoever types a command (Filesystem Hierarchy Standard).
_OF_ROOT = ("/etc/", "/opt/", "/srv/", "/usr/", "/var/")
_SHOWN = 6


@frozen(eq=False)
class Crossing:
    """A finding that several settings make together: ``leaves`` and the places of ``volumes`` are where it can be mended."""

    finding: Finding
    leaves: Sequence[str]
    volumes: Sequence[Volume] = ()


def crossings(composition: Composition, context: Context) -> Iterator[Crossing]:
    """All of them. What nobody answers for is not looked at."""
    privileges, isolation = context.of(Privileges), context.of(Isolation)
    calls, root = context.of(CallFilter), context.of(RootDirectory)
    volumes = root.mounted_volumes() if root is not None else []
    named = _Names(composition)
    if privileges is not None and calls is not None:
        yield from _calls(named, privileges, calls)
    if isolation is not None and calls is not None and isolation.where("net") == HOST and not calls.lets_run("socket"):
        text = "the network is the host's, and the filter denies socket(2): no program can use it"
        yield _found("network-without-sockets", text, [named(isolation, "net"), named(calls, "socket")])
    if privileges is not None and isolation is not None:
        yield from _of_host(named, privileges, isolation)
    if privileges is not None:
        yield from _with_volumes(named, privileges, volumes)
    if isolation is not None and isolation.where("user") == PRIVATE:
        for volume in volumes:
            if volume.writable and not volume.idmap and volume.source.startswith(_OF_ROOT):
                text = f"{volume.target} can only be written to where the files of {volume.source} belong to the caller"
                yield _found("unmapped-writes", text, [], [volume], Severity.NOTE, "add `idmap`")


def _calls(named: _Names, privileges: Privileges, calls: CallFilter) -> Iterator[Crossing]:
    for capability in sorted(privileges.added):
        opened = sorted(privileges.opened_by(capability))
        run = [call for call in opened if calls.lets_run(call)]
        leaf = named(privileges, capability)
        if run:
            text = f"{capability} opens {listed(run, _SHOWN)}, which the filter lets run"
            yield _found("opens-calls", text, [leaf, *(named(calls, call) for call in run)])
        elif opened and not privileges.has_other_uses(capability):
            text = f"the filter denies every system call that {capability} is for, such as {opened[0]}"
            yield _found("idle-capability", text, [leaf], severity=Severity.NOTE, hint="drop it")


def _of_host(named: _Names, privileges: Privileges, isolation: Isolation) -> Iterator[Crossing]:
    if "SYS_PTRACE" in privileges.added and isolation.where("pid") == HOST:
        text = "SYS_PTRACE reaches the processes of the host, whose PID namespace is shared"
        yield _found("traces-host", text, [named(privileges, "SYS_PTRACE"), named(isolation, "pid")])
    if isolation.where("net") == HOST and isolation.where("user") == HOST:
        for capability in sorted({"NET_ADMIN", "NET_RAW"} & privileges.added):
            text = f"{capability} is over the network of the host, whose network and user namespaces are shared"
            yield _found("packets-of-host", text, [named(privileges, capability), named(isolation, "net")])


def _with_volumes(named: _Names, privileges: Privileges, volumes: Sequence[Volume]) -> Iterator[Crossing]:
    trees = [item for item in volumes if item.writable and f"{item.source}/".startswith(f"{_CGROUPS}/")]
    if trees and "SYS_ADMIN" in privileges.added:
        text = f"SYS_ADMIN writes a release_agent to {trees[0].source}, which the kernel starts as root of the host"
        leaves = [named(privileges, "SYS_ADMIN")]
        yield _found("writable-cgroup", text, leaves, trees, Severity.ERROR, "add `ro`")
    lending = [item for item in volumes if "suid" in item.rights]
    if lending and not privileges.no_new_privileges:
        text = f"set-user-ID programs of {lending[0].source} give the command the rights of their owners"
        yield _found("lent-rights", text, [named(privileges, "no_new_privileges")], lending, hint="drop `suid`")
    working = [item for item in volumes if item.writable and "dev" in item.rights]
    if working and "MKNOD" in privileges.added:
        text = f"MKNOD makes device nodes on {working[0].target}, where they work"
        yield _found("makes-devices", text, [named(privileges, "MKNOD")], working, hint="drop `dev`")


def _found(
    rule: str,
    text: str,
    leaves: Sequence[str],
    volumes: Sequence[Volume] = (),
    severity: Severity = Severity.WARNING,
    hint: str = "",
) -> Crossing:
    return Crossing(Finding(f"{LINT}/{rule}", severity, text, next(iter(leaves), ""), hint=hint), leaves, volumes)


class _Names:
    """The full names of leaves of whoever answers for something."""

    def __init__(self, composition: Composition) -> None:
        self._owners = {id(settings): name for name, settings in composition.settings.items()}

    def __call__(self, settings: object, below: str) -> str:
        return f"{self._owners[id(settings)]}.{below}"
