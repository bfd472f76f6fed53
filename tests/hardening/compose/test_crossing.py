"""What several mechanisms come to together is a finding of every composition, told and refused as any other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hardening.cli import main
from hardening.cli.session import Session
from tests.hardening.compose.test_rules import PLUGINS

NETWORK = '[namespaces]\nnet = "host"\n[selinux]\nrequirement = "best-effort"\n'
FILTER = 'extends = ["net.toml"]\n[seccomp]\ndefault = "deny"\nallow = ["@strict"]\n'


@pytest.mark.parametrize("rule", ["HRD903", "core/network-without-sockets"])
def test_what_mechanisms_come_to_together_is_told_and_binds(
    rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.toml").write_text(NETWORK)
    Path("app.toml").write_text(FILTER)
    Path("org.toml").write_text(f"[limits.findings.rules]\n'{rule}' = 'warning'\n")
    said = "the network is the host's, and the filter denies socket(2): no program can use it"
    assert main(["compose", "-p", "./app.toml"], Session(PLUGINS)) == 0
    assert f"warning: namespaces.net: {said}" in capsys.readouterr().err
    assert main(["compose", "-p", "./app.toml", "--format", "sarif"], Session(PLUGINS)) == 1
    results = json.loads(capsys.readouterr().out)["runs"][0]["results"]
    (found,) = [item["locations"][0] for item in results if item["ruleId"] == "HRD903"]
    assert found["physicalLocation"]["region"]["startLine"] == 2
    names = [item["fullyQualifiedName"] for item in found["logicalLocations"]]
    assert names == ["namespaces.net", "seccomp.socket"]
    for words in (["run", "--dry-run"], ["compose"]):
        assert main([*words, "-p", "./app.toml", "-p", "./org.toml", "--", "true"], Session(PLUGINS)) == 2
        message = capsys.readouterr().err
        assert f"net.toml:2: {said} (core/network-without-sockets, warning), which org.toml:2 refuses\n" in message
    assert main(["lint", "--format", "json", "app.toml"], Session(PLUGINS)) == 0
    (line,) = [item["line"] for item in json.loads(capsys.readouterr().out) if item["id"] == "HRD903"]
    assert line == 3, "of a file that has a part in it"
