"""The table `[learnt]` of a layer: read strictly, and written as it is read."""

from __future__ import annotations

from datetime import date

import pytest

from hardening.errors import ProfileError
from hardening.profile.fingerprint import Fingerprint, read
from hardening.profile.layers import parse_layer
from hardening.profile.source import command_line

DIGEST = f"sha256:{'0' * 64}"
WHOLE = {"on": "2026-11-29", "kernels": ["6.1.0 x86_64"], "packages": ["libc6 2.41-12"], "files": {"/opt/a": DIGEST}}


def _read(table: object) -> Fingerprint:
    return read(command_line({}, {}).root.child("learnt", table))


def test_it_is_written_as_it_is_read() -> None:
    found = _read(WHOLE)
    assert found.on == date(2026, 11, 29)
    assert found.table() == WHOLE
    assert _read({"on": "2026-11-29", "kernels": []}).table() == {"on": "2026-11-29", "kernels": []}


@pytest.mark.parametrize(
    "changed",
    [
        {"more": 1},
        {"on": "today"},
        {"on": None},
        {"kernels": [1]},
        {"kernels": ["6.1.0"]},
        {"packages": ["libc6"]},
        {"packages": ["libc6 2.41 12"]},
        {"files": {"opt/a": DIGEST}},
        {"files": {"/opt/a": "sha256:0"}},
        {"files": ["/opt/a"]},
    ],
)
def test_anything_else_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(ProfileError):
        _read({key: value for key, value in {**WHOLE, **changed}.items() if value is not None})


def test_a_layer_has_it() -> None:
    found = parse_layer(command_line({"learnt": WHOLE}, {})).learnt
    assert found is not None
    assert found.packages == ("libc6 2.41-12",)
    assert parse_layer(command_line({}, {})).learnt is None
    with pytest.raises(ProfileError):
        parse_layer(command_line({"learnt": {}}, {}))
