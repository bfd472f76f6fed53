"""The comparison of verdicts can be measured; how long they take is not for a test to say."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.bench.signed import hub
from tests.bench.targets import OURS, THEIRS
from tests.bench.verifying import measured


def test_it_measures_both_on_every_transport(tmp_path: Path) -> None:
    with hub(tmp_path / "hub") as found:
        taken = measured(found, Path(sys.executable).with_name("hardening"), 2)
    assert {transport: set(who) for transport, who in taken.items()} == {
        "docker": {OURS, THEIRS}, "dir": {OURS, THEIRS},
    }  # fmt: skip
    assert all(spent.wall > 0 and spent.cpu > 0 for who in taken.values() for spent in who.values())
