"""What is worth saying about a filter, and what the kernel says of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from functools import lru_cache

from hardening.base.linux.libseccomp import Libseccomp
from hardening.mechanism.findings import Finding, FindingsOf, Severity
from hardening.mechanism.mechanism import Context
from hardening_seccomp import groups, multiplex, suid
from hardening_seccomp.actions import ALLOW, DENY, Action, ActionKind, is_denial
from hardening_seccomp.conditions import Op, Rule, TooManyEntries, describe, entries, fill
from hardening_seccomp.filters import Filter
from hardening_seccomp.host import SeccompFacts
from hardening_seccomp.oci import MAX_ENTRIES, strictest
from hardening_seccomp.settings import SeccompSettings
from hardening_seccomp.spec import default, filter_of, is_stranger, is_young, may_set_capabilities, unrestricted

_about = FindingsOf("seccomp")

REPAIRED = (2, 6, 1)

#: Calls that undo what other mechanisms build, and how.
DANGEROUS = {
    "ptrace": "controls other processes of the same user and reads their memory",
    "process_vm_readv": "reads the memory of other processes of the same user",
    "process_vm_writev": "writes the memory of other processes of the same user",
    "pidfd_getfd": "takes open files from other processes",
    "mount": "changes what the file tree shows, where a capability for it is held or can be had",
    "move_mount": "changes what the file tree shows, where a capability for it is held or can be had",
    "unshare": "makes namespaces, and with a user namespace every capability in it",
    "setns": "enters other namespaces",
    "clone3": "makes namespaces that no filter sees, since its flags are in memory",
    "bpf": "loads programs into the kernel",
    "perf_event_open": "exposes much of the kernel to unprivileged code",
    "userfaultfd": "makes races in the kernel easy to win",
    "io_uring_setup": "makes system calls that no filter sees",
    "keyctl": "reaches key rings that no namespace separates",
    "add_key": "reaches key rings that no namespace separates",
    "request_key": "reaches key rings that no namespace separates",
    "init_module": "loads code into the kernel",
    "finit_module": "loads code into the kernel",
    "kexec_load": "replaces the kernel",
    "kexec_file_load": "replaces the kernel",
    "open_by_handle_at": "opens files outside of the root by their handles",
    "iopl": "gives access to the ports of devices",
    "ioperm": "gives access to the ports of devices",
    "modify_ldt": "has had many holes, and only old 16-bit programs need it",
}


def findings(settings: SeccompSettings, context: Context) -> Iterable[Finding]:
    """Dangerous permissions, rules that could not be kept exactly, unknown names, other architectures, harsh defaults."""
    library = context.host.of(SeccompFacts).library
    if (library is None and not context.host.assumed) or context.lacks("seccomp.*"):
        return
    overruled = (
        suid.overruled(
            unrestricted(settings, context), may_set_capabilities=may_set_capabilities(context, unknown=False)
        )
        if settings.restrict_suid_sgid and library is not None
        else []
    )
    yield from _permissions(settings, overruled)
    yield from _marks(settings, overruled)
    yield from _defaults(settings.syscalls.rest)
    for name in settings.architectures.having(True):
        yield _about.warning(
            "architecture",
            f"system calls of {name} are open beside the machine's own: more of the kernel, and 32-bit numbers of its own",
            f"architectures.{name}",
            hint='leave it out unless programs of that architecture run: write architectures = ["native"] in [seccomp]',
        )
    if library is None:
        yield from _of_any_library(settings, context.host.of(SeccompFacts).native)
    else:
        yield from _of_library(settings, filter_of(settings, context), library)


def _of_any_library(settings: SeccompSettings, native: str) -> Iterable[Finding]:
    """What of the rules some libseccomp takes otherwise than they are meant: a launch proves each filter, with its own."""
    rest, data = default(settings), groups.load()
    for name, rule in sorted(settings.syscalls.named.items()):
        own = not rule.is_constant and (name not in data.guards or rule != fill(data.allowed(name, native), DENY))
        how = _intricate(rule, rest) if own else None
        if how is Intricate.TOO_LONG:
            yield _about.warning(
                "stricter",
                f"{name}: the rule needs more than {MAX_ENTRIES} entries of libseccomp's, and is written plainer",
                name,
                hint="use fewer or simpler comparisons",
            )
        elif how is Intricate.SPLIT:
            yield _about.note(
                "delicate",
                f"{name}: libseccomp gets this rule in several entries that order numbers or look at several arguments, of "
                "which one before 2.6.1 builds some wrongly; where it does, a launch writes it plainer",
                name,
                hint="compare for equality (`eq`, `masked_eq`), one argument a rule, or have libseccomp 2.6.1 or newer",
            )


class Intricate(Enum):
    """How libseccomp takes a rule that is not simple: in several entries that it may merge, or not at all."""

    SPLIT = "split"
    TOO_LONG = "too long"


@lru_cache(maxsize=1024)
def _intricate(rule: Rule, rest: Action) -> Intricate | None:
    try:
        found = entries(rule, rest, MAX_ENTRIES)
    except TooManyEntries:
        return Intricate.TOO_LONG
    ordering = (Op.LT, Op.LE, Op.GE, Op.GT)
    delicate = any(len(item.comparisons) > 1 or any(one.op in ordering for one in item.comparisons) for item in found)
    return Intricate.SPLIT if len(found) > 1 and delicate else None


def _of_library(settings: SeccompSettings, model: Filter, library: Libseccomp) -> Iterable[Finding]:
    """What becomes of the filter with the libseccomp of this host."""
    yield from _unknown(settings, model, library)
    for name in multiplex.carriers(model, library):
        answer = model.rule(name)
        if answer != settings.syscalls[name] and any(map(is_denial, answer.leaves)):
            yield _multiplexed(name, model, settings.syscalls[name])
    if library.version < REPAIRED:
        yield _old_library(library.version)


def _unknown(settings: SeccompSettings, model: Filter, library: Libseccomp) -> Iterable[Finding]:
    """Names that the library does not know. Groups may hold some; what is denied by number is said of those, too."""
    grouped = groups.load().names
    for name in sorted(settings.syscalls.named):
        if name in model.rules and is_young(name, library):
            message = (
                f"{name}: libseccomp does not know it, so it is denied by its number in seccomp.bpf; a runtime that "
            )
            message += "compiles config.json with it would ignore the rule, and is refused"
            hint = "run it with the native launcher, or update libseccomp"
            yield _about.note("unknown-syscall", message, name, hint=hint)
        elif name not in grouped and is_stranger(name, model, library):
            message = f"{name}: libseccomp knows no such system call on this machine, so it gets the default action"
            hint = "check the name, or update libseccomp"
            yield _about.warning("unknown-syscall", message, name, hint=hint)


def _multiplexed(carrier: str, model: Filter, composed: Rule) -> Finding:
    reason = "libseccomp, which has no rules that equal the default action, would open single calls of it"
    culprit = next(iter(multiplex.culprits(model, carrier)), None)
    if culprit is not None:
        reason = f"it carries other calls with arguments that no filter sees, and {culprit} is not free: "
        reason += describe(model.rule(culprit), 3)
    return _about.finding(
        Severity.NOTE if is_denial(strictest(composed)) else Severity.WARNING,
        "multiplexed",
        f"{carrier} is answered with {describe(model.rule(carrier))}, not with {describe(composed)}, since {reason}",
        carrier,
        hint=f"for programs that need it, as those of Debian's i386 need socketcall, allow {carrier} and each call that it "
        "carries by name",
    )


def _marks(settings: SeccompSettings, overruled: Sequence[str]) -> Iterable[Finding]:
    if not settings.restrict_suid_sgid:
        yield _about.warning(
            "set-id-files",
            "files can get set-user-ID and set-group-ID bits: on a volume a program with them lends its owner's rights to "
            "whoever runs it on the host",
            suid.SETTING,
            hint=f"write {suid.SETTING} = true in [seccomp], and what needs the bits is given them when the image is built",
        )
    for name in overruled:
        yield _about.note(
            "overruled",
            f"{name} is denied by {suid.SETTING}, though the layers allow it: no filter sees whether it marks a file",
            name,
            hint=f"drop SETFCAP, or write {suid.SETTING} = false in [seccomp]"
            if "xattr" in name
            else f"{suid.SETTING} = false",
        )


def _permissions(settings: SeccompSettings, overruled: Sequence[str]) -> Iterable[Finding]:
    for name, why in DANGEROUS.items():
        rule = settings.syscalls[name]
        if name not in overruled and not all(map(is_denial, rule.leaves)):
            some = "" if rule.is_constant else f" ({describe(rule)})"
            yield _about.warning(
                f"allows-{name}",
                f"{name} is allowed{some}: it {why}",
                name,
                hint=f'write deny = ["{name}"] in [seccomp]',
            )
    ioctl = settings.syscalls["ioctl"]
    if not is_denial(ioctl.value((0, 0x5412, 0, 0, 0, 0))):
        yield _about.warning(
            "allows-tiocsti",
            "ioctl TIOCSTI is allowed: it types into the caller's terminal",
            "ioctl",
            hint='allow ioctl through a group such as "@basic-io", which keeps it back',
        )


def _defaults(rest: Rule) -> Iterable[Finding]:
    action = strictest(rest)
    if action == ALLOW or action.kind is ActionKind.LOG:
        yield _about.warning(
            "open-default",
            f"system calls that no rule names are answered with {action}, those of newer kernels too",
            "*",
            hint='write default = "deny" in [seccomp], and allow what is needed',
        )
    elif action.kind in (ActionKind.KILL_THREAD, ActionKind.KILL_PROCESS):
        yield _harsh(action)


def _harsh(action: Action) -> Finding:
    thread = (
        "; killing one thread can leave the others waiting for ever" if action.kind is ActionKind.KILL_THREAD else ""
    )
    return _about.note(
        "harsh-default",
        f"system calls that no rule names are answered with {action}: a libc that probes for a newer call dies{thread}",
        "*",
        hint='"deny" lets programs fall back to older calls',
    )


def _old_library(version: tuple[int, int, int]) -> Finding:
    return _about.note(
        "old-libseccomp",
        f"libseccomp {'.'.join(map(str, version))} merges some comparisons wrongly (GHSA-4q85-33p6-j5g6); the compiled "
        "filter was proved equal to the composed one",
        "*",
        hint="update libseccomp to 2.6.1 or newer",
    )
