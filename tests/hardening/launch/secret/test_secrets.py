"""The annotation that names secrets, read strictly, and what is handed over for it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.errors import LaunchError
from hardening.launch.config.bundle import SECRETS
from hardening.launch.secret import secrets
from hardening.launch.secret.secrets import Secret

ROW = {"name": "db", "type": "mount", "target": "/run/secrets/db"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*ROW, "uid", "mode", "x"]), inner),
    max_leaves=12,
)


def refused(rows: object) -> str:
    with pytest.raises(LaunchError) as caught:
        secrets.parse(json.dumps(rows))
    return str(caught.value)


def test_rows_become_secrets() -> None:
    rows = [ROW, {**ROW, "name": "b", "target": "/etc/b", "mode": 0o440, "uid": 1, "gid": 2}]
    found = secrets.parse(json.dumps([*rows, {"name": "c", "type": "env", "target": "C"}]))
    assert found == (
        Secret(name="db", kind="mount", target="/run/secrets/db"),
        Secret(name="b", kind="mount", target="/etc/b", mode=0o440, uid=1, gid=2),
        Secret(name="c", kind="env", target="C"),
    )
    assert [secret.inside for secret in found] == ["db", "", ""]
    assert secrets.named({"annotations": {SECRETS: json.dumps([ROW])}}) == found[:1]
    assert secrets.named({"annotations": {}}) == secrets.named({}) == secrets.named([]) == ()


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ({}, "must be a JSON list"),
        ([1], "must be an object"),
        ([{**ROW, "x": 1}], "must be an object"),
        ([{"name": "db"}], "must be an object"),
        ([{**ROW, "name": ""}], "must be texts"),
        ([{**ROW, "name": "a\0"}], "must be texts"),
        ([{**ROW, "target": 1}], "must be texts"),
        ([{**ROW, "type": "volume"}], "unknown type of a secret"),
        ([{**ROW, "target": "run/secrets/db"}], "not an absolute path"),
        ([{**ROW, "target": "/run/secrets/../db"}], "not an absolute path"),
        ([{**ROW, "target": "/run//db"}], "not an absolute path"),
        ([{**ROW, "target": "/run/secrets"}], "not an absolute path"),
        ([{**ROW, "target": "/"}], "not an absolute path"),
        ([{**ROW, "mode": 0o1777}], "mode is out of range"),
        ([{**ROW, "mode": "0400"}], "mode is out of range"),
        ([{**ROW, "uid": -1}], "uid is out of range"),
        ([{**ROW, "gid": True}], "gid is out of range"),
        ([{**ROW, "type": "env", "target": "A=B"}], "without '='"),
        ([{**ROW, "type": "env", "target": "A", "mode": 256}], "neither owner nor mode"),
        ([ROW, {**ROW, "target": "/x"}], "two secrets have the name"),
        ([ROW, {**ROW, "name": "other"}], "two secrets have the target"),
    ],
)
def test_what_is_malformed_is_refused(rows: object, reason: str) -> None:
    assert reason in refused(rows)


@given(JSON)
def test_no_annotation_is_a_defect(value: Any) -> None:
    for text in (json.dumps(value), json.dumps([value]), value):
        try:
            found = secrets.parse(text)
        except LaunchError:
            continue
        assert all(isinstance(secret, Secret) for secret in found)
