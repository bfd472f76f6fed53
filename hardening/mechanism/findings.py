"""What the tool noticed and did not refuse: shown with every composition, and in JSON and SARIF reports."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import partial

import attrs

from hardening.base.values import frozen
from hardening.errors import Gathering, gathered
from hardening.mechanism.kinds import Choice
from hardening.mechanism.schema import Leaf
from hardening.profile.layers import Layer
from hardening.profile.source import Node, Origin, gathered_members

# The rules of the core, which `hardening.compose.rules` describes: few commands need that, and many name one.
#: Of profiles and stacks that cannot be used.
MALFORMED, REFUSED = "core/malformed", "core/refused"
#: Of exceptions that end soon, that have no reason yet, and that permit nothing.
EXPIRING, PLACEHOLDER, UNUSED = "core/expiring-exception", "core/placeholder-reason", "core/unused-exception"
#: Of a requirement that decides nothing, and of each setting that this host does not enforce.
IDLE_REQUIREMENT, NOT_ENFORCED = "core/idle-requirement", "core/not-enforced"
#: Of what an image asks for and is not given, and of files that are left out of its root.
NOT_TAKEN, LEFT_OUT = "core/not-taken-from-image", "core/left-out-of-image"


class Severity(StrEnum):
    """How much a finding matters; ``warning`` and above make the exit code 1 where findings are asked for."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"

    @property
    def word(self) -> str:
        """How people read it: ``error:`` is what a program says that has failed."""
        return "serious" if self is Severity.ERROR else str(self)

    @property
    def rank(self) -> int:
        """Its place in their order, from 0 on; more for one that matters more."""
        return list(Severity).index(self)

    def reaches(self, other: Severity) -> bool:
        """Whether it matters at least as much as ``other``."""
        return self.rank >= other.rank


@frozen
class Finding:
    """One observation. ``rule`` is a stable identifier such as ``seccomp/unknown-syscall``, ``leaf`` the setting that it
    is about, ``also`` those that make it together with that one, ``origin`` the place to look at."""

    rule: str
    severity: Severity
    message: str
    leaf: str = ""
    origin: str = ""
    hint: str = ""
    also: tuple[str, ...] = ()


@frozen
class FindingRule:
    """What one rule finds. ``id`` is stable and unlike any other (``HRD105``; other plugins choose letters of their own),
    and empty for a rule without a description of its own. ``summary`` is a heading, ``why`` says what is wrong with what it
    finds, ``mend`` what to do. ``bad`` is a whole profile of which it finds something and ``good`` the same one mended: both
    are empty for a rule that takes a host, an image or a run to tell. ``severity`` is the usual one, ``since`` the first
    version that has the rule."""

    id: str
    summary: str
    why: str = ""
    mend: str = ""
    bad: str = attrs.field(default="", repr=False)
    good: str = attrs.field(default="", repr=False)
    severity: Severity = Severity.WARNING
    since: str = "0.1.0"


@frozen
class FindingsOf:
    """Makes the findings of one mechanism: a rule and a leaf are named without the mechanism, whose own they are. A finding
    about what is another mechanism's names a `Leaf`; one without a leaf is about no setting."""

    mechanism: str

    def finding(
        self,
        severity: Severity,
        rule: str,
        message: str,
        leaf: str | Leaf = "",
        *,
        hint: str = "",
        origin: object = "",
    ) -> Finding:
        """A finding; ``origin`` may be None where nobody said it."""
        name = self.mechanism
        about = f"{name}.{leaf}" if leaf and isinstance(leaf, str) else str(leaf)
        return Finding(f"{name}/{rule}", severity, message, about, str(origin or ""), hint)

    def note(self, rule: str, message: str, leaf: str | Leaf = "", *, hint: str = "", origin: object = "") -> Finding:
        """Something to know."""
        return self.finding(Severity.NOTE, rule, message, leaf, hint=hint, origin=origin)

    def warning(
        self, rule: str, message: str, leaf: str | Leaf = "", *, hint: str = "", origin: object = ""
    ) -> Finding:
        """Something to look into."""
        return self.finding(Severity.WARNING, rule, message, leaf, hint=hint, origin=origin)


@frozen
class Gate:
    """Which findings refuse a run, by one layer's ``[findings]`` or its limit: those of ``refuse`` and above, or for the
    rules that it names, of what it says there; None is never. ``places`` says where each rule, and ``""`` for all others,
    was said, ``table`` in which one."""

    refuse: Severity | None
    rules: Mapping[str, Severity | None]
    places: Mapping[str, Origin]
    table: str = "findings"

    def refuses(self, finding: Finding) -> Origin | None:
        """The line by which it refuses a finding, or None."""
        least = self.least(finding.rule)
        return self.line(finding.rule) if least is not None and finding.severity.reaches(least) else None

    def least(self, rule: str) -> Severity | None:
        """The severity from which on it refuses what a rule finds; None is never."""
        return self.rules.get(self._key(rule), self.refuse)

    def line(self, rule: str) -> Origin:
        """The line that says so."""
        return self.places[self._key(rule)]

    def _key(self, rule: str) -> str:
        """Where it speaks of a rule: by its name, or that of all that begin as one with a ``*`` does; else empty."""
        if rule in self.rules:
            return rule
        return next((key for key in self.rules if key.endswith("*") and rule.startswith(key[:-1])), "")

    def lifts(self, rule: str) -> Origin | None:
        """The line by which it takes a rule out of what it refuses, or None."""
        key = self._key(rule)
        return self.places[key] if key and self.rules[key] is None else None

    def renamed(self, names: Mapping[str, str]) -> Gate:
        """The same with other names of rules, such as those that ids stand for."""
        rules = {names.get(rule, rule): least for rule, least in self.rules.items()}
        places = {names.get(rule, rule): place for rule, place in self.places.items()}
        return Gate(self.refuse, rules, places, self.table)

    @classmethod
    def of_all(cls, gates: Sequence[Gate]) -> Gate:
        """One that refuses exactly what some of several refuse."""

        def least(rule: str) -> Severity | None:
            said = [least for gate in gates if (least := gate.least(rule)) is not None]
            return min(said, key=lambda item: item.rank, default=None)

        rules = {rule: least(rule) for gate in gates for rule in gate.rules}
        return cls(least(""), rules, {})


#: In the place of a severity: none.
NEVER = "never"
_SEVERITY = Choice((NEVER, *reversed([str(item) for item in Severity])))


def gates(layers: Iterable[Layer]) -> list[Gate]:
    """What layers say in ``[findings]``, and as a limit in ``[limits.findings]``, with rules as they are written there:
    `hardening.compose.rules.by_name` has their names. Raises `ProfileError`."""
    tables = [((layer.findings, "refuse"), (layer.findings_limit, "at")) for layer in layers]
    said = ((node, least) for pair in tables for node, least in pair if node is not None)
    return gathered(lambda one: gate(*one), said)


def gate(node: Node, least: str = "refuse") -> Gate:
    """The table ``[findings]``, or a limit in which another word says the severity. Raises `ProfileError`, or
    `Problems` with several."""
    each = Gathering()
    found = gathered_members(node, (least, "rules"), f"the keys are {least} and rules", each)
    refuse, rules = found.get(least), found.get("rules")
    named = dict(each.attempt(lambda: [*rules.members()]) or ()) if rules is not None else {}
    severity = each.attempt(partial(_severity, refuse)) if refuse is not None else None
    for rule, member in named.items():
        if not re.fullmatch(r"[a-z0-9_-]+/[a-z0-9_-]+\*?|[\w-]+", rule):
            hint = 'rules are written as reports show them, "process/root" or "HRD501"'
            each.problems.append(member.error("no rule of a finding", hint=hint))
    said = {rule: each.attempt(partial(_severity, member)) for rule, member in named.items()}
    each.raise_all()
    places = {"": (refuse or node).origin, **{rule: member.origin for rule, member in named.items()}}
    return Gate(severity, said, places, node.dotted)


def _severity(node: Node) -> Severity | None:
    word = _SEVERITY.parse(node)
    return None if word == NEVER else Severity(word)


def count_serious(findings: Iterable[Finding]) -> int:
    """How many findings are more than notes."""
    return sum(finding.severity is not Severity.NOTE for finding in findings)
