"""What a check asks of a call is read from calls of that name."""

from __future__ import annotations

import pytest

from hardening.mechanism.evidence import GIVING, LENDING
from hardening.trace import shapes
from hardening_capabilities.checks import CHECKS
from hardening_capabilities.denied import _OWNERS

#: What a pattern is held against, by the steps that read it.
READ = {
    "attribute": {"attribute"},
    "address": {"address", "message", "socket", "family"},
    "path": {"path", "fd"},
}


@pytest.mark.parametrize("what", READ)
def test_what_a_pattern_is_held_against_is_read_of_each_call(what: str) -> None:
    known = shapes.shapes()
    named = {name for check in CHECKS if getattr(check, what) for name in check.calls}
    assert named
    assert [name for name in sorted(named) if name not in known or READ[what].isdisjoint(known[name].steps)] == []


def test_the_file_is_known_of_each_call_that_is_about_one() -> None:
    known = shapes.shapes()
    names = {*_OWNERS, *GIVING, *LENDING}
    assert [name for name in sorted(names) if name not in known or READ["path"].isdisjoint(known[name].steps)] == []
