"""Containers as a table and as JSON."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from hardening.report.containers import data, status, table
from hardening.runs.containers import Container, End, ProcessId

ONE = Container(
    path=Path("/x"), id="abc", name="web", command=("sh", "-c", "echo  a long line of words; sleep 1"), profiles="strict",
    runtime="native", detached=True, auto_remove=False, created=1000.0,
    launcher=ProcessId(1, 2, ""), process=ProcessId(3, 4, ""),
    running=True, end=None,
)  # fmt: skip
OVER = attrs.evolve(ONE, running=False, end=End(3, 1100.0))


@pytest.mark.parametrize(
    ("container", "words"),
    [
        (ONE, "running"),
        (attrs.evolve(ONE, process=None), "starting"),
        (OVER, "exited (3) 2 minutes ago"),
        (attrs.evolve(OVER, end=None), "killed"),
        (attrs.evolve(OVER, end=End(137, 1100.0, killed=True)), "killed 2 minutes ago"),
    ],
)
def test_status(container: Container, words: str) -> None:
    assert status(container, 1220.0) == words


def test_a_row_holds_a_command_whole() -> None:
    (row,) = table([ONE], 1060.0).rows
    command = "sh -c 'echo  a long line of words; sleep 1'"
    assert row == ("abc", "web", command, "strict", "native", "1 minute ago", "running")


def test_json_says_no_process_of_what_has_ended() -> None:
    running, over = data([ONE, OVER])
    assert (running["pid"], running["launcher_pid"], running["exit_code"], running["finished"]) == (3, 1, None, None)
    assert (over["pid"], over["launcher_pid"], over["exit_code"]) == (None, None, 3)
    assert (over["started"], over["finished"]) == ("1970-01-01T00:16:40.000Z", "1970-01-01T00:18:20.000Z")
