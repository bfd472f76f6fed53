"""What an assertion is about: an operation in words, the system calls that it stands for, and a program that tries it.

| words | operation |
| --- | --- |
| ``read PATH``, ``write PATH``, ``execute PATH``, ``see PATH`` | of an absolute path inside |
| ``bind HOST:PORT``, ``bind :PORT``, ``connect HOST:PORT`` | a service, or a client, over TCP or, with ``/udp``, UDP |
| ``CAP_NAME`` | having a capability in effect |
| ``NAME``, ``NAME(ARGUMENT, ...)`` | a system call; arguments that are left out are 0 |
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

from hardening.base.linux import abi
from hardening.base.text import nearest
from hardening.base.values import frozen
from hardening.compose.composition import Composition
from hardening.errors import ProfileError, UsageError
from hardening.mechanism.denial import PathAccess, PathAnswer, SystemCall
from hardening.mechanism.evidence import Witness, call_attempt, may_be_made
from hardening.mechanism.mechanism import Context, Mechanism
from hardening.mechanism.schema import WILDCARD, Family
from hardening.profile.source import Origin
from hardening.why import question

#: What is asked of a path -> how mechanisms answer it (`PathAnswer.asked`).
_OF_PATHS = MappingProxyType(dict(zip(("see", "read", "write", "execute"), PathAccess, strict=True)))
_OF_ADDRESSES = ("bind", "connect")
_CAPABILITY = re.compile(r"CAP_[A-Z_]+")

#: What is hidden is there, and empty.
_READ = """\
if os.path.isdir({path!r}):
    if not os.listdir({path!r}):
        raise FileNotFoundError(2, "there is nothing in it")
else:
    file = os.open({path!r}, os.O_RDONLY | os.O_NONBLOCK)
    if os.fstat(file).st_rdev == os.stat("/dev/null").st_rdev and {path!r} != "/dev/null":
        raise PermissionError(13, "an empty file is in its place")"""
_WRITE = """\
import tempfile
if os.path.isdir({path!r}):
    tempfile.TemporaryFile(dir={path!r}).close()
else:
    os.close(os.open({path!r}, os.O_WRONLY | os.O_NONBLOCK))"""
#: Of a directory: whether a file in it can be executed, one of its own where there is none. The kernel only looks, since
#: Linux 6.14 (AT_EXECVE_CHECK of execveat(2)); before it said less.
_EXECUTE = """\
import ctypes, tempfile
libc = ctypes.CDLL(None, use_errno=True)
path, made = {path!r}, None
if os.path.isdir(path):
    there = [one.path for one in os.scandir(path) if one.is_file() and one.stat().st_mode & 0o111]
    made = None if there else tempfile.NamedTemporaryFile(dir=path)
    made and os.fchmod(made.fileno(), 0o700)
    path = made.name if made else there[0]
words = (ctypes.c_char_p * 2)(path.encode(), None)
if libc.execveat(-100, path.encode(), words, words, 0x10000) and ctypes.get_errno() in (1, 22, 38):
    ctypes.set_errno(0), libc.faccessat(-100, path.encode(), os.X_OK, 0)
if ctypes.get_errno():
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)"""
_SOCKET = """\
import socket
one = socket.socket(socket.{family}, socket.{kind})
one.settimeout(2)
try:
    one.{verb}(({host!r}, {port}))
    {then}
except (ConnectionRefusedError, TimeoutError):
    pass"""
_HAS_CAPABILITY = """\
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
if libc.capget(header, sets):
    sys.exit(f"capget: {{os.strerror(ctypes.get_errno())}}")
if not sets[{word} * 3] & {bit}:
    raise PermissionError(1, "it is not in effect")"""


@frozen(eq=False)
class OperationDenial:
    """Who denies an operation: a ``mechanism`` by its ``leaf``, both empty where it is not the stack; ``why`` in words, and
    the ``errors`` that the kernel answers then, where they are known."""

    mechanism: str
    leaf: str
    why: str
    errors: tuple[int, ...] = ()


@frozen(eq=False)
class AssertedOperation:
    """One operation. ``calls`` are what a program makes for it, none of a path; ``path`` is that and how mechanisms answer
    it; ``attempt`` is Python that tries it (`Witness`), empty where no program can; ``leaves`` decide it, as far as they
    have its name, and with ``is_state`` nobody but whose they are: it is about what a process has, and not about a call."""

    asked: str
    calls: tuple[SystemCall, ...] = ()
    path: tuple[str, PathAccess] | None = None
    attempt: str = ""
    leaves: tuple[str, ...] = ()
    is_state: bool = False

    @property
    def writes(self) -> bool:
        """Whether the program may leave something in a volume."""
        return self.path is not None and self.path[1] in (PathAccess.WRITABLE, PathAccess.EXECUTABLE)

    @property
    def witness(self) -> Witness:
        """The program that tries it."""
        return Witness(self.asked, self.attempt)

    def denials(self, composition: Composition, context: Context) -> Iterator[OperationDenial]:
        """Who denies it under a composition, each leaf once; nobody where it is permitted."""
        told: set[str] = set()
        found = self._of_path if self.path is not None else self._of_calls
        for denial in found(composition, context):
            if denial.leaf not in told:
                told.add(denial.leaf)
                yield denial

    def _of_path(self, composition: Composition, context: Context) -> Iterator[OperationDenial]:
        for mechanism, answer in self._answers(composition, context):
            if answer.denied:
                by_stack = mechanism.name if answer.errors else ""
                yield OperationDenial(by_stack, answer.leaf if by_stack else "", answer.denied, tuple(answer.errors))

    def _answers(self, composition: Composition, context: Context) -> Iterator[tuple[Mechanism[Any], PathAnswer]]:
        """What mechanisms make of the path, as far as it matters here; nothing where it is about none."""
        path, wanted = self.path or ("", None)
        for mechanism, answer in question.path_answers(composition, context, path) if path else ():
            if answer.asked in (PathAccess.SEEN, wanted):
                yield mechanism, answer

    def _of_calls(self, composition: Composition, context: Context) -> Iterator[OperationDenial]:
        owners = {leaf.partition(".")[0] for leaf in self.leaves}
        for call in self.calls:
            for mechanism, asked, cause in question.denied(composition, context, call):
                if self.is_state and mechanism.name not in owners:
                    continue
                # Where something permits it a run has to show that; else the kernel's own answer does.
                errors = (asked.error,) if asked.error and not cause.ways else ()
                yield OperationDenial(mechanism.name, cause.leaf, cause.what, errors)

    def touched(self, composition: Composition, context: Context) -> Iterator[str]:
        """The full names of the leaves that decide it, permitted or not, as far as they are told."""
        yield from self.leaves
        yield from (answer.leaf for _, answer in self._answers(composition, context))
        yield from (denial.leaf for denial in self._of_calls(composition, context))


def read(text: str, composition: Composition, context: Context, origin: Origin) -> AssertedOperation:
    """The operation that some words say. Raises `ProfileError` at their ``origin``."""
    text = text.strip()
    verb, rest = _split(text)
    try:
        if verb in _OF_PATHS and rest:
            return _of_path(verb, rest, text)
        if verb in _OF_ADDRESSES and rest:
            return _of_address(verb, rest, text, composition, context)
        if _CAPABILITY.fullmatch(text):
            return _of_capability(text, composition, context)
        return _of_call(text, composition, context)
    except UsageError as error:
        raise ProfileError(error.message, origin=origin, hint=error.hint) from None


def _split(text: str) -> tuple[str, str]:
    verb, _, rest = text.partition(" ")
    return verb, rest.strip()


def _of_path(verb: str, path: str, text: str) -> AssertedOperation:
    if not path.startswith("/"):
        raise UsageError(f"no absolute path: {text}", hint=f'write "{verb} {posixpath.normpath(f"/{path}")}"')
    path = posixpath.normpath(path)
    attempt = {"see": "os.lstat({path!r})", "read": _READ, "write": _WRITE, "execute": _EXECUTE}[verb]
    return AssertedOperation(text, path=(path, _OF_PATHS[verb]), attempt=attempt.format(path=path))


def _of_address(verb: str, address: str, text: str, composition: Composition, context: Context) -> AssertedOperation:
    found = question.endpoint(address)
    if found is None:
        meant = f":{address}" if address.isdecimal() else "127.0.0.1:8080"
        raise UsageError(f"no address: {text}", hint=f'write "{verb} {meant}", and /udp behind it for UDP')
    serves = verb == "bind"
    made = question.service(found, context) if serves else question.client(found, context)
    # What a service answers is another thing than whether it may have its port, and to be reached is up to the network.
    calls = [call for call in made if not serves or call.name in ("socket", "bind", "listen")]
    is_tcp = found.kind == "tcp"
    attempt = _SOCKET.format(
        family="AF_INET6" if found.is_wide else "AF_INET", kind="SOCK_STREAM" if is_tcp else "SOCK_DGRAM", verb=verb,
        host=found.host.strip("[]"), port=found.port, then="one.listen()" if serves and is_tcp else "pass",
    )  # fmt: skip
    leaves = [leaf for call in calls for leaf in _leaves(call.name, composition)]
    return AssertedOperation(text, tuple(calls), attempt=attempt, leaves=tuple(leaves))


def _of_capability(name: str, composition: Composition, context: Context) -> AssertedOperation:
    if name not in abi.CAPABILITIES:
        hint = nearest(name, abi.CAPABILITIES) or "`man 7 capabilities` lists them"
        raise UsageError(f"no capability: {name}", hint=hint)
    number, member = abi.CAPABILITIES.index(name), name.removeprefix("CAP_")
    call = question.having(member, context, f"have {name}")
    attempt = _HAS_CAPABILITY.format(word=number // 32, bit=hex(1 << number % 32))
    return AssertedOperation(name, (call,), attempt=attempt, leaves=_leaves(member, composition), is_state=True)


def _of_call(text: str, composition: Composition, context: Context) -> AssertedOperation:
    name = text.partition("(")[0]
    if name not in question.names():
        raise UsageError(f"no operation: {text}" if text else "no operation", hint=_meant(text))
    leaves = _leaves(name, composition)
    if text == name and any(
        not entry.kind.is_whole(entry.value) for leaf in leaves for entry in composition.meant(leaf)
    ):
        raise UsageError(
            f"depends on its arguments: {name}",
            hint=f'write them: "{name}(1, 2)", or "{name}()" for arguments that are 0',
        )
    asked = text if text != name else f"{name}()"
    made = question.calls_of(asked, context)
    if not made:
        raise UsageError(f"no system call: {text}", hint=f'write "{name}(1, 2)", with names or numbers')
    (call,) = made[asked]
    attempt = call_attempt(name, call.number, call.arguments) if may_be_made(name, call.arguments) else ""
    return AssertedOperation(text, (call,), attempt=attempt, leaves=leaves)


def _meant(text: str) -> str:
    """What was probably meant by words that are no operation."""
    verb, rest = _split(text)
    verbs, capability = [*_OF_PATHS, *_OF_ADDRESSES], f"CAP_{text.upper().removeprefix('CAP_')}"
    if rest:
        found = nearest(verb.lower(), verbs)
    elif capability in abi.CAPABILITIES:
        found = f'did you mean "{capability}"?'
    else:
        found = nearest(text.partition("(")[0], [*question.names(), *verbs])
    return found or 'write "read /PATH", "write /PATH", "bind :PORT", "CAP_NAME" or a system call, "socket(AF_INET)"'


def may_be_asserted(member: str) -> bool:
    """Whether the name of a leaf that stands in a table by itself, or what all others have, is an operation here."""
    return member == WILDCARD or member in question.names() or f"CAP_{member}" in abi.CAPABILITIES


def _leaves(member: str, composition: Composition) -> tuple[str, ...]:
    """The leaves of a name that stand in a table by themselves."""
    found = (
        str(mechanism.leaf("", member))
        for mechanism in composition.mechanisms
        if isinstance(mechanism.schema.settings.get(""), Family) and mechanism.leaf("", member) in composition.leaves
    )
    return tuple(found)
