from __future__ import annotations

from pathlib import Path

import pytest

from hardening.launch.record.journald import Journal


def test_the_journal_is_not_there_where_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Journal(str(tmp_path / "socket"))
