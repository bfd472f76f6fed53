"""What is said of a gate that does less than it seems to."""

from __future__ import annotations

import pytest

from hardening_scan import Scan
from hardening_scan.findings import findings
from hardening_scan.settings import ScanSettings
from tests.support.texts import composed

COMMAND = "scan.command = ['tool', '{root}']\n"


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("", []),
        (COMMAND, ["scan/command-not-asked"]),
        (COMMAND + "scan.external = 'deny'", []),
        (COMMAND + "scan.external.deny = ['/usr']", []),
        ("scan.setuid = 'deny'", []),
    ],
)
def test_findings(text: str, rules: list[str]) -> None:
    settings = composed(text, by=[Scan()]).settings["scan"]
    assert isinstance(settings, ScanSettings)
    found = list(findings(settings))
    assert [item.rule for item in found] == rules
    assert all(item.leaf and item.hint for item in found)
