"""Rules by their names and ids, and the core's own: of profiles that cannot be used, of exceptions, and of what a host or
an image has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cached_property
from types import MappingProxyType
from typing import Any

from hardening.errors import PluginError
from hardening.mechanism.findings import FindingRule, Severity
from hardening.mechanism.mechanism import Mechanism

#: Who finds what is nobody's setting, and what `hardening lint` alone finds.
CORE, LINT = "core", "lint"
#: The core's own rules, as `hardening.mechanism.mechanism.Mechanism.rules` has those of a mechanism.
RULES: Mapping[str, FindingRule] = {
    "malformed": FindingRule(
        "HRD001",
        "A profile that cannot be read",
        "A file that is no TOML, or says what no setting can be, is refused wherever it is named: nothing of it holds.",
        "Correct the line that is named.",
        '[process]\numask = "77x"\n',
        '[process]\numask = "077"\n',
        severity=Severity.ERROR,
    ),
    "refused": FindingRule(
        "HRD002",
        "A stack that does not compose",
        "A layer loosens what an earlier one says, goes beyond a limit, or extends what there is not: no command "
        "runs under it.",
        "Do what the result says: keep the stricter value, or add an exception with its reason.",
        'extends = ["strict"]\n[namespaces]\nnet = "host"\n',
        'extends = ["strict"]\n[namespaces]\nnet = "private"\n',
        severity=Severity.ERROR,
    ),
    "expiring-exception": FindingRule(
        "HRD003",
        "An exception that ends soon",
        "After its last day the stack does not compose any more, and what runs under it stops with an error.",
        "Renew it after a review, or remove the loosening.",
        'extends = ["strict"]\n[namespaces]\nuts = "host"\n'
        '[[exceptions]]\nsetting = "namespaces.uts"\nreason = "the agent reports the host\'s name"\nexpires = '
        "2026-01-20\n",
        'extends = ["strict"]\n[namespaces]\nuts = "host"\n'
        '[[exceptions]]\nsetting = "namespaces.uts"\nreason = "the agent reports the host\'s name"\nexpires = '
        "2026-12-31\n",
        severity=Severity.NOTE,
    ),
    "placeholder-reason": FindingRule(
        "HRD004",
        "An exception whose reason is what a hint has in its place",
        "Whoever reviews the exception asks why it is needed, and nobody remembers.",
        "Write why it is needed.",
        'extends = ["strict"]\n[namespaces]\nuts = "host"\n'
        '[[exceptions]]\nsetting = "namespaces.uts"\nreason = "TODO"\nexpires = 2026-12-31\n',
        'extends = ["strict"]\n[namespaces]\nuts = "host"\n'
        '[[exceptions]]\nsetting = "namespaces.uts"\nreason = "the agent reports the host\'s name"\nexpires = '
        "2026-12-31\n",
    ),
    "unused-exception": FindingRule(
        "HRD005",
        "An exception that permits nothing",
        "What it was for is gone, and it would permit the same loosening again without a review.",
        "Remove it; `hardening lint --fix` does.",
        'extends = ["strict"]\n'
        '[[exceptions]]\nsetting = "capabilities.NET_RAW"\nreason = "ping"\nexpires = 2026-12-31\n',
        'extends = ["strict"]\n',
    ),
    "idle-requirement": FindingRule(
        "HRD006",
        "A requirement that decides nothing",
        "It reads as if the mechanism could be left out, and no host is too weak for this one.",
        "Remove it; `hardening lint --fix` does.",
        '[trust]\nrequirement = "best-effort"\n',
        "[trust]\n",
    ),
    "not-enforced": FindingRule(
        "HRD007",
        "A setting that this host does not enforce",
        'A layer says `requirement = "best-effort"`, and this host has not what the setting takes: it runs without.',
        "Do what the result says on the host, or ask for less.",
        severity=Severity.NOTE,
    ),
    "not-taken-from-image": FindingRule(
        "HRD008",
        "Something that an image asks for and is not given",
        "What an image asks for decides nothing that loosens: the stack has the last word.",
        "State it in a layer where the command needs it.",
        severity=Severity.NOTE,
    ),
    "left-out-of-image": FindingRule(
        "HRD009",
        "A file of an image that was left out of its root",
        "A device, or a name that cannot be, is not unpacked: the command does not find it.",
        "Leave it out of the image, or name the device in `devices`.",
        severity=Severity.NOTE,
    ),
}


class RuleRegistry:
    """The rules of the core, of mechanisms, and of ``others`` that find something, by their owners. A mechanism is asked for
    its own when one of them is."""

    def __init__(
        self,
        mechanisms: Iterable[Mechanism[Any]],
        others: Mapping[str, Mapping[str, FindingRule]] = MappingProxyType({}),
    ) -> None:
        self._mechanisms = {mechanism.name: mechanism for mechanism in mechanisms}
        self._known = {CORE: RULES, **others}
        self.owners: Sequence[str] = (*self._known, *self._mechanisms)

    def of(self, owner: str) -> Mapping[str, FindingRule]:
        """Those of one owner by their names, of which a text alone is the summary."""
        if owner not in self._known:
            said = self._mechanisms[owner].rules() if owner in self._mechanisms else {}
            self._known[owner] = {
                name: FindingRule("", rule) if isinstance(rule, str) else rule for name, rule in said.items()
            }
        return self._known[owner]

    def find(self, rule: str) -> FindingRule | None:
        """One by its whole name; ``allows-*`` is several."""
        owner, _, name = rule.partition("/")
        return next((item for pattern, item in self.of(owner).items() if fnmatchcase(name, pattern)), None)

    def described(self, rule: str) -> FindingRule:
        """That of a finding; one of its name alone where nobody describes it."""
        return self.find(rule) or undescribed(rule)

    @cached_property
    def names(self) -> Mapping[str, str]:
        """The whole names of all that have ids, by these and in their order. Raises `PluginError` where two have one."""
        found: dict[str, str] = {}
        for owner in self.owners:
            for name, rule in self.of(owner).items():
                if rule.id in found:
                    raise PluginError(f"{owner}/{name} and {found[rule.id]} have the same id, {rule.id}")
                if rule.id:
                    found[rule.id] = f"{owner}/{name}"
        return MappingProxyType(dict(sorted(found.items())))

    @cached_property
    def by_id(self) -> Mapping[str, FindingRule]:
        """The same rules themselves. Raises as `names` does."""
        parts = {ident: name.partition("/") for ident, name in self.names.items()}
        return MappingProxyType({ident: self.of(owner)[name] for ident, (owner, _, name) in parts.items()})


def undescribed(rule: str) -> FindingRule:
    """What can be said of a rule by its whole name alone."""
    owner, _, name = rule.partition("/")
    return FindingRule("", f"Something that {owner} found: {name.replace('-', ' ')}")
