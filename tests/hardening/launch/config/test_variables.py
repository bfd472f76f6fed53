"""Which values of variables a receipt may have, and which it has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hardening.errors import LaunchError
from hardening.launch.config.bundle import VARIABLES
from hardening.launch.config.variables import public
from hardening.launch.record.observe import environment


def configured(names: object, *entries: str) -> dict[str, object]:
    return {"process": {"env": list(entries)}, "annotations": {VARIABLES: names}}


def test_the_variables_that_a_configuration_names_have_its_values() -> None:
    document = configured('["A","B","TYPED","NOWHERE"]', "A=1", "B=x=y", "C=3", "TYPED")
    assert public(document) == {"A": "1", "B": "x=y"}
    assert public({"process": {"env": ["A=1"]}}) == public({}) == {}
    assert public({"process": {"env": 7}, "annotations": {VARIABLES: '["A"]'}}) == {}


@pytest.mark.parametrize("names", [7, "", "{}", '"A"', "[7]", '["A"', None.__class__])
def test_what_names_no_variables_is_refused(names: object) -> None:
    with pytest.raises(LaunchError, match=VARIABLES):
        public(configured(names, "A=1"))


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (["MODE=safe", "HOME=/"], {"MODE": "safe", "HOME": None}),
        (["MODE=a secret"], {"MODE": None}),
        (["MODE="], {"MODE": None}),
        (["MODE=safe", "MODE=a secret"], {"MODE": None}),
        (["MODE=a secret", "MODE=safe"], {"MODE": None}),
        (["MODE=safe\xff", "no variable"], {"MODE": None}),
        ([], {}),
    ],
)
def test_a_value_that_no_profile_says_is_not_written(
    entries: list[str], expected: dict[str, str | None], tmp_path: Path
) -> None:
    (tmp_path / "environ").write_bytes(b"".join(entry.encode("latin-1") + b"\0" for entry in entries))
    found = environment(str(tmp_path), {"MODE": "safe"})
    assert found == expected
    assert "secret" not in json.dumps(found)
