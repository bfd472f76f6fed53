from __future__ import annotations

import pytest

from hardening import errors
from hardening.errors import (
    HardeningError,
    HostError,
    LaunchError,
    PluginError,
    Problems,
    ProfileError,
    SpecError,
    UsageError,
    raise_all,
)


def test_an_error_reads_origin_message_hint() -> None:
    error = ProfileError("x.y: unknown key", origin="a.toml:3", hint="remove it")
    assert str(error) == "a.toml:3: x.y: unknown key\nhint: remove it"
    assert str(ProfileError("wrong")) == "wrong"
    assert str(ProfileError("wrong", hint="mend it")) == "wrong\nhint: mend it"


def test_a_name_that_no_encoding_has_is_shown_as_an_escape() -> None:
    error = SpecError("half of a pair: \ud800", origin="\udcff.json", hint="\udfff")
    assert str(error) == "\\udcff.json: half of a pair: \\ud800\nhint: \\udfff"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ProfileError("x"), 2),
        (UsageError("x"), 2),
        (PluginError("x"), 125),
        (SpecError("x"), 2),
        (HostError("x"), 125),
        (LaunchError("x"), 125),
        (LaunchError("x", exit_code=errors.EXIT_NOT_FOUND), 127),
        (LaunchError("x", exit_code=errors.EXIT_NOT_EXECUTABLE), 126),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_every_kind_has_its_exit_code(error: HardeningError, code: int) -> None:
    assert error.exit_code == code


def test_no_problem_raises_nothing() -> None:
    raise_all([])


def test_one_problem_is_raised_as_itself() -> None:
    problem = ProfileError("x")
    with pytest.raises(ProfileError) as caught:
        raise_all([problem])
    assert caught.value is problem


def test_several_problems_are_shown_together_with_the_gravest_exit_code() -> None:
    with pytest.raises(Problems) as caught:
        raise_all([ProfileError("first", origin="a.toml:1"), HostError("second", hint="do")])
    assert str(caught.value) == "a.toml:1: first\nsecond\nhint: do"
    assert caught.value.exit_code == 125
    assert [problem.message for problem in caught.value.problems] == ["first", "second"]
