"""What this kernel and its libseccomp offer, and what of the settings they cannot enforce."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hardening.base.linux.libseccomp import INSTALL, LIBRARY, YOUNG, Libseccomp
from hardening.base.text import nearest
from hardening.base.values import frozen
from hardening.errors import HardeningError, HostError
from hardening.mechanism.host import Host
from hardening.mechanism.inputs import Inputs, Unknown, environment, kernel, program
from hardening.mechanism.mechanism import Context, Unsupported
from hardening.mechanism.roles import Privileges, SystemCalls
from hardening.mechanism.schema import WILDCARD
from hardening_seccomp import groups, oci
from hardening_seccomp.actions import Action, ActionKind
from hardening_seccomp.bpf import LITTLE_ENDIAN
from hardening_seccomp.conditions import Rule
from hardening_seccomp.filters import rule_is_no_looser_than
from hardening_seccomp.settings import SeccompSettings

ACTIONS_AVAILABLE = Path("/proc/sys/kernel/seccomp/actions_avail")
_KERNEL_WORDS = {
    ActionKind.ALLOW: "allow",
    ActionKind.LOG: "log",
    ActionKind.TRACE: "trace",
    ActionKind.NOTIFY: "user_notif",
    ActionKind.ERRNO: "errno",
    ActionKind.TRAP: "trap",
    ActionKind.KILL_THREAD: "kill_thread",
    ActionKind.KILL_PROCESS: "kill_process",
}
SPEC_ALLOW_SINCE = (4, 17)


@frozen
class SeccompFacts(SystemCalls):
    """``native`` is this machine as libseccomp names it; ``actions`` are those of the kernel, by its own words;
    ``library`` is None where libseccomp cannot be used, and ``problem`` says why."""

    native: str
    actions: frozenset[str]
    library: Libseccomp | None
    problem: str = ""

    @property
    def native_names(self) -> frozenset[str]:
        """The system calls of this machine, as far as libseccomp knows them."""
        if self.library is None:
            return frozenset()
        return frozenset(self.library.names(self.library.native()))

    def knows(self, name: str) -> bool:
        """Whether some architecture has a system call of this name."""
        if self.library is None:
            return name in groups.load().names or name in YOUNG
        return name.isascii() and self.library.number(self.library.native(), name) is not None

    def name_of(self, number: int) -> str | None:
        """The system call that has this number on this machine, as far as libseccomp knows it."""
        return (
            self.library.name(self.library.native(), number) if self.library is not None and number < 1 << 31 else None
        )

    def resolves(self, name: str) -> bool:
        return self.library is not None and self.library.resolved(self.library.native(), name) is not None

    def is_young(self, name: str) -> bool:
        return name in YOUNG

    def kept_from_launch(self, seccomp: Mapping[str, Any], host: Host) -> Sequence[str]:
        return kept_from_launch(oci.read(seccomp, native=self.native).model.rule, host)

    def of_engine(self, capabilities: Collection[str], profile: str | None, host: Host) -> Mapping[str, Any] | None:
        from hardening_seccomp import docker  # no launch asks

        return docker.composed(profile, docker.DockerTarget(self.native, frozenset(capabilities), host.kernel))

    def required_library(self) -> Libseccomp:
        """The library; `HostError` where it cannot be used."""
        if self.library is None:
            raise HostError(self.problem, hint=INSTALL)
        return self.library


def probe(host: Host) -> SeccompFacts:
    """Open libseccomp and ask procfs which actions the kernel has (seccomp(2))."""
    native = oci.architecture_of(host.machine)
    try:
        actions = frozenset(ACTIONS_AVAILABLE.read_text().split())
    except OSError:
        actions = frozenset()
    try:
        return SeccompFacts(native, actions, Libseccomp.load())
    except HardeningError as error:
        return SeccompFacts(native, actions, None, error.message)


def assumed(host: Host) -> SeccompFacts:
    """A kernel with all actions. Which libseccomp there will be nobody knows, and a profile is read without one."""
    return SeccompFacts(oci.architecture_of(host.machine), frozenset(_KERNEL_WORDS.values()), None, "not looked for")


def inputs(settings: SeccompSettings, context: Context) -> Inputs:
    """What decides the facts, and how a filter is compiled."""
    yield from kernel(str(ACTIONS_AVAILABLE))
    yield from environment("LD_LIBRARY_PATH", "LD_PRELOAD")
    yield from program("/etc/ld.so.cache")
    facts = context.host.of(SeccompFacts)
    if facts.library is None:
        yield Unknown(facts.problem)
    for path in mapped(LIBRARY.partition(".")[0]):
        yield from program(path)


def mapped(stem: str) -> list[str]:
    """The files of a library that are mapped into this process (proc_pid_maps(5))."""
    rows = (line.split(maxsplit=5) for line in Path("/proc/self/maps").read_text(errors="surrogateescape").splitlines())
    paths = {row[5] for row in rows if len(row) > 5}
    return sorted(path for path in paths if path.rpartition("/")[2].startswith(stem))


def check(settings: SeccompSettings, context: Context) -> Iterable[Unsupported]:
    """Missing libseccomp, missing kernel support, actions, architectures or flags."""
    facts = context.host.of(SeccompFacts)
    if not facts.actions:
        yield Unsupported(
            "seccomp.*",
            f"the kernel has no seccomp filters: {ACTIONS_AVAILABLE} cannot be read",
            "use a kernel with CONFIG_SECCOMP_FILTER, and mount procfs",
            whole=True,
        )
        return
    if facts.library is None:
        yield Unsupported("seccomp.*", facts.problem, INSTALL, whole=True)
        return
    for action, leaf in _actions(settings).items():
        if _KERNEL_WORDS[action.kind] not in facts.actions:
            word = str(action).partition(":")[0]
            # Without its default action there is no filter at all.
            yield Unsupported(
                f"seccomp.{leaf}", f"the kernel has no action {word}", "choose another action", whole=leaf == WILDCARD
            )
    for name in (facts.native, *settings.architectures.having(True)):
        token, leaf = facts.library.architecture(name), f"seccomp.architectures.{name}"
        if token is None:
            yield Unsupported(leaf, f"libseccomp does not know the architecture {name}", INSTALL)
        elif (token ^ facts.library.native()) & LITTLE_ENDIAN:
            reason = f"{name} has another byte order than {facts.native}, and libseccomp builds no filter for both"
            yield Unsupported(leaf, reason, f"leave {name} out of the architectures")
    if settings.spec_allow and context.host.kernel < SPEC_ALLOW_SINCE:
        yield Unsupported("seccomp.flags.spec-allow", "the kernel is older than 4.17", "leave the flag out")
    for name, rule in settings.syscalls.named.items():
        if not facts.knows(name) and not rule_is_no_looser_than(settings.syscalls.rest, rule):
            reason = f"libseccomp knows no system call {name}, and the default action lets it run"
            meant = nearest(name, facts.native_names)
            remedy = f"correct or remove the name in the file of the profile{f' ({meant})' if meant else ''}"
            yield Unsupported(f"seccomp.{name}", reason, f"{remedy}, or update libseccomp")
    capabilities = context.of(Privileges)
    if capabilities is not None and not capabilities.no_new_privileges:
        yield from _too_early(settings, context.host)


def _too_early(settings: SeccompSettings, host: Host) -> Iterable[Unsupported]:
    """Calls of the launch itself that the filter denies: without no_new_privs the kernel takes a filter from the privileged
    only (seccomp(2)), so it is in force before the launch gives its privileges up."""
    denied = kept_from_launch(settings.syscalls.__getitem__, host)
    if denied:
        reason = f"with capabilities.no_new_privileges = false the launch itself must still call {', '.join(denied)}"
        yield Unsupported(
            f"seccomp.{denied[0]}",
            reason,
            'keep no_new_privileges, or allow these calls: "@credentials" has those that change ids',
        )


def kept_from_launch(rule: Callable[[str], Rule], host: Host) -> list[str]:
    """The system calls that a launch makes once a filter is loaded early, and that this one never lets run."""
    from hardening.launch.native.session import AFTER_EARLY_FILTER  # what few filters need

    # An ordinary user's process may have no groups to set.
    names = [name for name in AFTER_EARLY_FILTER if host.root or name != "setgroups"]
    return [
        name
        for name in names
        if not any(action.kind in (ActionKind.ALLOW, ActionKind.LOG) for action in rule(name).leaves)
    ]


def _actions(settings: SeccompSettings) -> dict[Action, str]:
    """Every action that occurs, with a system call that has it."""
    found = {action: name for name, rule in settings.syscalls.named.items() for action in rule.leaves}
    return found | dict.fromkeys(settings.syscalls.rest.leaves, "*")
