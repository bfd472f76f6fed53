"""The caller's check, beside a run."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from hardening.why.until import Until
from tests.support.patience import PATIENCE, until


def test_a_check_is_told_of_the_command_and_its_exit_code_is_the_answer() -> None:
    with Until('test "$HARDENING_PID" = 17') as check:
        assert (check.at_last(17), check.at_last(18)) == (True, False)


def all_end(pids: list[int]) -> None:
    until(lambda: not any(os.path.exists(f"/proc/{pid}/exe") for pid in pids))


def test_a_check_that_waits_holds_up_nothing_and_goes_with_what_it_has_started(tmp_path: Path) -> None:
    place = tmp_path / "pids"
    begun = time.monotonic()
    with Until(f"sleep 1000 & echo $$ $! >> {place}; wait") as check:
        while not place.exists() or not place.read_text():
            assert not check(0)
        assert not check(0)
        assert not check.at_last(0, 0.5)
        pids = [int(word) for word in place.read_text().split()]
    assert time.monotonic() - begun < PATIENCE
    assert len(pids) >= 2  # and two more where the second one has come that far
    all_end(pids)


@pytest.mark.parametrize("end", ["true", "false"])
def test_what_a_check_has_started_goes_with_it_when_it_has_ended(end: str, tmp_path: Path) -> None:
    place = tmp_path / "pids"
    with Until(f"sleep 1000 & echo $! >> {place}; {end}") as check:
        answers = [check.at_last(0) for _ in range(3)]
        pids = [int(word) for word in place.read_text().split()]
        all_end(pids)
    assert answers == [end == "true"] * 3
    assert len(pids) == 3


def test_a_check_that_ends_the_command_itself_is_waited_for(tmp_path: Path) -> None:
    """Asked anew it would find nobody."""
    place = tmp_path / "server"
    place.touch()
    with Until(f"rm {place} && sleep 0.5") as check:
        assert not check(0)
        assert check.at_last(0)


def test_a_check_is_asked_again_until_it_passes(tmp_path: Path) -> None:
    place = tmp_path / "there"
    with Until(f"test -e {place}") as check:
        asked = [check(0) for _ in range(5)]
        place.touch()
        until(lambda: check(0))
    assert not any(asked)
