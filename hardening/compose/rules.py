"""The core's own rules: of profiles that cannot be used, of exceptions, and of what a host or an image has."""

from __future__ import annotations

from collections.abc import Mapping

from hardening.mechanism.findings import FindingRule, Severity

#: Who finds what is nobody's setting.
CORE = "core"
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
