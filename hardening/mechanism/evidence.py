"""What runs of a command were seen to ask of the kernel, and what a mechanism learns from that; and programs that show what
one value of a leaf permits and another one does not."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from hardening.base.linux import abi
from hardening.base.text import listed
from hardening.base.values import frozen
from hardening.mechanism.denial import Caller, SystemCall

_WORD = (1 << 32) - 1
#: Calls that may have a file lend rights, by the place of the mode that does: set-user-ID and set-group-ID (chmod(2)).
LENDING: Mapping[str, int] = MappingProxyType({"chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2})
#: Calls that give a file to somebody else, by the place of the user (chown(2)).
GIVING: Mapping[str, int] = MappingProxyType(
    {**{f"{name}{wide}": 1 for name in ("chown", "fchown", "lchown") for wide in ("", "32")}, "fchownat": 2}
)
#: The arguments that tell one use of a call from another, by their place, with the bits that count. All others, such as
#: addresses and sizes, say nothing of what a program needs.
SIGNIFICANT: Mapping[str, Mapping[int, int]] = MappingProxyType(
    {name: {0: _WORD} for name in ("arch_prctl", "bpf", "keyctl", "personality", "prctl", "quotactl", "seccomp",
                                   "setrlimit", "socket", "socketpair", "syslog")}
    | {name: {1: _WORD} for name in ("fcntl", "fcntl64", "ioctl", "prlimit64", "sched_setscheduler", "setns")}
    | {name: {1: _WORD, 2: _WORD} for name in ("getsockopt", "setsockopt")}
    | {name: {2: 0x7} for name in ("mmap", "mmap2", "mprotect", "pkey_mprotect")}  # PROT_*
    # What else the flags of clone hold changes from one thread library to the next.
    | {"clone": {0: abi.CLONE_NAMESPACES}, "unshare": {0: abi.UNSHARE_NAMESPACES}, "madvise": {2: _WORD},
       "mknod": {1: 0xF000}, "mknodat": {2: 0xF000}, "ptrace": {0: (1 << 64) - 1}}
    | {name: {place: 0o6000} for name, place in LENDING.items()}
)  # fmt: skip

#: Flags of clone(2) that are kept beside those, of which no rule is made: whether it started a thread, or a process that
#: borrows memory, or has its own.
_STARTED = abi.CLONE_VM | abi.CLONE_VFORK | abi.CLONE_THREAD
#: What is kept of a call beside these arguments: what it was about, and what became of it.
KEPT = (
    "name", "number", "architecture", "error", "signal", "path", "target", "access", "address", "request", "ids",
    "capabilities", "attribute", "namespaces", "text",
)  # fmt: skip


def telling(call: SystemCall) -> Mapping[int, int]:
    """The arguments of a call that tell its use from another, as in `SIGNIFICANT`: of a socket of netlink the protocol, too,
    each of which is another part of the kernel."""
    kept = SIGNIFICANT.get(call.name, {})
    is_netlink = call.name == "socket" and call.arguments[0] & _WORD == abi.AF_NETLINK
    return {**kept, 2: _WORD} if is_netlink else kept


def normal(call: SystemCall) -> SystemCall:
    """A call without what differs from one time to the next: who made it, when, what lay on its way, and the arguments that
    do not matter."""
    kept = telling(call)
    if call.name == "clone":
        kept = {0: kept[0] | _STARTED}
    arguments = tuple(number & kept.get(place, 0) for place, number in enumerate(call.arguments))
    return SystemCall(arguments=arguments, caller=Caller(0), **{field: getattr(call, field) for field in KEPT})


@frozen
class Usage:
    """One way in which a command used the kernel: a call without its caller (`normal`), how ``often`` it was made, in how
    many ``runs``, and by which ``programs``, the names of processes. ``often`` is 0 for one that may have been made, and was
    not looked at; ``runs`` for one that these programs could make by their files, and that no run has shown."""

    call: SystemCall
    often: int = 1
    runs: int = 1
    programs: tuple[str, ...] = ()

    @property
    def seen(self) -> str:
        """In words: ``3 calls in 2 runs, by nginx``."""
        return seen((self,))


def counted(made: Iterable[tuple[SystemCall, int, Iterable[str]]]) -> frozenset[Usage]:
    """The uses of one run, from calls with how often each was made and by which programs."""
    often: Counter[SystemCall] = Counter()
    programs: dict[SystemCall, set[str]] = {}
    for call, number, by in made:
        plain = normal(call)
        often[plain] += number
        programs.setdefault(plain, set()).update(by)
    return frozenset(Usage(call, number, 1, tuple(sorted(programs[call] - {""}))) for call, number in often.items())


def seen(uses: Iterable[Usage]) -> str:
    """Several uses in words, as `Usage.seen`."""
    found = tuple(uses)
    by = sorted({program for use in found for program in use.programs})
    shown = listed(by)
    if not any(use.runs for use in found):
        return f"not seen, but {shown} could make it"
    if not all(use.often for use in found):  # also where some are of a kind that is counted, such as maps of programs
        return "not counted" + (f", by {shown}" if shown else "")
    often = sum(use.often for use in found)
    runs = max((use.runs for use in found), default=0)
    return f"{_counted(often, 'call')} in {_counted(runs, 'run')}" + (f", by {shown}" if shown else "")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


@frozen(eq=False)
class Evidence:
    """What all runs together asked for. ``peaks`` are the most of a resource that a run came to: ``files`` that one
    process had open, ``tasks`` (threads) at a time, bytes of ``memory`` at a time. ``needed`` are the full names of the
    leaves that had to be looser than the strictest for a run to succeed, None where that was not tried."""

    uses: tuple[Usage, ...]
    runs: int
    peaks: Mapping[str, int]
    needed: frozenset[str] | None = None

    def of(self, *names: str) -> tuple[Usage, ...]:
        """The uses of these system calls."""
        return tuple(use for use in self.uses if use.call.name in names)


@frozen(eq=False)
class LearntStatement:
    """One line of a layer that a mechanism has learnt: the ``value`` of a ``key`` below its table, or with ``element`` one
    element of the array there, and a ``comment`` that says what was seen.

    One that ``loosens`` leaves, whose full names these are, needs an exception for each; a layer leaves it out where the
    command does without.
    """

    key: tuple[str, ...]
    value: object
    comment: str
    element: bool = False
    loosens: frozenset[str] = frozenset()


PERMITTED, REFUSED = "permitted", "refused: "

_PROGRAM = """\
import os, sys
try:
{attempt}
except OSError as error:
    sys.exit(f"refused: {{error.strerror or error}}")
print("permitted")
"""


@frozen
class Witness:
    """What a process may do under one value of a leaf, and not under another: ``what`` says it in words, ``attempt`` in
    lines of Python that raise `OSError` where the kernel refuses it, with ``os`` and ``sys`` imported. It changes nothing
    that outlasts the process: the volumes of a stack are the host's own. Without an attempt ``what`` says why no program
    shows it."""

    what: str
    attempt: str = ""

    @property
    def program(self) -> str:
        """The whole program: it prints `PERMITTED`, or ends with exit code 1 and `REFUSED` and why on standard error."""
        return _PROGRAM.format(attempt=textwrap.indent(self.attempt.strip("\n"), "    "))


#: What returns twice, never, or into a frame that is not there, and what outlasts the process that has made it.
_NEVER_MADE = frozenset(
    {"clone", "clone3", "exit", "exit_group", "fork", "rt_sigreturn", "sigreturn", "uprobe", "uretprobe", "vfork",
     "kexec_file_load", "kexec_load", "msgget", "reboot", "semget", "shmget", "syslog", "vhangup"}
)  # fmt: skip
#: What 0 is one's own group to, and -1 every process (kill(2)).
TO_PROCESSES = frozenset({"kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"})
_U32 = (1 << 32) - 1
_CALL = """\
import ctypes, signal
signal.signal(signal.SIGALRM, lambda *_: None), signal.alarm(2)
libc = ctypes.CDLL(None, use_errno=True)
result = libc.syscall({number}, *map(ctypes.c_ulong, [{arguments}]))  # {name}
if result == -1{answered}:
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))"""


def may_be_made(name: str, arguments: Sequence[int] = (0,)) -> bool:
    """Whether a program may make a system call to see what comes of it. Its process goes on after it, and nobody else
    notices."""
    return name not in _NEVER_MADE and not (name in TO_PROCESSES and arguments[0] & _U32 in (0, _U32))


def call_attempt(name: str, number: int, arguments: Sequence[int], error: int | None = None) -> str:
    """An attempt that makes a call, and raises what it is refused with: ``error`` alone where given. A call that waits
    is interrupted: then it was let."""
    answered = "" if error is None else f" and ctypes.get_errno() == {error}"
    return _CALL.format(number=number, name=name, arguments=", ".join(map(hex, arguments)), answered=answered)


def unless(condition: str, refused: str, *before: str) -> str:
    """An attempt that looks at what the kernel says: it is ``refused``, in words, unless a ``condition`` in Python holds,
    after the lines ``before`` it."""
    return "\n".join([*before, f"if not ({condition}):", f"    raise PermissionError(1, {refused!r})"])
