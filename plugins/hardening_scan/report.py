"""What was found, as a table, as JSON and as SARIF."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from typing import Any
from urllib.parse import quote

import attrs

from hardening.base.text import printable
from hardening.mechanism.findings import Finding, FindingRule, Severity
from hardening.mechanism.scanner import EXTERNAL, KINDS, UNREAD, Detection
from hardening.report import sarif
from hardening.report.table import Table
from hardening_scan.examine import Scanned
from hardening_scan.settings import WHAT, ScanSettings, above

BASE = "ROOT"
#: What is said of what the stack denies, of all else in the root, and of what an image has and its root has not.
_WORDS = {Severity.ERROR: "refused", Severity.WARNING: "warning", Severity.NOTE: "left out"}


def _judged(scanned: Scanned, settings: ScanSettings) -> list[tuple[Detection, Severity]]:
    denied = set(scanned.denied(settings))
    found = [(item, Severity.ERROR if item in denied else Severity.WARNING) for item in scanned.findings]
    return [*found, *((item, Severity.ERROR if item in denied else Severity.NOTE) for item in scanned.left_out)]


def table(scanned: Scanned, settings: ScanSettings) -> Table:
    """A row for each finding; those that are denied are `refused`."""
    rows = tuple((_WORDS[said], item.kind, item.path, item.detail) for item, said in _judged(scanned, settings))
    return Table(("verdict", "kind", "path", "what it is"), rows)


def packages(scanned: Scanned) -> Table:
    """A row for each package."""
    rows = tuple((item.manager, item.name, item.version, item.architecture) for item in scanned.packages)
    return Table(("manager", "package", "version", "architecture"), rows)


def summary(scanned: Scanned, settings: ScanSettings) -> str:
    """How much there is, in a line."""
    managers = Counter(package.manager for package in scanned.packages)
    packages = ", ".join(f"{count} of {name}" for name, count in sorted(managers.items())) or "none known"
    denied = len(scanned.denied(settings))
    left_out = f", {len(scanned.left_out)} left out" if scanned.left_out else ""
    number = len(scanned.findings)
    found = f"{number} finding{'s' * (number != 1)}, {denied} refused{left_out}"
    return f"{scanned.entries} files; {found}; packages: {packages}"


def unused(scanned: Scanned, settings: ScanSettings) -> tuple[tuple[str, str], ...]:
    """The kinds and paths that a gate permits and that nothing of the root needs, as far as it was looked at."""
    needed = {
        (kind, path)
        for item in (*scanned.findings, *scanned.left_out)
        for kind in (scanned.hiding.get(item, settings.gated) if item.kind == UNREAD else (item.kind,))
        for path in (item.path, *above(item.path))
    }
    hidden = {item.path for item in scanned.findings if item.kind == UNREAD}
    return tuple(
        (kind, path)
        for kind in settings.gated
        for path, permitted in sorted(settings.of(kind).named.items())
        if permitted and (kind, path) not in needed and not hidden & {"/", path, *above(path)}
    )


def as_json(name: str, scanned: Scanned, settings: ScanSettings) -> str:
    """All of it. It is ASCII, so that no name drives a terminal; a byte that is no UTF-8 is a lone surrogate."""
    denied = set(scanned.denied(settings))
    data = {
        "root": name,
        **({"digest": scanned.digest} if scanned.digest else {}),
        "entries": scanned.entries,
        "findings": [{**attrs.asdict(item), "denied": item in denied} for item in scanned.findings],
        "left_out": [{**attrs.asdict(item), "denied": item in denied} for item in scanned.left_out],
        "packages": [attrs.asdict(package) for package in scanned.packages],
        "unused": [{"kind": kind, "path": path} for kind, path in unused(scanned, settings)],
    }
    return json.dumps(data, indent=2)


def as_sarif(name: str, scanned: Scanned, settings: ScanSettings) -> dict[str, Any]:
    """The findings as SARIF 2.1.0. Paths are relative to the root, which has the base `ROOT`; of a directory it says where
    that is."""
    judged = _judged(scanned, settings)
    found = [
        Finding(_rule(item.kind), said, f"{printable(item.path)}: {printable(item.detail)}", leaf=f"scan.{item.kind}")
        for item, said in judged
    ]
    log = sarif.log(found, {_rule(kind): _described(kind) for kind in KINDS})
    (run,) = log["runs"]
    base: dict[str, Any] = {
        "description": {"text": f"the root of {printable(name)}{scanned.digest and f' ({scanned.digest})'}"}
    }
    if name.startswith(("/", ".")):
        base["uri"] = f"file://{quote(os.fsencode(os.path.realpath(name))).rstrip('/')}/"
    run["originalUriBaseIds"] = {BASE: base}
    for (item, _), result in zip(judged, run["results"], strict=True):
        result["locations"][0]["physicalLocation"] = {"artifactLocation": {"uri": _uri(item), "uriBaseId": BASE}}
        result["partialFingerprints"] = {"place/v1": _fingerprint(item)}
    return log


def _rule(kind: str) -> str:
    return f"scan/{kind.replace('_', '-')}"


def _described(kind: str) -> FindingRule:
    remedy = "Fix what the result names" if kind == UNREAD else "Take it out of the root"
    said = f"A profile denies it with `scan.{kind}`, and permits paths with `scan.{kind}.allow`."
    return FindingRule("", WHAT[kind], mend=f"{remedy}. {said}")


def _fingerprint(item: Detection) -> str:
    """What stays the same from one scan to the next; scanners of other packages may find several things at one path."""
    parts = (item.kind, item.path, item.detail if item.kind == EXTERNAL else "")
    return hashlib.sha256(b"\0".join(os.fsencode(part) for part in parts)).hexdigest()[:32]


def _uri(item: Detection) -> str:
    return quote(os.fsencode(item.path.lstrip("/"))) or "."
