"""The model of a complete filter, and exact intersection.

A filter answers a system call by its rule, or by the default action where it has none. The intersection of two filters
answers every call, with every argument vector, as the stricter of the two does: what the kernel does when both are
installed (seccomp(2)).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType

import attrs

from hardening.base.values import frozen
from hardening_seccomp.actions import Action, stricter
from hardening_seccomp.conditions import Rule
from hardening_seccomp.diagrams import apply, constant


def rule_is_no_looser_than(a: Rule, b: Rule) -> bool:
    """Whether ``a`` permits no more than ``b`` for any argument vector."""
    if a.is_constant and b.is_constant:
        return a.leaves[0].is_no_looser_than(b.leaves[0])
    return a == b or _compared(a, b)


@lru_cache(maxsize=1024)
def _compared(a: Rule, b: Rule) -> bool:
    return all(apply(lambda x, y: x.is_no_looser_than(y), a, b).leaves)


def rule_intersect(earlier: Rule, later: Rule) -> Rule:
    """The stricter action for every argument vector; of two equally strict ones the later."""
    if earlier.is_constant and later.is_constant:
        return constant(stricter(earlier.leaves[0], later.leaves[0]))
    return later if earlier == later else _met(earlier, later)


@lru_cache(maxsize=1024)
def _met(earlier: Rule, later: Rule) -> Rule:
    return apply(stricter, earlier, later)


def _frozen_rules(rules: Mapping[str, Rule]) -> Mapping[str, Rule]:
    return MappingProxyType(dict(sorted(rules.items())))


@frozen
class Filter:
    """``rules`` by system call name; ``architectures`` as libseccomp names them (``x86_64``); ``flags`` as `FLAGS` does.

    A system call of another architecture kills the process.
    """

    default: Action
    rules: Mapping[str, Rule] = attrs.field(converter=_frozen_rules, factory=dict, hash=False)
    architectures: frozenset[str] = frozenset()
    flags: frozenset[str] = frozenset()

    def rule(self, name: str) -> Rule:
        """What happens to a system call."""
        return self.rules.get(name) or constant(self.default)

    def normal(self) -> Filter:
        """The same filter without the rules that only repeat the default."""
        default = constant(self.default)
        return attrs.evolve(self, rules={name: rule for name, rule in self.rules.items() if rule != default})


def intersect(earlier: Filter, later: Filter) -> Filter:
    """The exact intersection. ``log`` is kept if either has it, ``spec-allow`` only if both have it."""
    names = {**earlier.rules, **later.rules}
    rules = {name: rule_intersect(earlier.rule(name), later.rule(name)) for name in names}
    either = frozenset({"log"}) & (earlier.flags | later.flags)
    return Filter(
        default=stricter(earlier.default, later.default),
        rules=rules,
        architectures=earlier.architectures & later.architectures,
        flags=either | (earlier.flags & later.flags),
    ).normal()


def is_no_looser_than(a: Filter, b: Filter) -> bool:
    """Whether ``a`` permits nothing that ``b`` does not."""
    return not violations(a, b) and a.architectures <= b.architectures and not looser_flags(a, b)


def violations(a: Filter, b: Filter) -> tuple[str, ...]:
    """The system calls that ``a`` answers less strictly than ``b``; ``*`` stands for those that neither names."""
    names: Iterable[str] = sorted({*a.rules, *b.rules})
    looser = [name for name in names if not rule_is_no_looser_than(a.rule(name), b.rule(name))]
    return tuple(looser if a.default.is_no_looser_than(b.default) else ["*", *looser])


def looser_flags(a: Filter, b: Filter) -> frozenset[str]:
    """The flags by which ``a`` is looser than ``b``."""
    return (a.flags - b.flags) & {"spec-allow"}
