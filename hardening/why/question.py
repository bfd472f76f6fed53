"""What a stack's command may do, asked without running it (``hardening why PATH|SYSCALL|CAP|HOST:PORT``).

A question is a system call that nobody has made: each mechanism says what it would deny of it, as of one that failed.
"""

from __future__ import annotations

import errno
import functools
import ipaddress
import operator
import re
import socket
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import attrs

from hardening.assemble.pipeline import examine
from hardening.base.values import frozen
from hardening.compose.composition import Composition
from hardening.compose.fold import Resolved
from hardening.errors import UsageError
from hardening.mechanism import outside
from hardening.mechanism.denial import Cause, PathAnswer, SystemCall
from hardening.mechanism.mechanism import Context, Mechanism
from hardening.trace import calls, words
from hardening.why import loosen, together
from hardening.why.attempt import Attempt
from hardening.why.loosening import Loosening

#: Of a call that nothing denies.
PERMITTED = "yes, as far as the stack goes"
ARGUMENTS = 6
#: What is asked of a call: what would deny it, and why the kernel would answer so; an errno has several reasons, and who
#: takes one for his own does so by the errno.
_OUTCOMES = (0, errno.EPERM, errno.EACCES)
_CALL = re.compile(r"(?P<name>[a-z0-9_]+)\((?P<arguments>[^()]*)\)")
_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:/()\[\]\s]*):(?P<port>[0-9]{1,5})(?:/(?P<kind>tcp|udp))?")
_TYPES = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
_LAST_PORT = 65535
#: What who asks a server for an address calls beside socket and connect, with the arguments that tell it from other uses:
#: without the errors of its socket (IP_RECVERR of ip(7)) the C library does not ask.
_LOOKUP = (("setsockopt", (0, socket.IPPROTO_IP, 11)), ("sendto", ()), ("sendmmsg", ()), ("recvfrom", ()))


@frozen(eq=False)
class Answered:
    """One line of an answer: what was ``asked``, ``how`` it can be had or why it is ``denied``, the leaf that decides it,
    None where none does, what would permit it, and what can be done instead."""

    asked: str
    how: str = ""
    denied: str = ""
    entry: Resolved | None = None
    loosening: Loosening | None = None
    advice: str = ""

    @property
    def answer(self) -> str:
        """In words."""
        return f"no: {self.denied}" if self.denied else self.how


@frozen(eq=False)
class Endpoint:
    """``HOST:PORT``, or ``:PORT`` for every host, with ``/tcp`` or ``/udp``: its ``text``, and what that says."""

    text: str
    host: str
    port: int
    kind: str

    @property
    def where(self) -> str:
        """The host and the port."""
        return f"{self.host}:{self.port}"

    @property
    def is_wide(self) -> bool:
        """Whether it is of IPv6."""
        return self.host.startswith("[")

    @property
    def address(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        """The address that the host is; None for a name."""
        with suppress(ValueError):
            return ipaddress.ip_address(self.host.strip("[]"))
        return None


def of_path(tried: Attempt, context: Context, path: str) -> Iterator[Answered]:
    """What becomes of an absolute path inside, and what would permit the rest."""
    for mechanism, found in path_answers(tried.composition, context, path):
        entry = next(iter(tried.composition.meant(found.leaf)), None)
        yield Answered(found.asked, found.how, found.denied, entry, loosen.of_path(tried, mechanism, path, found))


def of_calls(tried: Attempt, context: Context, asked: Iterable[SystemCall], without: str = "") -> Iterator[Answered]:
    """What each mechanism, ``without`` one, would deny of calls, each leaf once, what is certain first; a line for a call
    that none denies. What is denied with all that is offered at once stands in the place of what is of no use beside the
    rest, as a capability in a user namespace is over the host's network."""
    asked = tuple(asked)
    found = [*_of_calls(tried, context, asked, without)]
    offered = {leaf: way for _, leaf, item in found if (way := item.loosening) is not None and not way.barrier}
    after = together.composed(tried, [*offered.values()]) if len(offered) > 1 else None
    if isinstance(after, Composition):
        again, within = attrs.evolve(tried, composition=after), examine(after, tried.host)
        told = {leaf for _, leaf, _ in found} - offered.keys()
        left = [one for one in _of_calls(again, within, asked, without) if one[2].denied and one[1] not in told]
        useless = {(mechanism, item.asked) for mechanism, _, item in left}
        found = [one for one in found if (one[0], one[2].asked) not in useless] + left
    yield from (item for _, _, item in found)


def _of_calls(
    tried: Attempt, context: Context, asked: Iterable[SystemCall], without: str
) -> Iterator[tuple[str, str, Answered]]:
    """The same for calls each by itself, with the mechanism and the leaf that it names."""
    told: set[str] = set()
    for call in asked:
        found = [*denied(tried.composition, context, call, without)]
        for mechanism, question, cause in sorted(found, key=lambda item: not item[2].certain):
            if cause.leaf not in told:
                told.add(cause.leaf)
                entry = next(iter(tried.composition.meant(cause.leaf)), None)
                way = loosen.of_cause(tried, mechanism, cause, question)
                yield mechanism.name, cause.leaf, Answered(call.text, "", cause.what, entry, way, cause.advice)
        if not found:
            yield "", "", Answered(call.text, PERMITTED)


def of_capability(tried: Attempt, context: Context, mechanism: Mechanism[Any], entry: Resolved) -> Loosening | None:
    """What would give the command, as whoever it runs, a capability; None for another leaf, and where nothing does."""
    wanted = having(entry.leaf.member, context, "")
    for cause in mechanism.denied(tried.composition.settings[mechanism.name], context, wanted):
        if cause.leaf == str(entry.leaf):
            return loosen.of_cause(tried, mechanism, cause, wanted)
    return None


def denied(
    composition: Composition, context: Context, call: SystemCall, without: str = ""
) -> Iterator[tuple[Mechanism[Any], SystemCall, Cause]]:
    """The causes of each mechanism, ``without`` one, for each outcome that a call may have."""
    for mechanism in composition.mechanisms:
        for error in _OUTCOMES if mechanism.name != without else ():
            question = attrs.evolve(call, error=error)
            for cause in mechanism.denied(composition.settings[mechanism.name], context, question):
                yield mechanism, question, cause


def path_answers(composition: Composition, context: Context, path: str) -> Iterator[tuple[Mechanism[Any], PathAnswer]]:
    """What each mechanism answers of an absolute path inside."""
    for mechanism in composition.mechanisms:
        for answer in mechanism.of_path(composition.settings[mechanism.name], context, path):
            yield mechanism, answer


def names() -> Collection[str]:
    """The system calls of this machine."""
    return calls.names(calls.own())


def name_of(word: str) -> str:
    """The name of a system call by its number; any other word stands for itself."""
    return calls.name(calls.own(), int(word)) if word.isascii() and word.isdecimal() else word


def having(capability: str, context: Context, text: str) -> SystemCall:
    """A call that takes a capability, by its name without ``CAP_``, and is refused (capset(2))."""
    call = made("capset", (), context, text)
    return attrs.evolve(call, capabilities=frozenset({capability}), error=errno.EPERM)


def calls_of(text: str, context: Context) -> Mapping[str, Sequence[SystemCall]]:
    """The calls that a question stands for: ``NAME(ARGUMENT, ...)``, or those of a program for ``HOST:PORT``, by what it is
    that they are for, in words; none for another question. Raises `UsageError`."""
    match = _CALL.fullmatch(text)
    if match is not None:
        return {text: (made(match["name"], _numbers(text, match["arguments"]), context, text),)}
    found = endpoint(text)
    return _uses(found, context) if found is not None else {}


def made(name: str, arguments: Iterable[int], context: Context, text: str, address: str = "") -> SystemCall:
    """A call of this machine's own architecture that nobody has made; arguments that are left out are 0. Raises `UsageError`
    where it has none of that name."""
    number = calls.number(name)
    if number is None:
        raise UsageError(f"this machine has no system call {name}", hint="ask about the one that it has instead")
    given = (*arguments, *(0,) * ARGUMENTS)[:ARGUMENTS]
    return SystemCall(name, number, calls.own(), given, outside.command(context), text=text, address=address)


def _numbers(text: str, arguments: str) -> list[int]:
    """Arguments as C and Python write them, also by the names that denials are told with (``CLONE_NEWUSER|CLONE_NEWNET``),
    as the kernel sees them: 64 bits wide."""
    said = [part.strip() for part in arguments.split(",")] if arguments.strip() else []
    if len(said) > ARGUMENTS:
        raise UsageError(f"a system call has at most {ARGUMENTS} arguments", origin=text, hint="name fewer")
    try:
        return [_number(word) & (1 << 64) - 1 for word in said]
    except ValueError:
        hint = "write such as 21522, 0x5412, -1 or CLONE_NEWUSER|CLONE_NEWNET"
        raise UsageError(f"{text}: arguments are numbers, or names of some", hint=hint) from None


def _number(word: str) -> int:
    """Names and numbers that are joined by ``|``. Raises `ValueError`."""
    parts = [part.strip() for part in word.split("|")]
    return functools.reduce(
        operator.or_, (words.NUMBERS[part] if part in words.NUMBERS else int(part, 0) for part in parts)
    )


def endpoint(text: str) -> Endpoint | None:
    """What ``HOST:PORT`` names; None for another text. Raises `UsageError` for a port that there is not."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        return None
    if not 0 < int(match["port"]) <= _LAST_PORT:
        raise UsageError(f"{text}: there is no such port", hint=f"ports are numbers from 1 to {_LAST_PORT}")
    host = match["host"].replace("*", "") or "0.0.0.0"  # noqa: S104
    return Endpoint(text, host, int(match["port"]), match["kind"] or "tcp")


def _uses(found: Endpoint, context: Context) -> Mapping[str, Sequence[SystemCall]]:
    """The calls of a service where the host is left out, or stands for all of them; those of a client; for the loopback
    device those of either, which few programs are both of."""
    address = found.address
    if found.host == "localhost" or (address is not None and address.is_loopback):
        where = found.where
        return {
            f"a service at {where}": service(found, context),
            f"a client of {where}": client(found, context),
        }
    serves = address is not None and address.is_unspecified
    return {found.text: (service if serves else client)(found, context)}


def service(found: Endpoint, context: Context) -> Sequence[SystemCall]:
    """The calls of who serves there, with what most programs do not go on without."""
    where, asked = found.where, partial(_at, found, context)
    calls = [_opened(found, context)]
    calls.append(made("setsockopt", (0, socket.SOL_SOCKET, socket.SO_REUSEADDR), context, f"take {where} again"))
    calls.append(asked("bind", f"bind {where}"))
    if found.kind == "tcp":
        calls += [asked("listen", f"listen on {where}"), asked("accept4", f"be reached at {where}")]
    calls += [made("getsockname", (), context, "know its own address"), asked("recvfrom", f"receive at {where}")]
    return [*calls, made("sendto", (), context, f"answer from {where}")]


def client(found: Endpoint, context: Context) -> Sequence[SystemCall]:
    """The calls of who connects there, with what most programs do not go on without."""
    where = found.where
    calls = [_opened(found, context), _at(found, context, "connect", f"connect to {where}")]
    calls.append(made("getsockopt", (0, socket.SOL_SOCKET, socket.SO_ERROR), context, "see whether it is connected"))
    calls.append(made("getsockname", (), context, "know its own address"))
    calls += [made("sendto", (), context, f"send to {where}"), made("recvfrom", (), context, f"receive from {where}")]
    return (
        calls if found.address is not None or found.host == "localhost" else [*calls, *_of_lookup(found.host, context)]
    )


def _opened(found: Endpoint, context: Context) -> SystemCall:
    family = socket.AF_INET6 if found.is_wide else socket.AF_INET
    return made("socket", (family, _TYPES[found.kind]), context, f"open a {found.kind} socket", "inet")


def _at(found: Endpoint, context: Context, name: str, words: str) -> SystemCall:
    return made(name, (), context, words, f"{found.kind} {found.where}")


def _of_lookup(host: str, context: Context) -> Iterator[SystemCall]:
    """The calls of the C library that asks a server for the address of a name (getaddrinfo(3))."""
    text = f"look up {host}"
    yield made("socket", (socket.AF_INET, socket.SOCK_DGRAM), context, text, "inet")
    yield made("connect", (), context, text, "udp port 53")
    for name, arguments in _LOOKUP:
        yield made(name, arguments, context, f"{text} ({name})")
