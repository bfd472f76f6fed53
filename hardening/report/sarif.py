"""Findings as SARIF 2.1.0 (OASIS), which code hosts and editors show at the lines that it names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hardening import __version__
from hardening.findings import Finding

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_PLACE = re.compile(r"(?P<file>.+):(?P<line>[1-9]\d*)", re.DOTALL)


def log(findings: Sequence[Finding]) -> dict[str, Any]:
    """A SARIF log of one run."""
    rules = sorted({finding.rule for finding in findings})
    driver = {"name": "hardening", "version": __version__, "rules": [{"id": rule} for rule in rules]}
    results = [_result(finding, rules) for finding in findings]
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}


def _result(finding: Finding, rules: Sequence[str]) -> dict[str, Any]:
    text = f"{finding.message}\n{finding.hint}" if finding.hint else finding.message
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": rules.index(finding.rule),
        "level": str(finding.severity),
        "message": {"text": text},
    }
    location: dict[str, Any] = {}
    place = _PLACE.fullmatch(finding.origin)
    if place:
        location["physicalLocation"] = {
            "artifactLocation": {"uri": _uri(place["file"])},
            "region": {"startLine": int(place["line"])},
        }
    if finding.leaf:
        location["logicalLocations"] = [{"fullyQualifiedName": finding.leaf}]
    if location:
        result["locations"] = [location]
    return result


def _uri(file: str) -> str:
    """A file as a URI: relative to the working directory where it is in it, as code hosts expect."""
    from urllib.parse import quote

    path = Path(file)
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())
