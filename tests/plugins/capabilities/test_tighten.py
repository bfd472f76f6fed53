"""What tightening makes of a foreign configuration's capabilities."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hardening.assemble.spec import assemble
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Context, Violation
from hardening_capabilities import Capabilities, CapabilitiesSettings
from hardening_capabilities.spec import SETS, sets_of
from tests.plugins.capabilities.stacks import host
from tests.plugins.capabilities.test_spec import NAMES, settings


def tightened(chosen: CapabilitiesSettings, document: Mapping[str, Any]) -> tuple[dict[str, Any], list[Violation]]:
    fragment = Fragment("capabilities")
    violations = list(Capabilities().tighten(chosen, document, Context(host(), {}), fragment))
    return dict(assemble([fragment], document).document), violations


def test_tighten_adds_the_sets_that_a_configuration_lacks() -> None:
    document, violations = tightened(settings("KILL"), {"process": {"args": ["true"]}})
    assert document["process"]["capabilities"] == {name: [] for name in SETS}
    assert document["process"]["noNewPrivileges"] is True
    assert violations == []


def test_tighten_names_what_was_asked_for_beyond() -> None:
    foreign = {"process": {"capabilities": {"bounding": ["CAP_KILL", "CAP_SYS_ADMIN"], "ambient": ["CAP_KILL"]},
                           "noNewPrivileges": False}}  # fmt: skip
    document, violations = tightened(settings("KILL"), foreign)
    assert document["process"]["capabilities"]["bounding"] == ["CAP_KILL"]
    assert document["process"]["capabilities"]["ambient"] == []
    assert [(item.leaf, item.pointer) for item in violations] == [
        ("capabilities.SYS_ADMIN", "/process/capabilities"),
        ("capabilities.KILL", "/process/capabilities/ambient"),
        ("capabilities.no_new_privileges", "/process/noNewPrivileges"),
    ]


def test_tighten_keeps_a_flag_that_is_stricter() -> None:
    foreign = {"process": {"noNewPrivileges": True}}
    assert tightened(settings(no_new_privileges=False), foreign)[0]["process"]["noNewPrivileges"] is True


def test_tighten_says_what_is_for_root_alone() -> None:
    foreign = {"process": {"user": {"uid": 1000}, "capabilities": {name: ["CAP_KILL", "CAP_CHOWN"] for name in SETS}}}
    document, violations = tightened(settings("KILL", root=["CHOWN"]), foreign)
    kept = {name: ["CAP_KILL"] for name in SETS} | {"bounding": ["CAP_CHOWN", "CAP_KILL"]}
    assert document["process"]["capabilities"] == kept
    assert {(item.leaf, item.allowed) for item in violations} == {("capabilities.CHOWN", "for uid 0 alone")}


@given(NAMES, NAMES, st.dictionaries(st.sampled_from(SETS), NAMES), st.sampled_from([None, 0, 1000]), st.booleans())
def test_tightening_is_nowhere_looser_and_idempotent(
    kept: set[str], root: set[str], asked: dict[str, set[str]], uid: int | None, flag: bool
) -> None:
    foreign: dict[str, Any] = {"process": {"capabilities": {k: [f"CAP_{n}" for n in v] for k, v in asked.items()}}}
    if uid is not None:
        foreign["process"]["user"] = {"uid": uid}
    before = copy.deepcopy(foreign)
    chosen = settings(*kept, root=root, no_new_privileges=flag)
    allowed = kept | root
    document, violations = tightened(chosen, foreign)
    assert foreign == before
    bound = sets_of(allowed, kept, root=not uid)
    for name in SETS:
        wanted = set(foreign["process"]["capabilities"].get(name, ()))
        assert set(document["process"]["capabilities"][name]) == wanted & set(bound[name])
    beyond = {n for names in asked.values() for n in names} - allowed
    assert {item.leaf for item in violations if item.pointer == "/process/capabilities"} == {
        f"capabilities.{name}" for name in beyond
    }
    assert tightened(chosen, document) == (document, [])
