"""What is learnt of an ordinary command is enough for it, whoever asks, and tighter than what it began with."""

from __future__ import annotations

import pytest

from tests.support.features import require
from tests.support.users import ordinary
from tests.system.learnt.commands import CASES, Case
from tests.system.learnt.learning import learnt

pytestmark = pytest.mark.system


def test_there_are_a_hundred() -> None:
    assert len({case.line for case in CASES if not case.root}) == 100


@pytest.mark.sampled("caller")
@pytest.mark.parametrize(
    ("case", "caller"),
    [
        pytest.param(case, caller, id=f"{case.line} {caller}")
        for case in CASES
        for caller in ("root", "user")
        if caller == "root" or not case.root
    ],
)
def test_a_command_succeeds_under_what_was_learnt_of_it(case: Case, caller: str) -> None:
    require("userns")
    if caller == "root":
        require("root")
    found = learnt(case, ordinary() if caller == "user" else None)
    assert found.replays, found.said
    assert "not tightened" not in found.said
    assert found.calls
