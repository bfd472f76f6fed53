"""Rules by their names and ids, and the core's own: of profiles that cannot be used, of exceptions, of what a host or an
image has, and of a file alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cached_property
from types import MappingProxyType
from typing import Any

from hardening.base.text import listed, nearest
from hardening.compose import crossing
from hardening.errors import PluginError
from hardening.mechanism.findings import FindingRule, Gate, Severity
from hardening.mechanism.mechanism import Mechanism

#: Who finds what is nobody's setting, and what `hardening lint` alone finds.
CORE, LINT = "core", "lint"
_EXCEPTED = '[[exceptions]]\nsetting = "{}"\nreason = "the agent reports the host\'s name"\nexpires = 2026-12-31\n'
#: The core's own rules, as `hardening.mechanism.mechanism.Mechanism.rules` has those of a mechanism.
RULES: Mapping[str, FindingRule] = {
    "malformed": FindingRule(
        "HRD001",
        "A profile that cannot be read",
        "A file that is no TOML, or says what no setting can be, is refused wherever it is named: nothing of it holds.",
        "Write what is expected there: `hardening schema` has all that a profile may say, with what it means.",
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
        'extends = ["strict"]\n[namespaces]\nuts = "host"\n' + _EXCEPTED.format("namespaces.uts"),
        severity=Severity.NOTE,
    ),
    "placeholder-reason": FindingRule(
        "HRD004",
        "An exception whose reason is what a hint has in its place",
        "Whoever reviews the exception asks why it is needed, and nobody remembers.",
        "Write why it is needed.",
        'extends = ["strict"]\n[namespaces]\nuts = "host"\n'
        '[[exceptions]]\nsetting = "namespaces.uts"\nreason = "TODO"\nexpires = 2026-12-31\n',
        'extends = ["strict"]\n[namespaces]\nuts = "host"\n' + _EXCEPTED.format("namespaces.uts"),
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
#: Those of `hardening lint` alone: of a file, and of what it says beside the layers before it.
OF_LINT: Mapping[str, FindingRule] = {
    "unreachable-limit": FindingRule(
        "HRD010",
        "A limit that no layer can reach",
        "An earlier limit is stricter, and limits intersect: what this one seems to permit nobody ever gets.",
        "Write what the earlier limit leaves, or have that one changed.",
        'extends = ["base"]\n[limits.rootfs]\npropagation = "shared"\n',
        'extends = ["base"]\n[limits.rootfs]\npropagation = "private"\n',
    ),
    "shadowed-name": FindingRule(
        "HRD011",
        "A profile whose name stands for another one",
        "`-p NAME` and `extends` take the other file, and where both lie on the search path the name is refused.",
        "Give the file a name of its own.",
        '# file: web.toml\ndescription = "our web servers"\nextends = ["strict"]\n',
        '# file: shop.toml\ndescription = "our web servers"\nextends = ["strict"]\n',
    ),
    "restated": FindingRule(
        "HRD012",
        "A line that says what an earlier layer says already",
        "It changes nothing now, and keeps the value when the earlier layer becomes looser: say so, or leave it out.",
        "Remove it, or keep it with a comment that takes the result back.",
        'extends = ["strict"]\n[rootfs]\nread_only = true\n',
        'extends = ["strict"]\n[rootfs]\nshm_size = "1M"\n',
        severity=Severity.NOTE,
    ),
    "endless-exception": FindingRule(
        "HRD013",
        "An exception without a last day",
        "Nobody looks at it again.",
        "Add `expires`, by which it is reviewed.",
        'extends = ["strict"]\n[namespaces]\nuts = "host"\n'
        + _EXCEPTED.format("namespaces.uts").replace("expires = 2026-12-31\n", ""),
        'extends = ["strict"]\n[namespaces]\nuts = "host"\n' + _EXCEPTED.format("namespaces.uts"),
        severity=Severity.NOTE,
    ),
    "unexplained-suppression": FindingRule(
        "HRD014",
        "A comment for lint that takes nothing back",
        "It has no reason, or names a rule that there is not: the result stays.",
        "Write `# hardening: ignore[HRD101] why it has to be so`.",
        '[process]\nuser = "0"  # hardening: ignore[HRD501]\n',
        '[process]\nuser = "0"  # hardening: ignore[HRD501] the installer writes to /usr\n',
    ),
    "unused-suppression": FindingRule(
        "HRD015",
        "A comment that takes back what nothing finds",
        "It would hide the next result of its rule on this line.",
        "Remove it; `hardening lint --fix` does.",
        '[process]\nuser = "1000"  # hardening: ignore[HRD501] the installer writes to /usr\n',
        '[process]\nuser = "1000"\n',
    ),
    "empty-table": FindingRule(
        "HRD016",
        "A table that says nothing",
        "A reader takes it for a setting.",
        "Remove it; `hardening lint --fix` does.",
        'extends = ["strict"]\n[selinux]\n',
        'extends = ["strict"]\n',
        severity=Severity.NOTE,
    ),
    "repeated-element": FindingRule(
        "HRD017",
        "An element that an array has twice",
        "Whoever takes one of them out believes that it is gone.",
        "Remove one; `hardening lint --fix` does.",
        '[capabilities]\ndrop = ["NET_RAW", "CHOWN", "NET_RAW"]\n',
        '[capabilities]\ndrop = ["NET_RAW", "CHOWN"]\n',
        severity=Severity.NOTE,
    ),
}


class RuleRegistry:
    """The rules of the core, of lint and of mechanisms, by their owners. A mechanism is asked for its own when one of them
    is."""

    def __init__(self, mechanisms: Iterable[Mechanism[Any]]) -> None:
        self._mechanisms = {mechanism.name: mechanism for mechanism in mechanisms}
        self._known = {CORE: {**RULES, **crossing.RULES}, LINT: OF_LINT}
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
        """That of a finding; one of its name alone where nobody describes any of its owner's. Raises `PluginError` for one
        that its mechanism does not declare beside others: no profile could name it."""
        found, owner = self.find(rule), rule.partition("/")[0]
        if found is None and owner in self._mechanisms and self.of(owner):
            hint = f"its `rules` have {listed(sorted(self.of(owner)), 6)}: have this one added there"
            raise PluginError(f"[{owner}] finds something of {rule}, which is none of its rules", hint=hint)
        return found or undescribed(rule)

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

    def whole(self, rule: str) -> str:
        """The whole name of one that is named by its id; the same for any other word. Raises as `names` does."""
        return rule if "/" in rule else self.names.get(rule, rule)

    def nearest(self, word: str) -> str:
        """A hint at the rule that a word may mean, which is no rule: by its id, its name, or the end of that."""
        whole = [f"{owner}/{name}" for owner in self.owners for name in self.of(owner)]
        ends = {name.partition("/")[2]: name for name in whole}
        if word in ends:
            return f'did you mean "{ends[word]}"?'
        near = nearest(word.upper(), self.names) if "/" not in word else nearest(word, whole)
        return near or "docs/reference/rules.md lists them, by id and name"

    @cached_property
    def by_id(self) -> Mapping[str, FindingRule]:
        """The same rules themselves. Raises as `names` does."""
        parts = {ident: name.partition("/") for ident, name in self.names.items()}
        return MappingProxyType({ident: self.of(owner)[name] for ident, (owner, _, name) in parts.items()})


def by_name(gates: Sequence[Gate], registry: RuleRegistry) -> Sequence[Gate]:
    """The same with the names of rules in the place of their ids. Raises as `RuleRegistry.names` does."""
    if all("/" in rule for gate in gates for rule in gate.rules):
        return gates
    return [gate.renamed(registry.names) for gate in gates]


def undescribed(rule: str) -> FindingRule:
    """What can be said of a rule by its whole name alone."""
    owner, _, name = rule.partition("/")
    return FindingRule("", f"Something that {owner} found: {name.replace('-', ' ')}")
