"""What is said of secrets."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from hardening.mechanism.findings import Finding, Severity
from hardening.mechanism.host import plain
from hardening.mechanism.mechanism import Context
from hardening_secrets.findings import findings
from tests.plugins.secrets.stores import Kept
from tests.plugins.secrets.test_spec import MECHANISMS, given
from tests.support import runs


def said(*items: str, bundle: Path | None = Path("/b"), composed: Any = MappingProxyType({})) -> list[Finding]:
    return list(findings(given(*items), Context(plain(), composed, bundle=bundle)))


def test_a_variable_is_weaker_than_a_file_and_a_file_can_have_too_many_readers() -> None:
    assert said("db") == []
    found = said("a,type=env", "b,mode=0440", "c,mode=0404")
    assert [(item.rule, item.severity, item.leaf) for item in found] == [
        ("secrets/variable", Severity.WARNING, "secrets.given.a"),
        ("secrets/readable", Severity.NOTE, "secrets.given.b"),
        ("secrets/readable", Severity.NOTE, "secrets.given.c"),
    ]
    assert "its group" in found[1].message
    assert "every user" in found[2].message


def test_a_command_that_may_leave_core_dumps_is_told_of(tmp_path: Path) -> None:
    for core, rules in (("0", []), ('"unlimited"', ["secrets/core"])):
        profile = f'[secrets]\ngiven = ["db"]\n[process.rlimits]\ncore = {core}\n'
        assembly = runs.assembled([profile], ["true"], folder=tmp_path, mechanisms=MECHANISMS)
        assert [item.rule for item in assembly.findings if item.rule.startswith("secrets/")] == rules


def test_where_nothing_is_run_a_secret_that_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARDENING_SECRETS", str(tmp_path / "store"))
    Kept(tmp_path / "store").create("db", b"x")
    assert [(item.rule, item.leaf) for item in said("db", "key", bundle=None)] == [
        ("secrets/missing", "secrets.given.key")
    ]
    (tmp_path / "store").chmod(0o755)
    assert [item.rule for item in said("db", bundle=None)] == ["secrets/store"]
