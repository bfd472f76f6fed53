"""A system call that failed, and what a mechanism says of it: whether it is the reason, and what would permit it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from enum import IntEnum, StrEnum
from typing import Any

from hardening.base.linux import abi
from hardening.base.values import frozen


@frozen
class Caller:
    """The process that made a call, as it was then. ``pid`` is the host's, ``command`` its name (comm), ``executable`` the
    path inside; ``uid`` and ``gid`` are the ones that file systems look at, as the host sees them; ``capabilities`` are the
    effective ones, without ``CAP_``; ``filters`` is how many filters of system calls it has (proc_pid_status(5));
    ``is_confined`` where it, or who made it, has confined itself (landlock(7))."""

    pid: int
    command: str = ""
    executable: str = ""
    uid: int = 0
    gid: int = 0
    capabilities: frozenset[str] = frozenset()
    filters: int = 0
    is_confined: bool = False


#: The errnos by which the kernel says that somebody may not (errno(3)).
DENIALS = (errno.EPERM, errno.EACCES)
#: Those by which it says that there is no such file.
MISSING = (errno.ENOENT, errno.ENOTDIR)
READ, WRITE, EXECUTE = 4, 2, 1


@frozen
class Seen:
    """A file inside, by its ``place`` on the host, or inside where the host has none; its owners as the host's kernel takes
    them for the command, and its mode. ``has_list``: a list of access control decides beside the mode (acl(5))."""

    place: str
    uid: int
    gid: int
    mode: int
    has_list: bool = False

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return stat.S_ISDIR(self.mode)

    def lets_root(self, right: int) -> bool:
        """Whether root, with its capabilities, has a right whatever the mode says: not to execute a file that nobody may
        (capabilities(7), CAP_DAC_OVERRIDE)."""
        return right != EXECUTE or self.is_directory or bool(self.mode & 0o111)

    def denies(self, right: int, caller: Caller, groups: frozenset[int]) -> bool:
        """Whether its mode denies a caller one of these rights."""
        whose = 6 if self.uid == caller.uid else 3 if self.gid in groups | {caller.gid} else 0
        return self.mode >> whose & right != right


@frozen
class SystemCall:
    """One system call of a command, with its result; or, without a ``name``, what became of a process otherwise: a file that
    it had mapped at ``path`` has found no room (SIGBUS), or it has not ended with 0 (`is_end`).

    - ``name``, ``number``, ``architecture``: the call, and the ``AUDIT_ARCH_*`` token of who made it; ``arguments`` are six
      unsigned 64-bit numbers. ``any_arguments``: nobody knows them, and what is denied of it is denied whatever they are.
    - ``error``: the errno that the kernel answered, 0 for success; ``signal``: what ended the process, in the call (SIGSYS).
    - ``path``: the absolute path inside that it was about, links as they stand; ``target``: the second one, of a rename, a
      link or a mount (what is mounted). Empty without.
    - ``way``: of a call that was denied the files on the way to ``path``, the root first and ``path`` last, as they were
      then, as far as they could be looked at and no link was met.
    - ``access``: what was wanted of ``path``: ``read``, ``write``, ``create``, ``remove``, ``execute``, ``search``,
      ``mount``, ``change`` (of mode, owner, times, attributes).
    - ``address``: the socket's: ``tcp 0.0.0.0:80``, ``udp [::1]:53``, ``unix /run/x.sock``, ``unix @abstract``,
      ``netlink route``; for socket(2) the family, such as ``inet``. ``request``: the type of the message to which the
      kernel has answered through that socket (netlink(7)), 0 without one.
    - ``ids``: the user or group ids that it wanted, as they are inside; ``capabilities`` those that it wanted to have
      (capset(2)), without ``CAP_``.
    - ``limit``: the soft and the hard limit that it was to set (setrlimit(2)); empty for none.
    - ``attribute``: the name of the extended attribute that it was about (xattr(7)); ``namespaces``: the ``CLONE_NEW*``
      flags that it gave in memory (clone3(2)).
    - ``text``: the operation in words. ``caller``: who asked. ``output``: what the process wrote next to standard error, or
      to where it names the error; where it ended, what it wrote last.
    - ``words``: of an end, what the process was executed with (argv).
    - ``order``: its place among all that the trace saw.
    """

    name: str
    number: int
    architecture: int
    arguments: tuple[int, ...]
    caller: Caller
    error: int = 0
    signal: int = 0
    path: str = ""
    target: str = ""
    way: tuple[Seen, ...] = ()
    access: frozenset[str] = frozenset()
    address: str = ""
    request: int = 0
    ids: tuple[int, ...] = ()
    capabilities: frozenset[str] = frozenset()
    limit: tuple[int, ...] = ()
    attribute: str = ""
    namespaces: int = 0
    text: str = ""
    output: str = ""
    words: tuple[str, ...] = ()
    order: int = 0
    any_arguments: bool = False

    @property
    def outcome(self) -> str:
        """The answer, as people know it: ``EPERM``, ``SIGSYS``, or empty where the call succeeded."""
        if self.signal:
            import signal  # which a launch does without

            return next((one.name for one in signal.Signals if one == self.signal), str(self.signal))
        return errno.errorcode.get(self.error, str(self.error)) if self.error else ""

    @property
    def new_namespaces(self) -> int:
        """The ``CLONE_NEW*`` flags of the namespaces that it was to make (clone(2), unshare(2))."""
        known = {"unshare": abi.UNSHARE_NAMESPACES, "clone": abi.CLONE_NAMESPACES}.get(self.name)
        return self.arguments[0] & known if known else self.namespaces

    @property
    def is_end(self) -> bool:
        """Whether it is no call, but the end of a process."""
        return not (self.name or self.path)

    @property
    def is_question(self) -> bool:
        """Whether nobody has made it: what would be denied of it is asked, and without an ``error`` with whichever."""
        return not self.caller.pid

    def failed_with(self, *errors: int) -> bool:
        """Whether it was answered one of these, or is a question that nothing has answered."""
        return self.error in errors or (self.is_question and not self.outcome)

    @property
    def message(self) -> str:
        """What programs print of the errno: ``Operation not permitted`` (strerror(3)); empty without one."""
        return os.strerror(self.error) if self.error else ""


class Size(IntEnum):
    """How much a way past a denial loosens: smaller ones are tried and offered first."""

    ANSWER = 0  # another errno, which the program falls back from
    PLACE = 1  # another path, user or port: nothing more is permitted
    CALL = 2  # a system call, with these arguments where they can be told apart; one path; one limit
    CAPABILITY = 3
    WIDER = 4  # a whole namespace, a whole mechanism's restriction


@frozen(eq=False)
class Way:
    """One way past a denial: the full name of a leaf, and its new value, None for the leaf's smallest loosening. With
    ``reaches_host`` a run may change what is the host's and stays (another's process, an object of System V, a disk), so
    that it is offered, and tried where somebody has asked for that alone. ``also`` are the further ones without which it is
    of no use: the kernel looks at all of them at once. With ``spares_call`` it is for a command that does without the call
    then: one that still makes it is answered, and does not get what it wanted."""

    leaf: str
    value: Any = None
    size: Size = Size.CALL
    reaches_host: bool = False
    spares_call: bool = False
    also: tuple[Way, ...] = ()


class PathAccess(StrEnum):
    """What is asked of a path inside."""

    SEEN = "seen"
    READABLE = "readable"
    WRITABLE = "writable"
    EXECUTABLE = "executable"


@frozen(eq=False)
class PathAnswer:
    """What becomes of a path inside: what is ``asked``, the full name of the ``leaf`` that decides it, and ``how`` it can be
    had, or why it is ``denied``. ``ways`` would permit it, the smallest first. ``errors`` are what the kernel answers where
    the leaf denies it; none where nothing is denied, or the host or what is at the path does it, and no setting."""

    asked: PathAccess
    leaf: str
    how: str = ""
    denied: str = ""
    ways: Sequence[Way] = ()
    errors: Sequence[int] = ()


@frozen(eq=False)
class Cause:
    """Why a mechanism takes itself for the reason of a failure.

    ``leaf`` is the full name of what decides, ``what`` says it in words (``seccomp answers EPERM to ptrace``). ``ways``
    permit it, the smallest first; without any, ``advice`` says what can be done instead, or that nothing can. ``certain``
    says that the kernel's answer follows from the setting alone, as with a filter that was evaluated for these arguments;
    else only a trial shows it. ``fallback`` are the system calls that programs make after this answer, none where they do
    without any; None where it leaves them nothing to do. ``equivalent`` are those that do the same: another version of a
    library makes one of them in the place of the one that failed. ``regardless`` says that the kernel answers whoever
    launches the command the same without a stack.
    """

    leaf: str
    what: str
    ways: Sequence[Way] = ()
    advice: str = ""
    certain: bool = False
    fallback: frozenset[str] | None = None
    equivalent: frozenset[str] = frozenset()
    regardless: bool = False


@frozen
class FileRights:
    """What a file lends to whoever executes it (capabilities(7), execve(2)). ``path`` is that of the file inside.
    ``capabilities`` are those it permits, by number, and ``effective`` says that a program has them at once, without asking;
    ``set_id`` that it has a set-user-ID or set-group-ID bit."""

    path: str
    capabilities: frozenset[int] = frozenset()
    effective: bool = False
    set_id: bool = False
