from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

from hardening import pipeline, statements
from hardening.cli.session import Request
from hardening.launch import bundle, record
from tests.hardening.cli.samples import profile, session


def test_a_bundle_says_how_it_was_composed_and_the_stage_understands_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = profile(tmp_path, "first", "[box]\nsize = 5\n")
    profile(
        tmp_path,
        "second",
        'extends = ["./first.toml"]\n[[exceptions]]\nsetting = "box.size"\nreason = "more things"\nticket = "T-7"\n'
        "expires = 2099-01-01\n[box]\nsize = 7\n",
    )
    here = session(tmp_path)
    composition = here.compose(Request(("./second.toml",)))
    plan = pipeline.plan(here.plugins, composition, here.host, ("true",))
    facts = record.Facts()
    record.read_annotations(facts, plan.spec.document["annotations"], "")
    assert [item["name"] for item in facts.profiles] == ["first", "second"]
    assert facts.profiles[0]["sha256"] == sha256(first.read_bytes()).hexdigest()
    (exception,) = facts.exceptions
    assert (exception["setting"], exception["reason"], exception["ticket"]) == ("box.size", "more things", "T-7")
    assert exception["expires"] == "2099-01-01"
    assert str(exception["origin"]).endswith("second.toml:2")
    assert facts.mechanisms["enforced"] == ["box"]


def test_statements_are_left_out_of_a_comparison() -> None:
    said = {bundle.PROFILES: "[]", bundle.MECHANISMS: "{}"}
    ours = {"annotations": {"x": "y", **said}}
    assert statements.with_statements_of(ours, {"annotations": {"x": "y"}}) == ours
    assert statements.with_statements_of({"annotations": said}, {"root": {}}) == {"root": {}, "annotations": said}
    assert statements.with_statements_of({}, ours) == {"annotations": {"x": "y"}}
    assert statements.with_statements_of({}, {}) == {}
    assert json.loads(said[bundle.PROFILES]) == []
