"""Whether who runs the command, or one of its limits, is the reason of a system call that failed."""

from __future__ import annotations

import os
import re
import string
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import MappingProxyType

import attrs

from hardening.base import files
from hardening.base.linux import abi
from hardening.base.values import frozen
from hardening.mechanism import outside
from hardening.mechanism.denial import Cause, Seen, Size, SystemCall, Way
from hardening.mechanism.idmaps import inside
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import id_maps, natural_ids
from hardening_process.facts import ProcessFacts, effective_oom_score_adj, effective_rlimit, stated_ceilings
from hardening_process.kinds import NO_CEILING, UNLIMITED, ResourceLimit, RlimitKind, User, below
from hardening_process.passwd import Accounts
from hardening_process.settings import RLIMITS, ProcessSettings
from hardening_process.spec import environment
from hardening_process.users import root

_MEMORY = frozenset(
    {"mmap", "mmap2", "brk", "mremap", "mprotect", "clone", "clone3", "fork", "vfork", "execve", "shmat"}
)
_LOCKING = frozenset({"mlock", "mlock2", "mmap", "mmap2"})  # how much is their second argument
_STARTS = frozenset({"clone", "clone3", "fork", "vfork"})
#: Calls by which root gives something to another user, or becomes one: which arguments are a user and a group. Where there
#: is no user, it is the one whose account has the group.
_TURNING: Mapping[str, tuple[int | None, int | None]] = MappingProxyType(
    {"chown": (1, 2), "lchown": (1, 2), "fchown": (1, 2), "fchownat": (2, 3), "setuid": (0, None), "setreuid": (1, None),
     "setresuid": (1, None), "setgid": (None, 0), "setregid": (None, 1), "setresgid": (None, 1)}
)  # fmt: skip
#: The limits that the kernel ends a process for, by the signal (setrlimit(2)).
_ENDING: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"SIGXCPU": ("cpu",), "SIGKILL": ("cpu",), "SIGSEGV": ("stack", "as")}
)
#: A variable of the environment in what a program says.
_VARIABLE = re.compile(r"\b[A-Z_][A-Z0-9_]+\b")
#: How much of a program is looked through for one, what names are made of, and those that shells set anew.
_MOST_READ = 128 << 20
_OF_WORDS = frozenset(f"{string.ascii_letters}{string.digits}_".encode())
_OF_SHELLS = frozenset({"_", "OLDPWD", "PWD", "SHLVL"})
_NOBODY = 0xFFFFFFFF  # -1 leaves an id as it is
#: Limits by number.
_NUMBERED = {number: name.removeprefix("RLIMIT_").lower() for name, number in abi.RLIMITS.items()}
#: How far a limit is raised where nobody can tell how much is needed: this many times, then not at all.
_FACTOR = 8
#: The kernel's own limits of these (sched(7), mq_overview(7), linux/resource.h), where ours is 0.
_LEAST = {"memlock": 8 << 20, "msgqueue": 819_200, "rtprio": 99, "nice": 40}


@frozen(eq=False)
class Limited:
    """The calls that a resource limit (setrlimit(2)) has fail, and with what; a process with ``capability`` has none.
    Without ``calls``: any call but those of ``others``; ``flags`` are an argument and the bits that it must have."""

    name: str
    errors: frozenset[str]
    calls: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()
    capability: str = ""
    flags: tuple[int, int] = (0, 0)

    def fits(self, call: SystemCall) -> bool:
        """Whether a call, with its outcome, is one of these."""
        at, bits = self.flags
        return (
            call.outcome in self.errors
            and (call.name in self.calls if self.calls else call.name not in self.others)
            and call.arguments[at] & bits == bits
        )


def _of(
    name: str, errors: str, calls: str = "", others: str = "", capability: str = "", flags: tuple[int, int] = (0, 0)
) -> Limited:
    outcomes, limited, unlimited = (frozenset(words.split()) for words in (errors, calls, others))
    return Limited(name, outcomes, limited, unlimited, capability, flags)


#: The likeliest first, of those that answer alike.
LIMITED = (
    # Instances of inotify and of others are a parameter of the kernel's.
    _of("nofile", "EMFILE", others="mq_open inotify_init inotify_init1 fanotify_init shmat"),
    _of("msgqueue", "EMFILE ENOMEM", "mq_open"),
    _of("nproc", "EAGAIN", "clone clone3 fork vfork execve setuid setresuid setreuid", capability="SYS_RESOURCE"),
    _of("memlock", "ENOMEM EPERM EAGAIN", "mlock mlock2 mlockall memfd_secret io_uring_setup io_uring_register",
        capability="IPC_LOCK"),
    _of("memlock", "EAGAIN EPERM", "mmap mmap2", capability="IPC_LOCK", flags=(3, abi.MAP_LOCKED)),
    _of("fsize", "EFBIG"),
    _of("sigpending", "EAGAIN", "timer_create rt_sigqueueinfo rt_tgsigqueueinfo"),
    _of("as", "ENOMEM", "mmap mmap2 brk mremap mprotect clone clone3 fork vfork execve shmat"),
    _of("data", "ENOMEM", "mmap mmap2 brk mremap mprotect"),
    _of("stack", "E2BIG", "execve execveat"),
    _of("nice", "EACCES EPERM", "setpriority nice sched_setattr", capability="SYS_NICE"),
    _of("rtprio", "EPERM", "sched_setscheduler sched_setparam sched_setattr", capability="SYS_NICE"),
)  # fmt: skip


def denied(settings: ProcessSettings, context: Context, call: SystemCall) -> Iterator[Cause]:
    """The limits that the kernel may have looked at, and the user whom it may have looked for; of a process that has ended
    what may have ended it, or was missing."""
    if call.is_end:
        yield from _of_end(settings, context, call)
    if not call.error or call.is_question:
        return  # nobody knows of a question how much would be wanted
    for limited in LIMITED:
        if limited.fits(call) and not _is_exempt(context, call, limited.capability):
            yield from _limit(settings, context, call, limited.name)
    if call.name in _STARTS and call.outcome == "EAGAIN":
        yield from _ceiling(
            settings, context, "pids", f"{call.name} finds as many processes and threads as there may be"
        )
    if call.outcome == "ENOMEM" and call.name in _MEMORY:
        yield from _ceiling(settings, context, "memory", f"{call.name} finds no memory")
    if call.outcome == "EPERM" and call.name in ("setrlimit", "prlimit64"):
        number = call.arguments[0 if call.name == "setrlimit" else 1]
        if number in _NUMBERED:
            yield from _limit(settings, context, call, _NUMBERED[number])
    if call.outcome == "ENXIO" and call.path == "/dev/tty" and not settings.terminal:
        leaf = "process.terminal"
        yield Cause(leaf, "the command has no terminal of its own", (Way(leaf, True),), certain=True)
    if call.outcome == "EACCES" and call.path.startswith("/proc/") and call.path.endswith("/oom_score_adj"):
        yield from _oom_score(settings, context)
    yield from _user(settings, context, call)


def _of_end(settings: ProcessSettings, context: Context, call: SystemCall) -> Iterator[Cause]:
    """The limits that the kernel ends a process for, and the variables of the caller's that it names at its end."""
    for name in _ENDING.get(call.outcome, ()):
        yield from _limit(settings, context, call, name)
    if call.outcome == "SIGKILL":
        yield from _ceiling(settings, context, "memory", "a process is ended where no memory is left")
    if not call.outcome:
        yield from _variables(settings, context, call)


def _variables(settings: ProcessSettings, context: Context, call: SystemCall) -> Iterator[Cause]:
    """Variables of the caller's that the command does not have: those that a process names at its end; of one that
    names none, those that its program, or what it was executed with, has in itself: it may have looked without a word."""
    looked = context.once(_Variables, settings)
    named = looked.missing.intersection(_VARIABLE.findall(call.output))
    silent = () if named else (looked.missing - _OF_SHELLS).intersection(looked.by(context, call))
    for name in (*sorted(named), *sorted(silent)):
        leaf = f"process.environment.{name}"
        what = f"the variable {name} is not handed down to the command"
        yield Cause(leaf, what, (Way(leaf, True),), certain=name in named)


class _Variables:
    """The variables of the caller's that are ``missing`` in the command's environment, and which of them programs name: each
    program is looked through once, however many processes of it end."""

    def __init__(self, settings: ProcessSettings, context: Context) -> None:
        own = context.host.of(ProcessFacts).environment
        self.missing = own.keys() - {name for name, *_ in environment(settings, outside.identity(context), context)}
        self._names = re.compile(b"|".join(map(re.escape, sorted(map(os.fsencode, self.missing), reverse=True))))
        self._found: dict[str, frozenset[str]] = {}

    def by(self, context: Context, call: SystemCall) -> Iterator[str]:
        """Those that are named by the words of a process, by its program, or by a script that it executes."""
        yield from _VARIABLE.findall(" ".join(call.words))
        for path in dict.fromkeys((call.caller.executable, *call.words[1:2])) if self.missing else ():
            if path not in self._found:
                seen = outside.look(context, path) if path.startswith("/") else None
                self._found[path] = frozenset() if seen is None else frozenset(self._in(seen.place))
            yield from self._found[path]

    def _in(self, place: str) -> Iterator[str]:
        """Of a file of the command's, which may put anything in its place meanwhile, or cut it."""
        with suppress(OSError), os.fdopen(files.open_file(place, follow=False), "rb") as file:
            text = file.read(_MOST_READ)
            for match in self._names.finditer(text):
                first, end = match.span()
                if _OF_WORDS.isdisjoint(text[max(first - 1, 0) : first] + text[end : end + 1]):
                    yield os.fsdecode(match[0])


def _is_exempt(context: Context, call: SystemCall, capability: str) -> bool:
    """Whether a capability lifts a limit for a process: only over the host, and so in no user namespace of its own."""
    return id_maps(context) is None and capability in call.caller.capabilities


def _limit(settings: ProcessSettings, context: Context, call: SystemCall, name: str) -> Iterator[Cause]:
    """A resource limit that the settings say, and that the caller's own hard limit does not cut further."""
    ceiling, limit = settings.rlimits[name], effective_rlimit(name, settings, context)
    if limit is None or limit != ceiling:
        return
    leaf = f"process.rlimits.{name}"
    wanted = _set(call, limit) or _wanted(call, name)
    steps = [] if wanted is None else [wanted]
    steps += _steps(name, limit) if wanted is None or not (call.limit or name == "nice") else ()
    ways = tuple(Way(leaf, step) for step in steps if _takes_effect(settings, context, name, step, wanted))
    what = f"{call.name or 'the process'} goes beyond {RLIMITS[name]}: {RlimitKind().show(limit)}"
    own = context.host.of(ProcessFacts).rlimits.get(name, UNLIMITED)
    most = "" if own.hard is None else f" than {own.hard}"
    advice = f"the caller's own hard limit is no higher{most}: limits.conf(5), ulimit -H"
    is_own = not (ways or context.host.root)  # who launches the command is answered the same without a stack
    yield Cause(leaf, f"{what}, and {advice}" if is_own else what, ways, "" if ways else advice, regardless=is_own)


def _steps(name: str, limit: ResourceLimit) -> Iterator[ResourceLimit]:
    """How a limit can be raised: the soft one to the hard one, which the command may do itself, then both."""
    if limit.hard is not None:
        if limit.soft != limit.hard:
            yield ResourceLimit(limit.hard, limit.hard)
        more = max(limit.hard * _FACTOR, _LEAST.get(name, 0))
        if more > limit.hard:
            yield ResourceLimit(more, more)
    yield UNLIMITED


def _set(call: SystemCall, limit: ResourceLimit) -> ResourceLimit | None:
    """The limit under which a process may set what it was to set: the hard one is raised, and no soft one that it starts
    with. None of a call that sets none, or lowers both."""
    hard = next((None if most >= 1 << 63 else most for most in call.limit[1:]), 0)
    return None if below(hard, limit.hard) else ResourceLimit(limit.soft, hard)


def _wanted(call: SystemCall, name: str) -> ResourceLimit | None:
    """The least limit with which a call can go well, where its arguments say it."""
    if name == "nice" and call.name == "setpriority":  # setrlimit(2), RLIMIT_NICE
        low = call.arguments[2] & 0xFFFFFFFF
        least = min(max(20 - (low - (1 << 32) if low >> 31 else low), 1), 40)
    elif name == "memlock" and call.name in _LOCKING:
        page = os.sysconf("SC_PAGE_SIZE")
        least = -(-(call.arguments[0] % page + call.arguments[1]) // page) * page
    else:
        return None
    return ResourceLimit(least, least)


def _takes_effect(
    settings: ProcessSettings, context: Context, name: str, value: ResourceLimit, wanted: ResourceLimit | None
) -> bool:
    """Whether a limit would be looser than now, and as much as is ``wanted``: the caller's own hard limit stays above it."""
    named = {**settings.rlimits.named, name: value}
    after = effective_rlimit(name, attrs.evolve(settings, rlimits=attrs.evolve(settings.rlimits, named=named)), context)
    own = context.host.of(ProcessFacts).rlimits.get(name, UNLIMITED)
    is_enough = wanted is None or RlimitKind().is_no_looser_than(wanted, after or own)
    return is_enough and not RlimitKind().is_no_looser_than(after or own, settings.rlimits[name])


def _ceiling(settings: ProcessSettings, context: Context, name: str, what: str) -> Iterator[Cause]:
    """A ceiling of the command's cgroup."""
    ceiling, leaf = stated_ceilings(settings).get(name), f"process.resources.{name}"
    if ceiling is not None and not context.lacks(leaf):
        yield Cause(leaf, what, (Way(leaf, ceiling * _FACTOR), Way(leaf, NO_CEILING)))


def _oom_score(settings: ProcessSettings, context: Context) -> Iterator[Cause]:
    own, leaf = context.host.of(ProcessFacts).oom_score_adj, "process.oom_score_adj"
    if effective_oom_score_adj(settings, context) > own:
        yield Cause(leaf, "a process lowers its score below the one that it was started with", (Way(leaf, own),))


def _user(settings: ProcessSettings, context: Context, call: SystemCall) -> Iterator[Cause]:
    """Who the command is: root that wants to be another user, whom the launch can start it as; or somebody whom the owner of
    a file does not let in, root without its capabilities or the user that the stack has chosen."""
    maps, leaf = id_maps(context), "process.user"
    is_root = (call.caller.uid if maps is None else inside(maps.uids, call.caller.uid)) == 0
    if is_root and call.outcome == "EPERM":
        found = _wanted_user(context, call)
        if found is not None:
            what = f"the command starts as root, and has {call.name} turn to user {found.user}"
            # To a user who gives a file to itself nothing is denied, and nothing happens.
            way = Way(leaf, found, Size.PLACE, spares_call="chown" in call.name)
            yield Cause(leaf, what, (way,))
    elif call.outcome == "EACCES" and (is_root or settings.user.user):
        withheld = outside.withheld(context, call)
        if withheld is not None:
            yield from _owner(settings, context, *withheld)


def _wanted_user(context: Context, call: SystemCall) -> User | None:
    """The user and group that root turns to; None where it is root, or nobody here."""
    if call.name == "setgroups":
        user, group = None, call.ids[0] if len(call.ids) == 1 else None
    elif call.name in _TURNING:
        user, group = (None if at is None else call.arguments[at] & _NOBODY for at in _TURNING[call.name])
    else:
        return None
    users = Accounts.read(root(context)).users
    account = next((one for one in users if user in (None, _NOBODY) and one.gid == group), None)
    uid = account.uid if account is not None else user
    if uid in (None, _NOBODY, 0):
        return None
    gid = group if group not in (None, _NOBODY) else next((one.gid for one in users if one.uid == uid), uid)
    maps = id_maps(context)
    is_known = maps is None or (maps.outside(uid) is not None and maps.outside_gid(gid) is not None)
    return User(str(uid), str(gid)) if is_known else None


def _owner(settings: ProcessSettings, context: Context, seen: Seen, right: int) -> Iterator[Cause]:
    """The owner of a file, where that may do what the command's user may not."""
    maps, leaf = id_maps(context), "process.user"
    uid = seen.uid if maps is None else inside(maps.uids, seen.uid)
    gid = seen.gid if maps is None else inside(maps.gids, seen.gid)
    if uid is None or gid is None or not seen.mode >> 6 & right:
        return
    runs = outside.identity(context).uid
    what = f"the command runs as user {runs}, and the file is user {uid}'s, with mode {seen.mode & 0o7777:04o}"
    if uid == natural_ids(context)[0]:
        yield Cause(leaf, what, (Way(leaf, User(), Size.WIDER if uid == 0 else Size.CALL),))
    elif uid == 0:
        yield Cause(leaf, what, advice="give the file to the user, or show it with a mode that lets the user in")
    else:
        yield Cause(leaf, what, (Way(leaf, User(str(uid), str(gid)), Size.PLACE),))
