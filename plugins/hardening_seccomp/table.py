"""Reading the table ``[seccomp]``.

A table with ``default`` or ``profile`` is a complete filter: all its says are *at most* says, of architectures too, which it
has whether it lists them or not. A table without them speaks only of what it names. Within one table the strictest entry
that matches decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from hardening.base.text import nearest
from hardening.mechanism import inputs
from hardening.mechanism.mechanism import Reading
from hardening.mechanism.roles import Privileges
from hardening.mechanism.schema import REQUIREMENT, WILDCARD, Family, Schema, Statement, read_family, read_table
from hardening.profile.source import Node, Origin
from hardening_seccomp import groups, notes, suid
from hardening_seccomp.actions import ALLOW, DENY, Action, is_denial, read_action
from hardening_seccomp.conditions import ConditionEntry, Partial, Rule, fill, join, partial
from hardening_seccomp.diagrams import constant, judged_at
from hardening_seccomp.filters import Filter
from hardening_seccomp.host import SeccompFacts
from hardening_seccomp.oci import FLAGS
from hardening_seccomp.settings import (
    ALLOWED,
    DENIED,
    FAMILY,
    LOGGED,
    NATIVE,
    SeccompSettings,
    dump_entries,
    read_comparison,
)
from hardening_seccomp.spec import is_stranger, is_young

if TYPE_CHECKING:
    from hardening_seccomp import docker

#: The keys that the declared grammar does not read.
_OWN = ("default", "allow", "deny", "log", "rules", "profile", "architectures", "flags")
_WORDS = ("log", "spec-allow")


@attrs.define
class _Named:
    """What one table states of one system call."""

    parts: list[Partial]
    origin: Origin
    only_denied: bool = True
    by_name: bool = False
    group: str = ""

    def rule(self, otherwise: Action) -> Rule:
        """All of it, with ``otherwise`` where it states nothing."""
        with judged_at(self.origin):
            return fill(join(self.parts), otherwise)


class TableReader:
    """Reads one table; `says` yields at most one say a leaf."""

    def __init__(self, table: Node, reading: Reading) -> None:
        self.table = table
        self.reading = reading
        self.data = groups.load()
        self.named: dict[str, _Named] = {}
        self.guarded: dict[str, tuple[Origin, str]] = {}
        self.profile: docker.DockerProfile | None = None
        self.asked: dict[str, Origin] = {}

    def statements(self) -> Iterator[Statement]:
        """All says of the table. Raises `ProfileError` for anything that it does not understand."""
        plain = list(read_table(Schema.of(SeccompSettings), self.table, own=_OWN))
        fields = dict(self.table.members())
        self._read_profile(fields.get("profile"), fields.get("default"))
        self._read_list(fields.get("allow"), ALLOWED)
        self._read_list(fields.get("deny"), DENIED)
        self._read_list(fields.get("log"), LOGGED)
        for node in fields["rules"].items(tables=True) if "rules" in fields else ():
            self._read_rule(node)
        self._apply_guards()
        yield from self._syscalls(fields.get("default"), fields.get("profile"))
        complete = fields.get("default") or fields.get("profile")
        architectures = list(self._architectures(fields.get("architectures"), complete))
        yield from architectures
        self._note(frozenset(statement.member for statement in architectures if statement.value), fields.get("profile"))
        yield from self._flags(fields.get("flags"), fields.get("profile"))
        yield from plain

    def _names(self, node: Node) -> Sequence[str]:
        """The system calls that one word means: a name, or the members of a group that this machine can know."""
        word = node.string()
        if word.startswith(groups.PREFIX):
            if word not in self.data.members:
                known = list(self.data.members)
                raise node.error(f'unknown group "{word}"', hint=nearest(word, known) or "groups: " + ", ".join(known))
            return sorted(self.data.members[word])
        facts = self.reading.host.of(SeccompFacts)
        if not facts.knows(word):
            known = sorted(facts.native_names | self.data.names)
            hint = nearest(word, known) or "syscalls(2) lists the names; a group begins with @"
            raise node.error(f'unknown system call "{word}"', hint=hint)
        return (word,)

    def _add(self, name: str, part: Partial, origin: Origin, *, denied: bool, by_name: bool, group: str = "") -> None:
        found = self.named.setdefault(name, _Named([], origin, group=group))
        found.parts.append(part)
        found.only_denied &= denied
        found.by_name |= by_name

    def _read_list(self, node: Node | None, action: Action) -> None:
        part, denied = partial(ConditionEntry(action)), is_denial(action)
        for item in node.items() if node is not None else ():
            names = self._names(item)
            group = item.string() if item.string().startswith(groups.PREFIX) else ""
            if not group and not denied:
                self.asked |= dict.fromkeys(names, item.origin)
            for name in names:
                if action == ALLOW and group and name in self.data.guards:
                    self.guarded.setdefault(name, (item.origin, group))
                    continue
                self._add(name, part, item.origin, denied=denied, by_name=action == ALLOW, group=group)

    def _apply_guards(self) -> None:
        """What a group allows of a guarded call; naming the call itself in ``allow`` gives all of it."""
        native = self.reading.host.of(SeccompFacts).native
        for name, (origin, group) in self.guarded.items():
            if name not in self.named or not self.named[name].by_name:
                self._add(name, self.data.allowed(name, native), origin, denied=False, by_name=False, group=group)

    def _read_rule(self, node: Node) -> None:
        fields = dict(node.members())
        for key, extra in fields.items():
            if key not in ("names", "action", "args"):
                raise extra.error("unknown key", hint="a rule has names, action and args")
        if "names" not in fields or "action" not in fields:
            raise node.error("a rule needs names and action", hint='write names = ["ptrace"] and action = "errno"')
        action = read_action(fields["action"])
        names = [name for item in fields["names"].items() for name in self._names(item)]
        if not names:
            raise fields["names"].error("a rule needs at least one name", hint="name a system call, or remove the rule")
        if not is_denial(action):
            words = [item for item in fields["names"].items() if not item.string().startswith(groups.PREFIX)]
            self.asked |= {item.string(): item.origin for item in words}
        arguments = fields["args"].items() if "args" in fields else ()
        comparisons = tuple(read_comparison(item, names) for item in arguments)
        part = partial(ConditionEntry(action, comparisons))
        for name in names:
            # An unconditional rule states a value; only a partial denial is a bound.
            self._add(name, part, node.origin, denied=is_denial(action) and bool(comparisons), by_name=not comparisons)

    def _read_profile(self, node: Node | None, default: Node | None) -> None:
        if node is None:
            return
        if default is not None:
            raise default.error("the profile has a default of its own", hint="state default or profile, not both")
        path = self.table.document.reached(node.string(), read=True)
        capabilities = self.reading.of(Privileges)
        facts = self.reading.host.of(SeccompFacts)
        held = frozenset(f"CAP_{name}" for name in capabilities.added) if capabilities is not None else frozenset()
        from hardening_seccomp import docker  # few profiles name one

        target = docker.DockerTarget(facts.native, held, self.reading.host.kernel)
        self.profile = docker.read_file(path, target, origin=node.origin)
        self.reading.looked.extend(inputs.file(path, self.profile.digest))
        for name, entry in self.profile.entries:
            self._add(name, partial(entry), node.origin, denied=False, by_name=False)

    def _note(self, further: frozenset[str], profile: Node | None) -> None:
        """Note what the layer asks for that has no effect, or not the one that another program would give it."""
        facts = self.reading.host.of(SeccompFacts)
        noted, library = self.reading.noted, facts.library
        if library is not None:
            model = Filter(DENY, architectures=frozenset({facts.native, *further}))
            for name, origin in self.asked.items():
                if is_stranger(name, model, library):
                    noted.append(notes.foreign_name(name, facts.native, origin))
                elif is_young(name, library):
                    noted.append(notes.young_name(name, origin))
            entries = self.profile.entries if self.profile is not None else ()
            allowed = sorted({name for name, entry in entries if not is_denial(entry.action)})
            strangers = [name for name in allowed if is_stranger(name, model, library)]
            if profile is not None:
                noted.extend(notes.young_name(name, profile.origin) for name in allowed if is_young(name, library))
                if strangers:
                    noted.append(notes.foreign_names(strangers, facts.native, profile.origin))
        if self.profile is not None and profile is not None:
            noted.extend(
                notes.flag(item, f"{self.profile.path}:/flags/{index}")
                for index, item in enumerate(self.profile.flags)
                if item != FLAGS["log"]
            )
            noted.extend(notes.overlap(name, profile.origin) for name in self.profile.ambiguous)

    def _syscalls(self, default: Node | None, profile: Node | None) -> Iterator[Statement]:
        if default is not None or self.profile is not None:
            stated = default or profile or self.table
            otherwise = read_action(default) if default else self._profile_default()
            for name, found in self.named.items():
                yield Statement(FAMILY, name, found.rule(otherwise), found.origin, is_upper_bound=True)
            yield Statement(FAMILY, WILDCARD, constant(otherwise), stated.origin, is_upper_bound=True)
            return
        for name, found in self.named.items():
            otherwise = ALLOW if found.only_denied else DENY
            yield Statement(FAMILY, name, found.rule(otherwise), found.origin, found.only_denied, found.group)

    def _profile_default(self) -> Action:
        return self.profile.default if self.profile is not None else DENY

    def _architectures(self, node: Node | None, complete: Node | None) -> Iterator[Statement]:
        """A ``complete`` filter without a list is one of the machine's own architecture, or of those of its profile."""
        bounds: dict[str, Statement] = {}
        if complete is not None:
            further = sorted(self.profile.architectures) if self.profile is not None else ()
            listed = {WILDCARD: False, **dict.fromkeys(further, True)}
            bounds = {name: Statement("architectures", name, held, complete.origin) for name, held in listed.items()}
        setting = Schema.of(SeccompSettings).settings["architectures"]
        if node is not None and isinstance(setting, Family):
            native = self.reading.host.of(SeccompFacts).native
            stated = {
                statement.member: statement
                for statement in read_family(setting, node)
                if statement.member not in (NATIVE, native)
            }
            bounds = stated if WILDCARD in stated else {**bounds, **stated}
        yield from (attrs.evolve(statement, is_upper_bound=complete is not None) for statement in bounds.values())

    def _flags(self, node: Node | None, profile: Node | None) -> Iterator[Statement]:
        """What the table says, and of the flags of its profile the one that makes nothing looser."""
        stated: dict[str, Statement] = {}
        if self.profile is not None and profile is not None and FLAGS["log"] in self.profile.flags:
            stated["log"] = Statement("flags.log", "", True, profile.origin)
        if node is None:
            pass
        elif isinstance(node.raw, dict):
            for key, edits in node.members():
                if key not in ("add", "drop"):
                    raise edits.error("unknown key", hint="flags are changed with `add` and `drop`, or set by an array")
                stated |= {word: _flag(word, key == "add", item) for item in edits.items() for word in [_word(item)]}
        else:
            stated = {word: Statement(f"flags.{word}", "", False, node.origin) for word in _WORDS}
            stated |= {word: _flag(word, True, item) for item in node.items() for word in [_word(item)]}
        yield from stated.values()


def _flag(word: str, held: bool, node: Node) -> Statement:
    return Statement(f"flags.{word}", "", held, node.origin)


def _word(node: Node) -> str:
    word = node.string()
    if word not in _WORDS:
        hint = nearest(word, _WORDS) or "flags: log, spec-allow; runtimes add tsync where they need it"
        raise node.error(f'unknown flag "{word}"', hint=hint)
    return word


def dump(values: Mapping[tuple[str, str], Any]) -> dict[str, object]:
    """TOML data that says exactly ``values``, keyed by setting and member."""
    table: dict[str, object] = {}
    syscalls = {member: value for (name, member), value in values.items() if name == FAMILY}
    rest = syscalls.pop(WILDCARD, None)
    if rest is not None:
        table["default"] = str(rest.leaves[0])
    for key, action in (("allow", ALLOWED), ("log", LOGGED)):
        names = sorted(name for name, rule in syscalls.items() if rule == constant(action))
        if names:
            table[key] = names
    gap = DENY if rest is None else rest.leaves[0]
    rules = [
        {"names": [name], **entry}
        for name, rule in sorted(syscalls.items())
        if rule not in (constant(ALLOWED), constant(LOGGED))
        for entry in dump_entries(rule, gap)
    ]
    if rules:
        table["rules"] = rules
    architectures = {member: value for (name, member), value in values.items() if name == "architectures"}
    present = sorted(name for name, value in architectures.items() if value)
    if WILDCARD in architectures:
        table["architectures"] = present
    elif architectures:
        dropped = sorted(name for name, value in architectures.items() if not value)
        table["architectures"] = {key: names for key, names in (("add", present), ("drop", dropped)) if names}
    flags = {name.removeprefix("flags."): value for (name, _), value in values.items() if name.startswith("flags.")}
    if flags:
        lists = {key: sorted(word for word, held in flags.items() if held == (key == "add")) for key in ("add", "drop")}
        table["flags"] = {key: words for key, words in lists.items() if words}
    for name in (suid.SETTING, REQUIREMENT.name):
        if (name, "") in values:
            table[name] = values[name, ""]
    return table
