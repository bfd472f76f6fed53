"""`hardening why`: what stands beside a question."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hardening.cli.samples import call, profile, session


@pytest.mark.parametrize(
    "options",
    [
        ("-i",),
        ("--once",),
        ("--in-place",),
        ("--until", "x"),
        ("--timeout", "60"),
        ("--name", "x"),
        ("--pull", "never"),
    ],
    ids=lambda options: options[0],
)
def test_an_option_of_a_run_means_nothing_beside_a_question(
    options: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile(tmp_path, "app", "[box]\nsize = 1\n")
    assert call(session(tmp_path), "why", "-p", "app", *options, ":443") == 2
    said = capsys.readouterr().err
    assert ":443 is asked without a run" in said
    assert "hardening why -- :443" in said


def test_one_thing_is_asked_at_a_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile(tmp_path, "app", "[box]\nsize = 1\n")
    assert call(session(tmp_path), "why", "-p", "app", "/tmp/x", "/dev/shm/x") == 2
    assert "one thing is asked at a time" in capsys.readouterr().err
