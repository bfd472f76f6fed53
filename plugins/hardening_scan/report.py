"""What was found, as a table, as JSON and as SARIF."""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import Any
from urllib.parse import quote

import attrs

from hardening.findings import Finding, Severity
from hardening.report import sarif
from hardening.report.table import Table, clean
from hardening.scanning import Found
from hardening_scan.examine import Scanned
from hardening_scan.settings import ScanSettings

BASE = "ROOT"
_VERDICTS = {True: "refused", False: "warning"}


def table(scanned: Scanned, settings: ScanSettings) -> Table:
    """A row for each finding; those that are denied are `refused`."""
    denied = set(scanned.denied(settings))
    rows = tuple((_VERDICTS[item in denied], item.kind, item.path, item.detail) for item in scanned.findings)
    return Table(("verdict", "kind", "path", "what it is"), rows)


def summary(scanned: Scanned, settings: ScanSettings) -> str:
    """How much there is, in a line."""
    managers = Counter(package.manager for package in scanned.packages)
    packages = ", ".join(f"{count} of {name}" for name, count in sorted(managers.items())) or "none known"
    denied = len(scanned.denied(settings))
    return f"{scanned.entries} files; {len(scanned.findings)} findings, {denied} refused; packages: {packages}"


def as_json(name: str, scanned: Scanned, settings: ScanSettings) -> str:
    """All of it. It is ASCII, so that no name drives a terminal; a byte that is no UTF-8 is a lone surrogate."""
    denied = set(scanned.denied(settings))
    data = {
        "root": name,
        "entries": scanned.entries,
        "findings": [{**attrs.asdict(item), "denied": item in denied} for item in scanned.findings],
        "packages": [attrs.asdict(package) for package in scanned.packages],
    }
    return json.dumps(data, indent=2)


def as_sarif(scanned: Scanned, settings: ScanSettings) -> dict[str, Any]:
    """The findings as SARIF 2.1.0; paths are relative to the root, which has the base `ROOT`."""
    denied = set(scanned.denied(settings))
    found = [
        Finding(
            f"scan/{item.kind.replace('_', '-')}",
            Severity.ERROR if item in denied else Severity.WARNING,
            f"{clean(item.path)}: {clean(item.detail)}",
            leaf=f"scan.{item.kind}",
        )
        for item in scanned.findings
    ]
    log = sarif.log(found)
    for item, result in zip(scanned.findings, log["runs"][0]["results"], strict=True):
        result["locations"][0]["physicalLocation"] = {"artifactLocation": {"uri": _uri(item), "uriBaseId": BASE}}
    return log


def _uri(item: Found) -> str:
    return quote(os.fsencode(item.path.lstrip("/"))) or "."
