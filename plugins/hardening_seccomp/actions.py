"""What a filter answers to a system call, and the order of strictness between answers.

The order is the kernel's own for stacked filters (seccomp(2), "the highest precedence action"), which
opencontainers/runtime-spec#1317 proposes for intersections too.
"""

from __future__ import annotations

import enum
import errno
from typing import TYPE_CHECKING

from hardening.base.text import nearest
from hardening.base.values import frozen
from hardening.errors import ProfileError

if TYPE_CHECKING:
    from hardening.profile.source import Node

RET_ACTION_FULL = 0xFFFF0000
RET_DATA = 0x0000FFFF
SUCCESS = "errno 0 tells the caller that the call succeeded, although it never ran"
MAX_ERRNO = 4095  # include/linux/err.h: the kernel cuts larger values down to this one
MOST_ERRNO = MAX_ERRNO - 1  # that libseccomp takes, and with it every runtime
_DIGITS = 10  # no number here has more


class ActionKind(enum.IntEnum):
    """The kinds of answer; a greater number is stricter."""

    ALLOW = 0
    LOG = 1
    TRACE = 2
    NOTIFY = 3
    ERRNO = 4
    TRAP = 5
    KILL_THREAD = 6
    KILL_PROCESS = 7


_WORDS = {
    ActionKind.ALLOW: "allow",
    ActionKind.LOG: "log",
    ActionKind.TRACE: "trace",
    ActionKind.NOTIFY: "notify",
    ActionKind.ERRNO: "errno",
    ActionKind.TRAP: "trap",
    ActionKind.KILL_THREAD: "kill-thread",
    ActionKind.KILL_PROCESS: "kill-process",
}
_RETURNS = {
    ActionKind.ALLOW: 0x7FFF0000,
    ActionKind.LOG: 0x7FFC0000,
    ActionKind.TRACE: 0x7FF00000,
    ActionKind.NOTIFY: 0x7FC00000,
    ActionKind.ERRNO: 0x00050000,
    ActionKind.TRAP: 0x00030000,
    ActionKind.KILL_THREAD: 0x00000000,
    ActionKind.KILL_PROCESS: 0x80000000,
}
_KINDS_BY_RETURN = {value: kind for kind, value in _RETURNS.items()}
_KINDS_BY_WORD = {word: kind for kind, word in _WORDS.items() if kind is not ActionKind.NOTIFY}
_WITH_DATA = (ActionKind.ERRNO, ActionKind.TRACE)
_DENY = "deny"
_BY_CALL = -1  # in the place of the errno that `Groups.denial` has for the call


@frozen
class Action:
    """One answer. ``data`` is the errno of ERRNO or the message of TRACE (16 bits), else 0; which errno `DENY` is stands in
    the table of system calls."""

    kind: ActionKind
    data: int = 0

    def is_no_looser_than(self, other: Action) -> bool:
        """Whether this permits no more than ``other``. Two errnos are equally strict."""
        return self.kind >= other.kind

    def __str__(self) -> str:
        if self == DENY:
            return _DENY
        if self.kind is ActionKind.ERRNO:
            return f"errno:{errno.errorcode.get(self.data, str(self.data))}"
        if self.kind is ActionKind.TRACE:
            return f"trace:{self.data}"
        return _WORDS[self.kind]

    @property
    def returned(self) -> int:
        """The 32-bit value that a BPF program returns for this action (linux/seccomp.h). `DENY` has none: its errno is
        looked up before."""
        if self == DENY:
            raise ValueError("no program returns a denial whose errno is not looked up")
        return _RETURNS[self.kind] | self.data


ALLOW = Action(ActionKind.ALLOW)
LOG = Action(ActionKind.LOG)
KILL_PROCESS = Action(ActionKind.KILL_PROCESS)
EPERM = Action(ActionKind.ERRNO, errno.EPERM)
ENOSYS = Action(ActionKind.ERRNO, errno.ENOSYS)
#: The errno that means something to who asks for the call: `hardening_seccomp.groups.Groups.denial`.
DENY = Action(ActionKind.ERRNO, _BY_CALL)


def stricter(earlier: Action, later: Action) -> Action:
    """The stricter of two answers; of two equally strict ones the later, as the kernel does for a later filter."""
    return later if later.kind >= earlier.kind else earlier


def is_denial(action: Action) -> bool:
    """Whether the system call does not run."""
    return action.is_no_looser_than(EPERM)


def is_fatal(action: Action) -> bool:
    """Whether a process that does not expect it ends by the answer (SIGSYS)."""
    return action.kind >= ActionKind.TRAP


def from_returned(value: int) -> Action:
    """The action that the kernel takes for a returned 32-bit value; an unknown one kills the process (seccomp(2))."""
    kind = _KINDS_BY_RETURN.get(value & RET_ACTION_FULL, ActionKind.KILL_PROCESS)
    data = value & RET_DATA if kind in _WITH_DATA else 0
    return Action(kind, min(data, MAX_ERRNO) if kind is ActionKind.ERRNO else data)


def errno_number(text: str) -> int:
    """A number for ``ENOSYS`` or ``38``; `ProfileError` for anything else, and for 0, with which the call would seem to
    succeed although it never ran."""
    number = getattr(errno, text, None) if text.startswith("E") else None
    if number is None and text.isascii() and text.isdigit() and len(text) <= _DIGITS:
        number = int(text)
    if not isinstance(number, int) or not 0 <= number <= MOST_ERRNO:
        near = nearest(text.upper(), errno.errorcode.values())
        hint = near or f"use a name such as EPERM, or a number up to {MOST_ERRNO}"
        raise ProfileError(f"unknown errno {text[:40]!r}", hint=hint)
    if number == 0:
        raise ProfileError(SUCCESS, hint="use a name such as EPERM or ENOSYS")
    return number


def read_action(node: Node) -> Action:
    """The action that a setting names; `ProfileError`, with the setting, where it is none."""
    try:
        return parse_action(node.raw)
    except ProfileError as error:
        raise node.error(error.message, hint=error.hint) from None


def parse_action(text: object) -> Action:
    """Read ``kill-process | kill-thread | trap | deny | errno[:NAME|N] | trace[:N] | log | allow``; else `ProfileError`."""
    if not isinstance(text, str):
        raise ProfileError(f"an action is text, not {type(text).__name__}", hint='write "errno:EPERM"')
    if text == _DENY:
        return DENY
    word, colon, data = text.partition(":")
    kind = _KINDS_BY_WORD.get(word)
    if kind is None or (colon and kind not in _WITH_DATA):
        words = (_DENY, *_KINDS_BY_WORD)
        hint = nearest(word, words) or "one of " + ", ".join(words)
        if text.upper() in errno.errorcode.values():
            hint = f'write "errno:{text.upper()}"'
        if word == "notify":
            hint = "a notify action needs a supervising process, which a profile cannot name"
        raise ProfileError(f"unknown action {text!r}", hint=hint)
    if kind is ActionKind.ERRNO:
        return Action(kind, errno_number(data)) if colon else EPERM
    if kind is ActionKind.TRACE and colon:
        if not (data.isascii() and data.isdigit() and len(data) <= _DIGITS and int(data) <= RET_DATA):
            raise ProfileError(f"trace takes a number up to {RET_DATA}, not {data[:40]!r}")
        return Action(kind, int(data))
    return Action(kind)
