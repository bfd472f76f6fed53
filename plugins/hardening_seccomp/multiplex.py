"""System calls that carry others: socketcall(2) and ipc(2) of some architectures.

Their first argument says which call is meant, and the arguments of that call are in memory, where no filter sees them. So
one of them may run only where everything that it can carry may. libseccomp would open each carried call behind them by
its number alone; an answer to the carrier itself, without conditions, goes before that in every version of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from types import MappingProxyType

import attrs

from hardening.base.linux.libseccomp import Libseccomp
from hardening_seccomp.actions import ENOSYS, EPERM, Action, ActionKind, stricter
from hardening_seccomp.conditions import Comparison, ConditionEntry, Op, Rule, rule_of
from hardening_seccomp.diagrams import constant
from hardening_seccomp.filters import Filter
from hardening_seccomp.oci import strictest

#: linux/net.h and linux/ipc.h.
CARRIED = MappingProxyType(
    {
        "socketcall": (
            *("socket", "bind", "connect", "listen", "accept", "getsockname", "getpeername", "socketpair", "send"),
            *("recv", "sendto", "recvfrom", "shutdown", "setsockopt", "getsockopt", "sendmsg", "recvmsg", "accept4"),
            *("recvmmsg", "sendmmsg"),
        ),
        "ipc": (
            *("semop", "semget", "semctl", "semtimedop", "msgsnd", "msgrcv", "msgget", "msgctl", "shmat", "shmdt"),
            *("shmget", "shmctl"),
        ),
    }
)
_NUMBERS = MappingProxyType({"socketcall": range(1, 21), "ipc": (*range(1, 5), *range(11, 15), *range(21, 25))})


def carriers(model: Filter, library: Libseccomp) -> Sequence[str]:
    """The carriers that some architecture of the filter has."""
    tokens = [library.architecture(name) for name in model.architectures]
    return [name for name in CARRIED if any(token is not None and library.has(token, name) for token in tokens)]


def carrier_of(name: str) -> str | None:
    """The call that carries this one on some architectures."""
    return next((carrier for carrier, carried in CARRIED.items() if name in carried), None)


def culprits(model: Filter, carrier: str) -> Sequence[str]:
    """The carried calls that do not run, or not with all arguments."""
    return [name for name in CARRIED[carrier] if not _is_free(model.rule(name))]


def guard(model: Filter, library: Libseccomp) -> Filter:
    """The filter with an answer to each carrier that permits nothing beyond the rules of the calls behind it.

    A denied one gets an errno, or a way to be killed, that is not the default action: libseccomp has no rules that equal
    it, and would open single calls then.
    """
    answers = {name: _answer(model, name) for name in carriers(model, library)}
    return attrs.evolve(model, rules={**model.rules, **answers})


def _is_free(rule: Rule) -> bool:
    return rule.is_constant and not rule.leaves[0].is_no_looser_than(EPERM)


def _answer(model: Filter, carrier: str) -> Rule:
    rules = [model.rule(name) for name in CARRIED[carrier]]
    hardest = reduce(stricter, map(strictest, rules))
    if culprits(model, carrier) and hardest.kind <= ActionKind.ERRNO:
        hardest = ENOSYS  # not the errno of one call among many
    wanted = stricter(hardest, strictest(model.rule(carrier)))
    if wanted != model.default or all(rule == constant(wanted) for rule in rules):
        return constant(wanted)
    if not wanted.is_no_looser_than(EPERM):
        return _each(model, carrier)
    return constant(_other_denial(wanted))


def _each(model: Filter, carrier: str) -> Rule:
    """Where all of it runs and only what the kernel notes differs, each call as by its own number, as libseccomp has it."""
    listed = zip(_NUMBERS[carrier], CARRIED[carrier], strict=True)
    cases = [ConditionEntry(strictest(model.rule(name)), (Comparison(0, Op.EQ, number),)) for number, name in listed]
    return rule_of(cases, model.default)


def _other_denial(default: Action) -> Action:
    """A denial that is not the default action, and as strict where there is one."""
    if default.kind is ActionKind.KILL_PROCESS:
        return Action(ActionKind.KILL_THREAD)
    if default.kind > ActionKind.ERRNO:
        return Action(ActionKind(default.kind + 1))
    return EPERM if default == ENOSYS else ENOSYS
