"""Findings as SARIF."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardening.findings import Finding, Severity
from hardening.report.sarif import log


def test_a_finding_with_a_place_has_both_locations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    inside = Finding("a/x", Severity.WARNING, "message", "box.size", f"{tmp_path}/my profile.toml:12", "a hint")
    outside = Finding("a/x", Severity.ERROR, "message", "", "/etc/hardening/a:b.toml:3")
    nowhere = Finding("b/y", Severity.NOTE, "message", origin="default (hardening_box)")
    run = log([inside, outside, nowhere])["runs"][0]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["a/x", "b/y"]
    first, second, third = run["results"]
    assert first == {
        "ruleId": "a/x",
        "ruleIndex": 0,
        "level": "warning",
        "message": {"text": "message\na hint"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": "my%20profile.toml"},
                    "region": {"startLine": 12},
                },
                "logicalLocations": [{"fullyQualifiedName": "box.size"}],
            }
        ],
    }
    assert second["level"] == "error"
    assert second["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "file:///etc/hardening/a%3Ab.toml"
    assert (third["level"], "locations" in third) == ("note", False)


def test_a_relative_place_is_a_relative_uri() -> None:
    finding = Finding("a/x", Severity.NOTE, "message", origin="profiles/web.toml:1")
    location = log([finding])["runs"][0]["results"][0]["locations"][0]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == "profiles/web.toml"


def test_nothing_found_is_a_valid_log() -> None:
    assert log([])["runs"] == [
        {"tool": {"driver": {"name": "hardening", "version": log([])["runs"][0]["tool"]["driver"]["version"], "rules": []}},
         "results": []}
    ]  # fmt: skip
