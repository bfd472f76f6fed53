"""Calls that do the same are calls that there are, each in a family of its own."""

from __future__ import annotations

import tomllib
from pathlib import Path

from hardening_seccomp import equivalents, groups


def test_each_call_has_its_family_and_those_that_are_made_instead() -> None:
    data = tomllib.loads(Path(equivalents.__file__).with_suffix(".toml").read_text())
    found = equivalents.families()
    assert found.keys() | frozenset().union(*found.values()) <= groups.load().names
    for line in data["equivalent"]:
        assert line == " ".join(dict.fromkeys(line.split()))
        assert all(set(line.split()) <= found[name] for name in line.split())
    assert "openat" in found["creat"]
    assert "creat" not in found["openat"]
