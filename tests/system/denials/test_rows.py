"""Each row is a denial: the command fails under its stack, and succeeds with the fix that is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.features import require
from tests.support.users import ordinary
from tests.system.denials.asking import ask
from tests.system.denials.rows import ROWS, Row
from tests.system.denials.rows_run import Place, place

#: Where the known fix is smaller than what is found.
LARGER: tuple[str, ...] = ()
pytestmark = pytest.mark.system
CASES = [
    pytest.param(row, caller, id=f"{row.name} {caller}")
    for row in ROWS
    for caller in ("root", "user")
    if getattr(row, caller)
]


@contextmanager
def _placed(row: Row, caller: str) -> Iterator[Place]:
    require("userns")
    if caller == "root":
        require("root")
    with place(row, ordinary() if caller == "user" else None) as here:
        yield here


def _mechanisms(row: Mapping[str, Any]) -> list[str]:
    return [leaf.partition(".")[0] for leaf in row["row"].leaves] or ["none"]


@pytest.mark.sampled("caller")
@pytest.mark.parametrize(("row", "caller"), CASES)
def test_a_row_fails_without_its_known_fix_and_succeeds_with_it(row: Row, caller: str) -> None:
    with _placed(row, caller) as here:
        denied = here.run(here.line("run", "-q"))
        assert denied.returncode not in (0, 2, 125), denied.stderr
        if row.fix is not None:
            fixed = here.run(here.line("run", "-q", fixed=True))
            assert fixed.returncode == 0, fixed.stderr


@pytest.mark.sampled("caller", kinds=_mechanisms)
@pytest.mark.parametrize(("row", "caller"), CASES)
def test_what_is_said_of_a_row_is_what_is_known_of_it(row: Row, caller: str) -> None:
    with _placed(row, caller) as here:
        answer = ask(here)
    assert answer.is_right, answer.said
    assert answer.size != "larger" or row.name in LARGER, answer.said["smallest"]
