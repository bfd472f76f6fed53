"""Each row is a denial: the command fails under its stack, and succeeds with the fix that is known."""

from __future__ import annotations

import pytest

from tests.support.features import require
from tests.support.users import ordinary
from tests.system.denials.rows import ROWS, Row
from tests.system.denials.rows_run import place

pytestmark = pytest.mark.system
CASES = [
    pytest.param(row, caller, id=f"{row.name} {caller}")
    for row in ROWS
    for caller in ("root", "user")
    if getattr(row, caller)
]


@pytest.mark.parametrize(("row", "caller"), CASES)
def test_a_row_fails_without_its_known_fix_and_succeeds_with_it(row: Row, caller: str) -> None:
    require("userns")
    if caller == "root":
        require("root")
    with place(row, ordinary() if caller == "user" else None) as here:
        denied = here.run(here.line("run", "-q"))
        assert denied.returncode not in (0, 2, 125), denied.stderr
        if row.fix is not None:
            fixed = here.run(here.line("run", "-q", fixed=True))
            assert fixed.returncode == 0, fixed.stderr
