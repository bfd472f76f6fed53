"""Findings as SARIF."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hardening.mechanism.findings import Finding, FindingRule, Severity
from hardening.report.sarif import log
from tests.support import sarif


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


def test_a_rule_is_described_by_what_is_said_of_it_or_by_its_name() -> None:
    found = [Finding("box/too-big", Severity.NOTE, "message"), Finding("box/open", Severity.ERROR, "message")]
    run = log(found, {"box/open": FindingRule("BOX001", "Boxes that are open", "Rain.", "Close them.")}, "a.toml")[
        "runs"
    ][0]
    described, named = run["tool"]["driver"]["rules"]
    assert described == {
        "id": "BOX001",
        "name": "box/open",
        "shortDescription": {"text": "Boxes that are open"},
        "fullDescription": {"text": "Rain."},
        "help": {"text": "Rain. Close them."},
        "defaultConfiguration": {"level": "error"},
    }
    assert (named["id"], named["shortDescription"]["text"]) == ("box/too-big", "Something that box found: too big")
    assert named["help"]["text"]
    first, second = run["results"]
    assert (first["ruleId"], second["ruleId"]) == ("box/too-big", "BOX001")
    (place,) = first["locations"]
    assert place["physicalLocation"]["region"] == {"startLine": 1}, "what has no line is at the first of the last layer"


@pytest.mark.parametrize(
    "file", ["a:b.toml", "a b/ü.toml", "/a/b\udcff.toml", "../\udcff%.toml", '-[x]{y}^|\\`"<>?#.toml']
)
def test_every_log_follows_the_schema(file: str) -> None:
    found = [
        Finding("box/open", severity, "a\x1b[31m\udcff", leaf, origin, "a hint")
        for severity in Severity
        for leaf in ("", "box.\udcff")
        for origin in ("", f"{file}:3", f"{file}:0", "default (hardening_box)")
    ]
    whole = log(found)
    sarif.check(whole)
    assert (
        json.loads(json.dumps(whole, ensure_ascii=False).encode()) == whole
    )  # no byte of a name that is no UTF-8 is left


def test_nothing_found_is_a_valid_log() -> None:
    whole = log([])
    sarif.check(whole)
    assert whole["runs"][0]["tool"]["driver"]["rules"] == whole["runs"][0]["results"] == []
