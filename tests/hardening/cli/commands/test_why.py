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


@pytest.mark.parametrize("question", ["/etc/shadow", ":443"])
def test_options_may_stand_after_what_is_asked(
    question: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile(tmp_path, "app", "[box]\nsize = 1\n")
    here = session(tmp_path)
    ways = [
        ("-p", "app", "--json", question),
        (question, "-p", "app", "--json"),
        ("--json", question, "--profile=app"),
    ]
    answers = [(call(here, "why", *words), capsys.readouterr()) for words in ways]
    assert answers[0][1].out
    assert answers[1:] == answers[:1] * 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-p", "app", "umask", "-p", "app", "sh"), "-p stands after the image umask"),  # a command of an image
        (("/etc/shadow", "-p", "app", "/etc/passwd"), "one thing is asked at a time"),
        ((":443", "-p", "app", "--once"), ":443 is asked without a run"),
        (("-p", "app", "umask", "-p"), "-p stands after the image umask"),
    ],
)
def test_what_stands_after_an_image_is_its_own(
    words: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile(tmp_path, "app", "[box]\nsize = 1\n")
    assert call(session(tmp_path), "why", *words) == 2
    assert said in capsys.readouterr().err
