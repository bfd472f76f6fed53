"""The launch request: from the command line to the launcher, and what a cache entry may say of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hardening.errors import LaunchError
from hardening.launch.request import LaunchRequest, from_entry, from_json, of_argv

#: A value of each type that is no default.
OTHER: dict[type, Any] = {str: "a \udcff/ü", bool: True, int: 7}
WHOLE = LaunchRequest(**{name: OTHER[type(value)] for name, value in vars(LaunchRequest()).items()})


def test_the_launcher_reads_what_was_asked(tmp_path: Path) -> None:
    argv = WHOLE.argv(tmp_path, "/usr/bin/crun")
    assert from_json(argv[-1]) == of_argv(argv) == WHOLE.changed(bundle=str(tmp_path), runtime="/usr/bin/crun")
    assert json.loads(LaunchRequest(bundle="/b").to_json()) == {"bundle": "/b"}


def test_what_starts_something_else_has_no_request(tmp_path: Path) -> None:
    argv = LaunchRequest().argv(tmp_path)
    assert of_argv(["/usr/bin/other", "x"]) is None
    for index in range(len(argv) - 1):
        assert of_argv([*argv[:index], argv[index] + " ", *argv[index + 1 :]]) is None, index


@pytest.mark.parametrize(
    "table",
    [
        {}, [], "/b", {"bundle": 1}, {"bundle": "/b", "stdin": 1}, {"bundle": "/b", "lock": True}, {"bundle": "/b", "x": ""},
        {"bundle": "/b", "runtime": "/usr/bin/crun"}, {"bundle": "/b", "name": "web", "id": "one"},
        {"bundle": "/b", "state": "/"},
    ],
)  # fmt: skip
def test_what_is_no_request(table: Any) -> None:
    with pytest.raises(LaunchError):
        from_json(json.dumps(table))


def test_an_entry_decides_nothing_that_is_a_launch_s_own() -> None:
    kept: dict[str, Any] = WHOLE.kept()
    assert from_entry(kept, {"id": "new"}) == LaunchRequest(**kept, id="new")
    groups = (LaunchRequest.KEPT, LaunchRequest.TYPED, LaunchRequest.OWN)
    assert sorted(name for group in groups for name in group) == sorted(vars(WHOLE))  # each field is in one of them
    for name, value in vars(WHOLE).items():
        if name not in kept:
            with pytest.raises(LaunchError, match=name):
                from_entry({**kept, name: value}, {})
