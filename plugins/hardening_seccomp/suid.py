"""``restrict_suid_sgid``: the command gives no file a set-user-ID or set-group-ID bit, nor capabilities.

What it leaves on a volume or in its root is a file of the host, where ``nosuid`` of the container's mount binds nobody: a
program that it marks runs as its owner there, which on an ``idmap`` volume may be the host's root. systemd's
RestrictSUIDSGID= is the model. Calls whose mode lies in memory, where no filter sees it, answer that they do not exist, so
that programs fall back to those whose mode is an argument. mkdir(2) heeds no such bit.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator

import attrs

from hardening_seccomp.actions import ALLOW, ENOSYS, EPERM, Action, ActionKind, is_denial
from hardening_seccomp.conditions import Comparison, ConditionEntry, Op, Rule, fill, join, partial
from hardening_seccomp.diagrams import constant
from hardening_seccomp.filters import Filter, rule_intersect

SETTING = "restrict_suid_sgid"
_BITS = (0o4000, 0o2000)  # S_ISUID and S_ISGID (inode(7))
#: call -> the argument that is a file's mode
_MODES = {"chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2, "creat": 1, "mknod": 1, "mknodat": 2}
#: call -> the arguments that are flags and mode, which is read where the flags make a file
_OPENING = {"open": (1, 2), "openat": (2, 3)}
#: O_CREAT and the own bit of O_TMPFILE, on machines that have the kernel's common numbers (asm-generic/fcntl.h)
_MAKING = (0o100, 0o20000000)
_OTHER_NUMBERS = ("mips", "parisc")
#: Their modes lie in memory: in struct open_how, and in the requests of io_uring.
_HIDDEN = ("openat2", "io_uring_setup")
#: The name of an attribute lies in memory, so with the capability to write security.capability all of them go: to the
#: caller the file system has none.
_ATTRIBUTES = ("setxattr", "lsetxattr", "fsetxattr", "setxattrat")
_NO_ATTRIBUTES = Action(ActionKind.ERRNO, errno.EOPNOTSUPP)


def overruled(model: Filter, *, may_set_capabilities: bool) -> list[str]:
    """The calls that a filter lets run in some case, and that the restriction denies as a whole, but for those that programs
    do without."""
    names = ("io_uring_setup", *(_ATTRIBUTES if may_set_capabilities else ()))
    return [name for name in names if not all(map(is_denial, model.rule(name).leaves))]


def restricted(model: Filter, *, may_set_capabilities: bool) -> Filter:
    """The filter without any way to mark a file so; ``may_set_capabilities`` says whether the command may come to hold
    CAP_SETFCAP."""
    common = not any(name.startswith(_OTHER_NUMBERS) for name in model.architectures)
    rules = dict(_rules(common, may_set_capabilities))
    met = {
        name: rule_intersect(model.rule(name), rule)
        for name, rule in rules.items()
        if not all(map(is_denial, model.rule(name).leaves))
    }
    return attrs.evolve(model, rules={**model.rules, **met})


def _rules(common: bool, may_set_capabilities: bool) -> Iterator[tuple[str, Rule]]:
    for name, mode in _MODES.items():
        yield name, _denied(((), mode))
    for name, (flags, mode) in _OPENING.items():
        making = [(Comparison(flags, Op.MASKED_EQ, bit, bit),) for bit in _MAKING] if common else [()]
        yield name, _denied(*((made, mode) for made in making))
    yield from ((name, constant(ENOSYS)) for name in _HIDDEN)
    if may_set_capabilities:
        yield from ((name, constant(_NO_ATTRIBUTES)) for name in _ATTRIBUTES)


def _denied(*cases: tuple[tuple[Comparison, ...], int]) -> Rule:
    """EPERM where one of the comparisons holds and the argument that is a mode has one of the bits."""
    parts = [
        partial(ConditionEntry(EPERM, (*made, Comparison(mode, Op.MASKED_EQ, bit, bit))))
        for made, mode in cases
        for bit in _BITS
    ]
    return fill(join(parts), ALLOW)
