"""What is learnt of a program from the test of its page is enough for that test, and no more than its page permits."""

from __future__ import annotations

import json

import pytest

from tests.software.learnt import NAMES, learnt
from tests.support.users import User

pytestmark = pytest.mark.system
#: Those that are learnt from in a few seconds.
QUICK = ("busybox", "sqlite")


def holds(name: str, user: User | None) -> None:
    found = learnt(name, user)
    assert found.permitted.calls < found.by_hand.calls
    assert found.permitted.capabilities <= found.by_hand.capabilities
    assert found.permitted.writable <= found.by_hand.writable
    uses = [use for run in json.loads(found.seen)["runs"] for use in run["uses"]]
    touched = {path for use in uses for path in (use.get("path", ""), use.get("target", ""))}
    for place in found.permitted.writable:
        assert any(f"{path}/".startswith(f"{place}/") for path in touched), place


@pytest.mark.parametrize("name", QUICK)
def test_a_layer_that_was_learnt_passes_the_test_of_the_page(name: str, user: User | None) -> None:
    holds(name, user)


@pytest.mark.complete
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", [name for name in NAMES if name not in QUICK])
def test_so_does_that_of_each_page(name: str, user: User | None) -> None:
    holds(name, user)
