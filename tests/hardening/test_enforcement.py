"""What came of what was asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardening.cli.session import Request
from hardening.enforcement import enforcement, remedy
from hardening.mechanism import Shortfall
from tests.hardening.cli.samples import profile, session


@pytest.mark.parametrize(
    ("leaves", "state"),
    [
        ({}, "enforced"),
        ({"box.size": False}, "partly"),
        ({"box.enabled": False}, "partly"),
        ({"box.closed": True, "box.size": False}, "not enforced"),
    ],
)
def test_the_state_of_a_mechanism(leaves: dict[str, bool], state: str, tmp_path: Path) -> None:
    profile(tmp_path, "default", "[box]\nrequirement = 'best-effort'\n")
    composition = session(tmp_path).compose(Request(("default",)))
    shortfalls = [Shortfall(leaf, "reason", "", whole=whole) for leaf, whole in leaves.items()]
    shortfalls.append(Shortfall("other.thing", "reason", "", whole=True))
    (found,) = enforcement(composition, shortfalls)
    assert (found.mechanism, found.requirement, found.state) == ("box", "best-effort", state)
    assert [item.leaf for item in found.shortfalls] == list(leaves)


@pytest.mark.parametrize(
    ("advice", "whole", "fatal", "told"),
    [
        ("dig", True, False, "dig"),
        ("dig", False, True, "dig"),
        ("dig", True, True, 'dig, or set requirement = "best-effort" in [box]'),
        ("", False, True, 'set requirement = "best-effort" in [box]'),
        ("", False, False, ""),
    ],
)
def test_what_need_not_be_waived_is_not_told_to_be(advice: str, whole: bool, fatal: bool, told: str) -> None:
    assert remedy(Shortfall("box.size", "reason", advice, whole=whole), "box", fatal=fatal) == told
