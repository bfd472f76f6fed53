"""The register of exceptions: what has ended, what is used, and of which files and stacks."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hardening.cli import main
from hardening.cli.session import Session
from tests.hardening.compose.test_rules import PLUGINS

TODAY = datetime.now(UTC).date()
ORG = """\
[namespaces]
uts = "private"
"""
APP = """\
extends = ["org.toml"]
[profile]
owner = "Payments"
[namespaces]
uts = "host"
[[exceptions]]
setting = "namespaces.uts"
reason = "reports the name"
owner = "ops@example.org"
ticket = "OPS-1"
expires = {soon}
[[exceptions]]
setting = "capabilities.NET_RAW"
reason = "ping"
"""


def register(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[dict[str, Any]], str]:
    code = main(["exceptions", "--json", *words], Session(PLUGINS))
    out = capsys.readouterr()
    return code, json.loads(out.out), out.err


def test_all_of_it_is_told_those_that_end_first_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("org.toml").write_text(ORG)
    Path("app.toml").write_text(APP.format(soon=TODAY + timedelta(days=9)))
    code, (first, second), err = register(capsys, ".")
    assert (code, err) == (0, "")
    assert first == {
        "setting": "namespaces.uts",
        "reason": "reports the name",
        "ticket": "OPS-1",
        "expires": str(TODAY + timedelta(days=9)),
        "origin": "app.toml:6",
        "owner": "ops@example.org",
        "layer": "app",
        "days": 9,
        "used": True,
    }
    assert (second["days"], second["used"], second["owner"]) == (None, False, "Payments"), "the owner of the profile"
    assert register(capsys, "-p", "./app.toml")[1] == [first, second]
    Path("app.toml").write_text(APP.format(soon=TODAY - timedelta(days=1)))
    code, (first, _), _ = register(capsys, "app.toml")
    assert (code, first["days"], first["used"]) == (1, -1, True), "what has ended is still needed"
    assert main(["exceptions", "app.toml"], Session(PLUGINS)) == 1
    assert "ended" in capsys.readouterr().out


def test_what_cannot_be_used_is_told_beside_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.toml").write_text("[[exceptions]]\nsetting = 'namespaces.uts'\nreason = 'x'\n[process]\numask = '9'\n")
    Path("b.toml").write_text("x = ")
    code, (only,), err = register(capsys, ".")
    assert (code, only["used"]) == (2, None)
    assert "a.toml:5: process.umask" in err
    assert "b.toml:1: not TOML" in err
    assert main(["exceptions", "-p", "strict", "a.toml"], Session(PLUGINS)) == 2
