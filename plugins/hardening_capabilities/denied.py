"""Whether a missing capability, or no_new_privs, is the reason of a system call that failed."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from hardening.base.linux import executable
from hardening.errors import quoted
from hardening.mechanism import outside
from hardening.mechanism.denial import Cause, Seen, Size, SystemCall, Way
from hardening.mechanism.evidence import GIVING, LENDING
from hardening.mechanism.idmaps import inside
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import HOST as SHARED
from hardening.mechanism.roles import Isolation, id_maps, joins_user_namespace
from hardening_capabilities.checks import ABOVE, CHECKS, ERRORS, HOST, MOUNT, NET, PID, UTS, Check, any_call, fitting
from hardening_capabilities.findings import INSTEAD
from hardening_capabilities.host import available, has_own_user_namespace, shares_network
from hardening_capabilities.settings import ADDED, DROPPED, ROOT, CapabilitiesSettings
from hardening_capabilities.spec import granted
from hardening_capabilities.table import BY_NAME, mask_names

_PRIVILEGED_PORTS = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
_USUAL_PORTS = 1024
_EXEC = frozenset({"execve", "execveat"})
#: What only the owner of a file may do (inode(7), path_resolution(7)).
_OWNERS = frozenset(
    {*LENDING, "utime", "utimes", "futimesat", "utimensat", "utimensat_time64", "link", "linkat", "unlink", "unlinkat",
     "rmdir", "rename", "renameat", "renameat2", "file_setattr", "removexattr"}
)  # fmt: skip
_IDS = frozenset({"SETUID", "SETGID"})
#: How programs name capabilities, and no_new_privs.
_NAMED = re.compile(r"\b(?:[Cc][Aa][Pp]_([A-Za-z_]+)|([A-Z_]{4,}))\b")
_NO_NEW_PRIVILEGES = re.compile(r"no[ _]new[ _]priv", re.IGNORECASE)
_SET_ID = stat.S_ISUID | stat.S_ISGID
_SYSCTL = "namespaces.sysctls."
_ICMP = (1, 58)


def denied(settings: CapabilitiesSettings, context: Context, call: SystemCall) -> Iterator[Cause]:
    """The capabilities that the kernel may have asked for, which the process does not have."""
    if call.signal:
        return
    if call.is_end:
        yield from _of_end(settings, context, call)
    if call.name in _EXEC:
        yield from _execution(settings, context, call)
    if call.name in LENDING and not call.error:  # which the tracer tells where a bit has got lost
        yield from _missing(settings, context, call, any_call("FSETID"), ())
    if call.outcome not in ERRORS:
        return
    if call.outcome == "EPERM" and _set_user_id(settings, context, call):
        leaf = "capabilities.no_new_privileges"
        what = f"{call.caller.executable} is set-user-ID, which no_new_privs keeps from giving it root's rights"
        yield Cause(leaf, what, (Way(leaf, False, Size.WIDER),))
    told: set[str] = set()
    for check, ways in _asked(context, call):
        for cause in _missing(settings, context, call, check, ways):
            if cause.leaf not in told:
                told.add(cause.leaf)
                yield cause


def _asked(context: Context, call: SystemCall) -> Iterator[tuple[Check, tuple[Way, ...]]]:
    """Where the kernel may have asked for a capability, and smaller ways past it."""
    if call.outcome == "EACCES":
        if call.name == "bind":
            yield from _port(context, call)
        if _root_would_pass(context, call):
            yield any_call("DAC_OVERRIDE"), ()
    elif call.outcome == "EPERM" and not call.is_question:
        seen = outside.found(context, call, call.path) if call.path else None
        reaches = not _own_account(context, call) if seen is None else outside.is_reached(context, seen)
        if call.name in GIVING and reaches:
            yield any_call("CHOWN"), ()
        if call.name in _OWNERS and reaches and (seen is None or seen.uid != call.caller.uid):
            yield any_call("FOWNER"), ()
    for name in sorted(call.capabilities - call.caller.capabilities) if call.outcome == "EPERM" else ():
        yield any_call(name), ()
    for check in fitting(call):
        if check.capability == "SETGID" and "setgroups" in call.name and _groups_are_fixed(context):
            continue  # the kernel denies it to anybody there (user_namespaces(7), /proc/PID/setgroups)
        if check.lifts and _asks_elsewhere(context, check.whose):
            continue  # the limit is the answer
        yield check, tuple(_parameter(context, call)) if check.capability == "NET_RAW" else ()


def _missing(
    settings: CapabilitiesSettings, context: Context, call: SystemCall, check: Check, ways: Iterable[Way]
) -> Iterator[Cause]:
    """What a process without a capability lacks, and who would have to give it."""
    name, elsewhere = check.capability, _asks_elsewhere(context, check.whose)
    if elsewhere and check.whose == UTS:
        return  # a host name of its own is the answer, and no capability
    asked = call.text if call.request else call.name or "the program"
    if elsewhere and not call.is_question and not (context.host.root and _reaching(context, call) == ROOT):
        who = "another user than root" if context.host.root else f"uid {context.host.uid}"
        what = f"{asked} takes {name} {elsewhere}, which {who} has not, with a stack or without"
        yield Cause("namespaces.user", what, regardless=True)
        return
    if elsewhere:
        what = f"{asked} takes {name} {elsewhere}, and the command has a user namespace of its own"
        advice = f"{name} does nothing here; {INSTEAD.get(name) or BY_NAME[name].instead or 'let the host do it'}"
        yield Cause("namespaces.user", what, tuple(ways), advice)
        return
    value = _reaching(context, call)
    has = name in call.caller.capabilities and check.whose != ABOVE
    if has or value == DROPPED or settings.members[name] in (value, ADDED):
        return
    leaf, what = f"capabilities.{name}", f"{asked} takes {name}, which the command does not have"
    if name in available(context):
        way = Way(leaf, value, Size.CAPABILITY, reaches_host=check.stays and _is_host_s(context, check.whose))
        yield Cause(leaf, what, (*ways, way), BY_NAME[name].instead)
    else:
        yield Cause(leaf, what, tuple(ways), "the caller has it not to give: it is not in the bounding set")


def _asks_elsewhere(context: Context, whose: str) -> str:
    """Whose rights the kernel looks at where it is not the command's own user namespace; empty where it is."""
    if not has_own_user_namespace(context):
        return ""
    isolation = context.of(Isolation)
    if whose == NET and shares_network(context):
        return "over the network, which is the host's"
    if whose == UTS and isolation is not None and isolation.where("uts") == SHARED:
        return "over the host name, which is the host's"
    return "over the host" if whose == HOST else ""


def _is_host_s(context: Context, whose: str) -> bool:
    """Whether what a capability is over is the host's, where that is not asked elsewhere."""
    isolation = context.of(Isolation)
    if whose == NET:
        return shares_network(context)
    return whose == HOST or (whose in (UTS, MOUNT, PID) and (isolation is None or isolation.where(whose) == SHARED))


def _reaching(context: Context, call: SystemCall) -> str:
    """How a capability has to be given to reach the process: to root, or to any user; `DROPPED` where nothing does, since
    the process has changed its user (capabilities(7), "Effect of user ID changes on capabilities")."""
    maps, command = id_maps(context), outside.identity(context)
    if joins_user_namespace(context):
        return ROOT if command.is_root else ADDED
    uid = call.caller.uid if maps is None else inside(maps.uids, call.caller.uid)
    # Who changes its ids may keep what it has on the way (PR_SET_KEEPCAPS of prctl(2)), as setpriv(1) does.
    keeps = bool(call.caller.capabilities or call.ids)
    if uid == 0 or (command.is_root and keeps):
        return ROOT
    return ADDED if uid == command.uid or keeps else DROPPED


def _own_account(context: Context, call: SystemCall) -> bool:
    """Whether a process has the rights of the person who launched it: of a file that nobody has seen, its owner is the most
    likely to deny it the same without any stack."""
    return not context.host.root and call.caller.uid == context.host.uid and _reaching(context, call) != ROOT


def _groups_are_fixed(context: Context) -> bool:
    maps = id_maps(context)
    return maps is not None and not context.host.root and not maps.needs_helpers(context.host)


def _root_would_pass(context: Context, call: SystemCall) -> bool:
    """Whether a mode denies root what was wanted, and its capability goes past that: never to execute a file that nobody
    may. To anybody else the mode says the same without a stack."""
    found = outside.withheld(context, call)
    if found is None or _reaching(context, call) != ROOT:
        return False
    seen, right = found
    return outside.is_reached(context, seen) and seen.lets_root(right)


def _port(context: Context, call: SystemCall) -> Iterator[tuple[Check, tuple[Way, ...]]]:
    """A port that takes the capability (ip(7)); in a network of the command's own a parameter of that can open it."""
    match = re.fullmatch(r"(?:tcp|udp|sctp)\S* .*:(\d+)", call.address)
    own = context.of(Isolation) is not None and not shares_network(context)
    if match and 0 < int(match[1]) < (_USUAL_PORTS if own else _first_open_port()):
        leaf = f"{_SYSCTL}net.ipv4.ip_unprivileged_port_start"
        yield any_call("NET_BIND_SERVICE", NET), ((Way(leaf, match[1]),) if own else ())


def _first_open_port() -> int:
    try:
        return int(_PRIVILEGED_PORTS.read_text())
    except (OSError, ValueError):
        return _USUAL_PORTS


def _parameter(context: Context, call: SystemCall) -> Iterator[Way]:
    """The parameter that gives the command's group ICMP sockets (icmp(7)), in a network of its own."""
    own = context.of(Isolation) is not None and not shares_network(context)
    if own and call.name == "socket" and call.arguments[2] in _ICMP:
        gid = outside.identity(context).gid
        yield Way(f"{_SYSCTL}net.ipv4.ping_group_range", f"{gid} {gid}")


def _of_end(settings: CapabilitiesSettings, context: Context, call: SystemCall) -> Iterator[Cause]:
    """What a program has asked for (capget(2), PR_GET_NO_NEW_PRIVS of prctl(2)), which fails no call, and says that it
    lacks."""
    names = {match[1] or match[2] for match in _NAMED.finditer(call.output) if match[1] or "capabilit" in call.output}
    for name in sorted({name.upper() for name in names} & BY_NAME.keys()):
        changing = (check for check in CHECKS if check.capability == name and check.stays)
        yield from _missing(settings, context, call, next(changing, any_call(name)), ())
    if settings.no_new_privileges and _NO_NEW_PRIVILEGES.search(call.output):
        leaf = "capabilities.no_new_privileges"
        yield Cause(leaf, "the program does not run with no_new_privs", (Way(leaf, False, Size.WIDER),))


def _execution(settings: CapabilitiesSettings, context: Context, call: SystemCall) -> Iterator[Cause]:
    """A program whose file gives more than the command may have: it is refused, or starts without."""
    place = outside.look(context, call.path) if call.path else None
    permitted, effective = _file_capabilities(place, context) if place is not None else (frozenset[str](), False)
    if call.outcome == "EPERM" and effective:
        for name in sorted(permitted - granted(settings, context)):
            leaf = f"capabilities.{name}"
            what = f"{call.path} has the file capability {name}, which is outside of the bounding set"
            ways = (Way(leaf, ROOT, Size.CAPABILITY),) if name in available(context) else ()
            yield Cause(leaf, what, ways, f"or take it from the file: setcap -r {quoted(call.path)}", certain=True)
    elif not call.error and settings.no_new_privileges:
        gives = place is None or place.mode & _SET_ID or permitted
        if gives:
            leaf = "capabilities.no_new_privileges"
            kind = "has file capabilities" if permitted else "is set-user-ID or set-group-ID"
            what = f"{call.path} {kind}, and no_new_privs keeps it from giving anything"
            yield Cause(leaf, what, (Way(leaf, False, Size.WIDER),))


def _set_user_id(settings: CapabilitiesSettings, context: Context, call: SystemCall) -> bool:
    """Whether a program that counts on being set-user-ID root was denied what only root may do."""
    if not settings.no_new_privileges or not call.caller.executable or _reaching(context, call) == ROOT:
        return False
    seen = outside.look(context, call.caller.executable)
    return (
        seen is not None and bool(seen.mode & stat.S_ISUID) and any(item.capability in _IDS for item in fitting(call))
    )


def _file_capabilities(seen: Seen, context: Context) -> tuple[frozenset[str], bool]:
    """The permitted capabilities of a file, and whether it starts with them in effect; none where they belong to another
    user namespace."""
    try:
        found = executable.capabilities(os.getxattr(seen.place, executable.ATTRIBUTE, follow_symlinks=False))
    except OSError:
        found = None
    maps = id_maps(context)
    owners = (0, None if maps is None else maps.outside(0))  # the host's root is that of every namespace's parent
    if found is None or found.owner not in owners:
        return frozenset(), False
    return mask_names(found.permitted), found.effective
