"""Findings as SARIF 2.1.0 (OASIS), which code hosts and editors show at the lines that it names."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from hardening import __version__
from hardening.base.text import printable
from hardening.base.values import frozen
from hardening.mechanism.findings import RULES, Finding, Severity, describe
from hardening.mechanism.mechanism import Mechanism

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_PLACE = re.compile(r"(?P<file>.+):(?P<line>[1-9]\d*)", re.DOTALL)


@frozen
class SarifRule:
    """What a rule is about: a sentence, and what to do where something is found."""

    summary: str
    help: str
    severity: Severity = Severity.WARNING


def log(findings: Sequence[Finding], rules: Mapping[str, SarifRule] = MappingProxyType({})) -> dict[str, Any]:
    """A SARIF log of one run. ``rules`` describes rules by their identifier; what it lacks is described by its name."""
    names = sorted({finding.rule for finding in findings})
    driver = {
        "name": "hardening",
        "version": __version__,
        "semanticVersion": __version__,
        "rules": [_rule(name, rules.get(name) or _named(name)) for name in names],
    }
    results = [_result(finding, names) for finding in findings]
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}


def described(findings: Sequence[Finding], mechanisms: Sequence[Mechanism[Any]]) -> dict[str, SarifRule]:
    """The rules of findings, as their mechanisms describe them."""
    owners = {"core": RULES, **{mechanism.name: mechanism.rules() for mechanism in mechanisms}}
    texts = {rule: describe(rule, owners.get(rule.partition("/")[0], {})) for rule in {item.rule for item in findings}}
    return {rule: SarifRule(f"{text}.", _HELP) for rule, text in texts.items() if text is not None}


_HELP = "The result gives the remedy, and `hardening explain` shows what decided the settings."


def _named(name: str) -> SarifRule:
    owner, _, rest = name.partition("/")
    return SarifRule(f"Something that {owner} found: {rest.replace('-', ' ')}.", _HELP)


def _rule(name: str, rule: SarifRule) -> dict[str, Any]:
    """A reportingDescriptor (SARIF 2.1.0, 3.49)."""
    return {
        "id": name,
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.summary},
        "help": {"text": rule.help},
        "defaultConfiguration": {"level": str(rule.severity)},
    }


def _result(finding: Finding, rules: Sequence[str]) -> dict[str, Any]:
    text = f"{finding.message}\n{finding.hint}" if finding.hint else finding.message
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": rules.index(finding.rule),
        "level": str(finding.severity),
        "message": {"text": "\n".join(printable(line) for line in text.splitlines())},
    }
    location: dict[str, Any] = {}
    place = _PLACE.fullmatch(finding.origin)
    if place:
        location["physicalLocation"] = {
            "artifactLocation": {"uri": _uri(place["file"])},
            "region": {"startLine": int(place["line"])},
        }
    if finding.leaf:
        location["logicalLocations"] = [{"fullyQualifiedName": printable(finding.leaf)}]
    if location:
        result["locations"] = [location]
    return result


def _uri(file: str) -> str:
    """A file as a URI: relative to the working directory where it is in it, as code hosts expect."""
    path = Path(file)
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return path.as_uri() if path.is_absolute() else quote(os.fsencode(path.as_posix()))
