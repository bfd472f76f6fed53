"""The data file ``groups.toml``: named groups of system calls, what groups hold back, and widths of arguments."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hardening.base.values import frozen
from hardening_seccomp.actions import ALLOW, DENY, ENOSYS, EPERM, Action, parse_action
from hardening_seccomp.conditions import Comparison, ConditionEntry, Op, Partial, Rule, describe, partial, rule_of
from hardening_seccomp.diagrams import MAX_ARGUMENT, WIDTH, apply, constant

PREFIX = "@"
STRICT = "@strict"
FALLBACK = "@fallback"
#: Comparisons that take more characters are shown by the name of the group that has them.
SHORT = 80


@frozen(eq=False)
class ArgumentGuard:
    """What groups allow of one system call, and why not all of it. ``data`` is the entry of the data file, ``narrow`` are
    the arguments of which the kernel looks at 32 bits."""

    data: Mapping[str, Any]
    narrow: frozenset[int]

    @property
    def why(self) -> str:
        """The reason, as a sentence."""
        return str(self.data["why"])

    @cached_property
    def rule(self) -> Rule:
        """What happens to the call: made when it is first asked for, since few stacks name them all."""
        denied = parse_action(self.data["action"])
        cases = [tuple(map(self._comparison, case)) for case in self.data.get("only", self.data.get("not"))]
        if "only" in self.data:
            return rule_of([ConditionEntry(ALLOW, case) for case in cases], denied)
        return rule_of([ConditionEntry(ALLOW), *(ConditionEntry(denied, case) for case in cases)], denied)

    def _comparison(self, raw: Mapping[str, Any]) -> Comparison:
        width = 32 if raw["index"] in self.narrow else WIDTH
        return Comparison(raw["index"], Op(raw["op"]), raw["value"], raw.get("mask", MAX_ARGUMENT), width)


@frozen(eq=False)
class Groups:
    """``members`` maps ``@name`` to its system calls, other groups resolved; ``meanings`` to a line of explanation.
    ``special_guards`` are those of one kind of machine, by system call and machine. ``fallbacks`` are the members of
    `FALLBACK`, each with what programs do where the kernel does not have it, and ``replacements`` the system calls that they
    make then; after any errno, if it is ``lenient``."""

    members: Mapping[str, frozenset[str]]
    meanings: Mapping[str, str]
    guards: Mapping[str, ArgumentGuard]
    special_guards: Mapping[tuple[str, str], ArgumentGuard]
    widths: Mapping[str, frozenset[int]]
    fallbacks: Mapping[str, str]
    replacements: Mapping[str, frozenset[str]]
    lenient: frozenset[str]

    @property
    def names(self) -> frozenset[str]:
        """Every system call of every group."""
        return frozenset().union(*self.members.values())

    def width(self, name: str, index: int) -> int:
        """How many bits of an argument the kernel looks at: 32 or 64."""
        return 32 if index in self.widths.get(name, ()) else WIDTH

    def denial(self, name: str) -> Action:
        """The errno that `DENY` means for a system call of the table. EPERM tells people that somebody forbids it; a program
        that can do without the call asks for ENOSYS, and takes EPERM for the end."""
        return ENOSYS if name in self.fallbacks else EPERM

    def answered(self, name: str, rule: Rule) -> Rule:
        """A rule with that errno in the place of `DENY`."""
        if rule.is_constant:
            return constant(self.denial(name)) if rule.leaves[0] == DENY else rule
        return apply(lambda action: self.denial(name) if action == DENY else action, rule)

    def allowed(self, name: str, machine: str) -> Partial:
        """What a group that holds ``name`` allows of it on a machine, which is named as libseccomp names it."""
        guard = self.special_guards.get((name, machine)) or self.guards.get(name)
        return partial(ConditionEntry(ALLOW)) if guard is None else apply(_stated, guard.rule)

    @cached_property
    def _named_rules(self) -> Mapping[Rule, str]:
        """What is allowed of a call by the group that has it alone, with that group's name, where it is long."""
        guards = {f"{PREFIX}{name}": guard.rule for name, guard in self.guards.items()}
        return {rule: group for group, rule in guards.items() if group in self.members and len(describe(rule)) > SHORT}

    def group_of(self, rule: Rule) -> str | None:
        """The group that allows of a call what a long rule does; None for any other rule."""
        return None if rule.is_constant else self._named_rules.get(rule)

    def described(self, rule: Rule) -> str:
        """A rule as people read it (`describe`), by the name of a group where that says the same in fewer words."""
        group = self.group_of(rule)
        return (
            f"what {group} allows, else {max(rule.leaves, key=lambda action: action.kind)}" if group else describe(rule)
        )


def _stated(action: Action) -> Action | None:
    return action


@cache
def load() -> Groups:
    """Read the data file; it belongs to the package, so any fault in it is a bug and raises `KeyError` or `ValueError`."""
    data = tomllib.loads(Path(__file__).with_name("groups.toml").read_text(encoding="utf-8"))
    fallbacks = data["fallbacks"]
    raw = data["groups"] | {FALLBACK.removeprefix(PREFIX): {**data["groups"]["fallback"], "names": " ".join(fallbacks)}}
    widths = {name: frozenset(indices) for name, indices in data["widths"].items()}
    guards: dict[str, ArgumentGuard] = {}
    special: dict[tuple[str, str], ArgumentGuard] = {}
    for item in data["guards"]:
        guard = ArgumentGuard(item, widths.get(item["name"], frozenset()))
        if "architectures" in item:
            special |= {(item["name"], machine): guard for machine in item["architectures"]}
        else:
            guards[item["name"]] = guard
    return Groups(
        members=MappingProxyType({PREFIX + name: _members(raw, name, ()) for name in raw}),
        meanings=MappingProxyType({PREFIX + name: group["meaning"] for name, group in raw.items()}),
        guards=MappingProxyType(guards),
        special_guards=MappingProxyType(special),
        widths=MappingProxyType(widths),
        fallbacks=MappingProxyType({name: words for name, (words, *_) in fallbacks.items()}),
        replacements=MappingProxyType({name: frozenset(then) for name, (_, *then) in fallbacks.items()}),
        lenient=frozenset(data["groups"]["fallback"]["lenient"].split()),
    )


def _members(raw: Mapping[str, Any], name: str, above: tuple[str, ...]) -> frozenset[str]:
    if name in above:
        raise ValueError(f"group {name} contains itself")
    group = raw[name]
    inner = [_members(raw, other, (*above, name)) for other in group.get("groups", ())]
    own = frozenset(group.get("names", "").split())
    return own.union(*inner) - frozenset(group.get("without", "").split())
