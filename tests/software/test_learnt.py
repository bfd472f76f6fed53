"""What is learnt of a program from the test of its page is enough for that test, and no more than its page permits."""

from __future__ import annotations

import re

import pytest

from tests.software.harness import PAGES
from tests.software.learnt import NAMES, Learnt, learnt, row
from tests.support.users import User

pytestmark = pytest.mark.system
#: What is learnt from in a few seconds.
QUICK = "busybox"
#: By how many calls one run may differ from another.
RARE = 4


def holds(name: str, user: User | None) -> None:
    found = learnt(name, user)
    assert found.permitted.calls < found.by_hand.calls
    assert found.permitted.capabilities <= found.by_hand.capabilities
    assert found.permitted.writable <= found.by_hand.writable
    assert not found.untouched
    assert is_documented(found), row(found)


def is_documented(found: Learnt) -> bool:
    """Whether the index of the pages has these figures; whether a rare call is made changes from run to run."""
    _, _, section = (PAGES / "README.md").read_text().partition("\n## What `hardening learn` makes of them\n")
    line = next((line for line in section.splitlines() if f"]({found.name}.md)" in line), "")
    if not line:  # not every page is in it
        return True
    by_hand, *learnt, writable_by_hand, root, user = re.split(r" *\| *", line.strip("| "))[1:]
    calls, writable = (learnt[0], root) if found.user is None else (learnt[1], user)
    return (
        int(by_hand) == len(found.by_hand.calls)
        and abs(int(calls) - len(found.permitted.calls)) <= RARE
        and (int(writable_by_hand), int(writable)) == (len(found.by_hand.writable), len(found.permitted.writable))
    )


def test_a_layer_that_was_learnt_passes_the_test_of_the_page(user: User | None) -> None:
    holds(QUICK, user)


@pytest.mark.complete
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", [name for name in NAMES if name != QUICK])
def test_so_does_that_of_each_page(name: str, user: User | None) -> None:
    holds(name, user)
