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
from hardening.compose.rules import undescribed
from hardening.mechanism.findings import Finding, FindingRule, Severity

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_PLACE = re.compile(r"(?P<file>.+):(?P<line>[1-9]\d*)", re.DOTALL)


def log(
    findings: Sequence[Finding], known: Mapping[str, FindingRule] = MappingProxyType({}), nowhere: str = ""
) -> dict[str, Any]:
    """A SARIF log of one run. ``known`` describes rules by their whole names; what it lacks is described by its name.
    ``nowhere`` is the file of which a finding is told that has no line, at its first: code hosts show no others."""
    said = {name: known.get(name) or undescribed(name) for name in sorted({finding.rule for finding in findings})}
    worst: dict[str, Severity] = {}
    for finding in findings:
        ident = _ident(finding.rule, said)
        worst[ident] = max(finding.severity, worst.get(ident, finding.severity), key=lambda item: item.rank)
    idents = sorted(worst)
    descriptors = {_ident(name, said): _rule(name, rule) for name, rule in said.items()}
    driver = {
        "name": "hardening",
        "version": __version__,
        "semanticVersion": __version__,
        "rules": [{**descriptors[ident], "defaultConfiguration": {"level": str(worst[ident])}} for ident in idents],
    }
    results = [_result(finding, _ident(finding.rule, said), idents, nowhere) for finding in findings]
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}


def _ident(name: str, known: Mapping[str, FindingRule]) -> str:
    return known[name].id or name


def _rule(name: str, rule: FindingRule) -> dict[str, Any]:
    """A reportingDescriptor (SARIF 2.1.0, 3.49)."""
    remedy = " ".join(filter(None, (rule.why, rule.mend))) or (
        "The result gives the remedy, and `hardening explain` shows what decided the settings."
    )
    return {
        "id": rule.id or name,
        **({"name": name} if rule.id else {}),
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.why or rule.summary},
        "help": {"text": remedy},
    }


def _result(finding: Finding, ident: str, idents: Sequence[str], nowhere: str) -> dict[str, Any]:
    text = f"{finding.message}\n{finding.hint}" if finding.hint else finding.message
    result: dict[str, Any] = {
        "ruleId": ident,
        "ruleIndex": idents.index(ident),
        "level": str(finding.severity),
        "message": {"text": "\n".join(printable(line) for line in text.splitlines())},
    }
    location: dict[str, Any] = {}
    place = _PLACE.fullmatch(finding.origin) or _PLACE.fullmatch(f"{nowhere}:1")
    if place:
        location["physicalLocation"] = {
            "artifactLocation": {"uri": _uri(place["file"])},
            "region": {"startLine": int(place["line"])},
        }
    if finding.leaf:
        leaves = (finding.leaf, *finding.also)
        location["logicalLocations"] = [{"fullyQualifiedName": printable(leaf)} for leaf in leaves]
    if location:
        result["locations"] = [location]
    return result


def _uri(file: str) -> str:
    """A file as a URI: relative to the working directory where it is in it, as code hosts expect."""
    path = Path(file)
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return path.as_uri() if path.is_absolute() else quote(os.fsencode(path.as_posix()))
