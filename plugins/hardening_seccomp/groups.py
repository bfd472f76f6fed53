"""The data file ``groups.toml``: named groups of system calls, what groups hold back, and widths of arguments."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs

from hardening.values import frozen
from hardening_seccomp.actions import ALLOW, Action, parse_action
from hardening_seccomp.conditions import Comparison, Entry, Op, Partial, Rule, partial, rule_of
from hardening_seccomp.diagrams import MAX_ARGUMENT, WIDTH, apply

PREFIX = "@"
STRICT = "@strict"


@frozen(eq=False)
class Guard:
    """What groups allow of one system call, and why not all of it."""

    rule: Rule
    why: str


@frozen(eq=False)
class Groups:
    """``members`` maps ``@name`` to its system calls, other groups resolved; ``meanings`` to a line of explanation.
    ``special_guards`` are those of one kind of machine, by system call and machine."""

    members: Mapping[str, frozenset[str]]
    meanings: Mapping[str, str]
    guards: Mapping[str, Guard]
    special_guards: Mapping[tuple[str, str], Guard]
    widths: Mapping[str, frozenset[int]]

    @property
    def names(self) -> frozenset[str]:
        """Every system call of every group."""
        return frozenset().union(*self.members.values())

    def width(self, name: str, index: int) -> int:
        """How many bits of an argument the kernel looks at: 32 or 64."""
        return 32 if index in self.widths.get(name, ()) else WIDTH

    def allowed(self, name: str, machine: str) -> Partial:
        """What a group that holds ``name`` allows of it on a machine, which is named as libseccomp names it."""
        guard = self.special_guards.get((name, machine)) or self.guards.get(name)
        return partial(Entry(ALLOW)) if guard is None else apply(_stated, guard.rule)


def _stated(action: Action) -> Action | None:
    return action


@cache
def load() -> Groups:
    """Read the data file; it belongs to the package, so any fault in it is a bug and raises `KeyError` or `ValueError`."""
    data = tomllib.loads(Path(__file__).with_name("groups.toml").read_text(encoding="utf-8"))
    raw = data["groups"]
    widths = {name: frozenset(indices) for name, indices in data["widths"].items()}
    groups = Groups(
        members=MappingProxyType({PREFIX + name: _members(raw, name, ()) for name in raw}),
        meanings=MappingProxyType({PREFIX + name: group["meaning"] for name, group in raw.items()}),
        guards=MappingProxyType({}),
        special_guards=MappingProxyType({}),
        widths=MappingProxyType(widths),
    )
    guards: dict[str, Guard] = {}
    special: dict[tuple[str, str], Guard] = {}
    for item in data["guards"]:
        guard = Guard(_guard(groups, item), item["why"])
        if "architectures" in item:
            special |= {(item["name"], machine): guard for machine in item["architectures"]}
        else:
            guards[item["name"]] = guard
    return attrs.evolve(groups, guards=MappingProxyType(guards), special_guards=MappingProxyType(special))


def _members(raw: Mapping[str, Any], name: str, above: tuple[str, ...]) -> frozenset[str]:
    if name in above:
        raise ValueError(f"group {name} contains itself")
    group = raw[name]
    inner = [_members(raw, other, (*above, name)) for other in group.get("groups", ())]
    own = frozenset(group.get("names", "").split())
    return own.union(*inner) - frozenset(group.get("without", "").split())


def _guard(groups: Groups, item: Mapping[str, Any]) -> Rule:
    denied = parse_action(item["action"])
    cases = [
        tuple(_comparison(groups, item["name"], raw) for raw in case) for case in item.get("only", item.get("not"))
    ]
    if "only" in item:
        return rule_of([Entry(ALLOW, case) for case in cases], denied)
    return rule_of([Entry(ALLOW), *(Entry(denied, case) for case in cases)], denied)


def _comparison(groups: Groups, name: str, raw: Mapping[str, Any]) -> Comparison:
    width = groups.width(name, raw["index"])
    return Comparison(raw["index"], Op(raw["op"]), raw["value"], raw.get("mask", MAX_ARGUMENT), width)
