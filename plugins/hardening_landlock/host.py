"""What Landlock of this kernel can deny, and whether there is a helper for this machine."""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterator
from pathlib import Path

from hardening.base.linux import kernel
from hardening.base.values import frozen
from hardening.mechanism import inputs as host_inputs
from hardening.mechanism.host import Host
from hardening.mechanism.inputs import Inputs
from hardening.mechanism.mechanism import Context, Unsupported
from hardening.mechanism.roles import CallFilter, Privileges
from hardening_landlock.settings import ALL, ANY, LandlockSettings

#: Where the helper is compiled to, by machine; `landlock.c` beside it is its source.
HELPERS = Path(__file__).parent / "helper"
CALLS = ("landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self")
_VERSION = 1  # LANDLOCK_CREATE_RULESET_VERSION
_EVERYBODY = 0o555
#: The version of Landlock's interface that knows more than the first, and the kernel that has it (landlock(7)).
REFER, TRUNCATE, NET, IOCTL, SCOPES = 2, 3, 4, 5, 6
_KERNELS = {REFER: "5.19", TRUNCATE: "6.2", NET: "6.7", IOCTL: "6.10", SCOPES: "6.12"}


@frozen
class LandlockFacts:
    """``abi`` is the version of Landlock's interface, 0 where there is none, and ``problem`` then why; ``helper`` is the
    program for this machine, empty where there is none that everybody may execute, and ``lacking`` then why."""

    abi: int = 0
    problem: str = ""
    helper: str = ""
    lacking: str = ""


def probe(host: Host) -> LandlockFacts:
    """Ask the kernel (landlock_create_ruleset(2))."""
    abi, problem = 0, ""
    try:
        abi = kernel.call(CALLS[0], 0, 0, _VERSION)
    except OSError as error:
        booted = error.errno == errno.EOPNOTSUPP
        problem = "it was booted without it" if booted else f"it has none ({error.strerror})"
    return LandlockFacts(abi, problem, *helper_for(host.machine))


def assumed(host: Host) -> LandlockFacts:
    """A kernel that denies all that there is."""
    return LandlockFacts(max(_KERNELS), "", *helper_for(host.machine))


def helper_for(machine: str) -> tuple[str, str]:
    """`LandlockFacts.helper` of a machine, and `LandlockFacts.lacking`."""
    path = HELPERS / f"landlock-{machine}"
    try:
        if stat.S_IMODE(path.stat().st_mode) & _EVERYBODY != _EVERYBODY:
            return "", f"{path} cannot be executed by everybody"
    except OSError:
        return "", f"there is no helper for {machine}"
    return str(path), ""


def inputs(settings: LandlockSettings, context: Context) -> Inputs:
    """How the kernel was booted, and the helper."""
    if not classes(settings):
        return
    yield from host_inputs.kernel("/proc/cmdline")
    helper = context.host.of(LandlockFacts).helper
    if helper:
        yield from host_inputs.program(helper)


def classes(settings: LandlockSettings) -> dict[str, tuple[str, int]]:
    """What is restricted: the helper's word for it, its setting, and the version of the interface that it takes. With any
    of the files' the kernel also restricts moves between directories, and mounts."""
    writing = settings.write != ALL or not settings.mounts  # of the places that the root has writable
    limits = {
        "read": ("read", REFER, settings.read != ALL),
        "write": ("write", REFER, writing),
        "truncate": ("write", TRUNCATE, writing),
        "execute": ("execute", REFER, settings.execute != ALL),
        "ioctl": ("ioctl", IOCTL, settings.ioctl != ALL),
        "bind": ("bind", NET, settings.bind != (ANY,)),
        "connect": ("connect", NET, settings.connect != (ANY,)),
        "abstract": ("abstract_sockets", SCOPES, not settings.abstract_sockets),
        "signals": ("signals", SCOPES, not settings.signals),
    }
    return {word: (setting, least) for word, (setting, least, restricts) in limits.items() if restricts}


def check(settings: LandlockSettings, context: Context) -> Iterator[Unsupported]:
    """A kernel without Landlock or with too little of it, a machine without a helper, and what would keep the helper from
    its work."""
    needed: dict[str, int] = {}
    for setting, least in classes(settings).values():
        needed[setting] = max(least, needed.get(setting, 0))
    if not needed:
        return
    facts = context.host.of(LandlockFacts)
    if whole := _obstacle(facts, context):
        yield Unsupported("landlock", *whole, whole=True)
        return
    for setting, least in needed.items():
        if facts.abi < least:
            reason = f"version {facts.abi} of Landlock denies less than that: {setting} takes version {least}"
            yield Unsupported(f"landlock.{setting}", reason, f"run Linux {_KERNELS[least]} or newer")


def _obstacle(facts: LandlockFacts, context: Context) -> tuple[str, str] | None:
    """Why nothing at all can be enforced, and the remedy."""
    if not context.host_kernel:
        reason = f"{context.runtime} has a kernel of its own, and nothing tells whether that has Landlock"
        return reason, "use --runtime native"
    if not facts.abi:
        return f"the kernel has no Landlock: {facts.problem}", "run Linux 5.19 or newer, with landlock among `lsm=`"
    if facts.abi < REFER:
        return "version 1 of Landlock lets nothing be moved between directories", "run Linux 5.19 or newer"
    if not facts.helper:
        return facts.lacking, "run it on x86_64 or aarch64" if "no helper" in facts.lacking else "make it mode 755"
    privileges = context.of(Privileges)
    if privileges is not None and not privileges.no_new_privileges:
        return (
            "who may gain privileges cannot confine itself",
            "write no_new_privileges = true in [capabilities]",
        )
    calls = context.of(CallFilter)
    denied = [name for name in CALLS if calls is not None and not calls.lets_run(name)]
    if denied:
        names = ", ".join(denied)
        return f"the filter of system calls denies {names}", f"allow {names} in [seccomp]"
    return None
