"""The five sets, and how a foreign configuration is cut down to them."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.assemble.spec import assemble
from hardening.errors import SpecError
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Context, Excess, Shortfall
from hardening.mechanism.schema import Members
from hardening_capabilities import CapabilitiesSettings
from hardening_capabilities.settings import ADDED, DROPPED, ROOT
from hardening_capabilities.spec import SETS, contribute, granted, sets_of, tighten
from hardening_capabilities.table import BY_NAME
from tests.plugins.capabilities.stacks import EVERY, context, host, namespaces

NAMES = st.sets(st.sampled_from(sorted(BY_NAME)), max_size=8)


def settings(*names: str, root: Iterable[str] = (), no_new_privileges: bool = True) -> CapabilitiesSettings:
    """``names`` for any user, and ``root`` for root alone."""
    members = Members(dict.fromkeys(root, ROOT) | dict.fromkeys(names, ADDED), DROPPED)
    return CapabilitiesSettings(members=members, no_new_privileges=no_new_privileges)


def tightened(chosen: CapabilitiesSettings, document: Mapping[str, Any]) -> tuple[dict[str, Any], list[Excess]]:
    fragment = Fragment("capabilities")
    excesses = list(tighten(chosen, document, Context(host(), {}), fragment))
    return dict(assemble([fragment], document).document), excesses


def test_root_has_three_sets_and_the_others_empty() -> None:
    sets = sets_of({"KILL", "CHOWN"}, {"KILL"}, root=True)
    full = ["CAP_CHOWN", "CAP_KILL"]
    assert sets == {"bounding": full, "effective": full, "permitted": full, "inheritable": [], "ambient": []}


def test_others_have_all_five_and_what_is_for_root_can_come_by_a_program_alone() -> None:
    assert sets_of({"KILL", "CHOWN"}, {"KILL", "CHOWN"}, root=False) == {
        name: ["CAP_CHOWN", "CAP_KILL"] for name in SETS
    }
    sets = sets_of({"KILL", "CHOWN"}, {"KILL", "BPF"}, root=False)
    assert sets == {name: ["CAP_KILL"] for name in SETS} | {"bounding": ["CAP_CHOWN", "CAP_KILL"]}


def test_the_default_contributes_five_empty_sets() -> None:
    fragment = Fragment("capabilities")
    contribute(settings(), context(host()), fragment)
    document = assemble([fragment]).document
    assert document["process"] == {"capabilities": {name: [] for name in SETS}, "noNewPrivileges": True}


def test_what_the_host_lacks_is_left_out() -> None:
    chosen = settings("KILL", "SYS_RESOURCE", "BPF")
    cut = context(host(bounding=EVERY - {"SYS_RESOURCE"}))
    assert granted(chosen, cut) == {"KILL", "BPF"}
    lacking = attrs.evolve(cut, shortfalls=(Shortfall("capabilities.BPF", "", ""),))
    assert granted(chosen, lacking) == {"KILL"}
    assert granted(chosen, context(host(last=38))) == {"KILL", "SYS_RESOURCE"}
    own = context(host(bounding=frozenset()), namespaces(user="private"))
    assert granted(chosen, own) == {"KILL", "SYS_RESOURCE", "BPF"}


def test_tighten_adds_the_sets_that_a_configuration_lacks() -> None:
    document, excesses = tightened(settings("KILL"), {"process": {"args": ["true"]}})
    assert document["process"]["capabilities"] == {name: [] for name in SETS}
    assert document["process"]["noNewPrivileges"] is True
    assert excesses == []


def test_tighten_names_what_was_asked_for_beyond() -> None:
    foreign = {"process": {"capabilities": {"bounding": ["CAP_KILL", "CAP_SYS_ADMIN"], "ambient": ["CAP_KILL"]},
                           "noNewPrivileges": False}}  # fmt: skip
    document, excesses = tightened(settings("KILL"), foreign)
    assert document["process"]["capabilities"]["bounding"] == ["CAP_KILL"]
    assert document["process"]["capabilities"]["ambient"] == []
    assert [(item.leaf, item.pointer) for item in excesses] == [
        ("capabilities.SYS_ADMIN", "/process/capabilities"),
        ("capabilities.KILL", "/process/capabilities/ambient"),
        ("capabilities.no_new_privileges", "/process/noNewPrivileges"),
    ]


def test_tighten_keeps_a_flag_that_is_stricter() -> None:
    foreign = {"process": {"noNewPrivileges": True}}
    assert tightened(settings(no_new_privileges=False), foreign)[0]["process"]["noNewPrivileges"] is True


def test_tighten_refuses_sets_of_another_shape() -> None:
    with pytest.raises(SpecError, match="array of capability names"):
        tightened(settings(), {"process": {"capabilities": {"bounding": "CAP_KILL"}}})


def test_tighten_says_what_is_for_root_alone() -> None:
    foreign = {"process": {"user": {"uid": 1000}, "capabilities": {name: ["CAP_KILL", "CAP_CHOWN"] for name in SETS}}}
    document, excesses = tightened(settings("KILL", root=["CHOWN"]), foreign)
    kept = {name: ["CAP_KILL"] for name in SETS} | {"bounding": ["CAP_CHOWN", "CAP_KILL"]}
    assert document["process"]["capabilities"] == kept
    assert {(item.leaf, item.allowed) for item in excesses} == {("capabilities.CHOWN", "for uid 0 alone")}


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
    document, excesses = tightened(chosen, foreign)
    assert foreign == before
    bound = sets_of(allowed, kept, root=not uid)
    for name in SETS:
        wanted = set(foreign["process"]["capabilities"].get(name, ()))
        assert set(document["process"]["capabilities"][name]) == wanted & set(bound[name])
    beyond = {n for names in asked.values() for n in names} - allowed
    assert {item.leaf for item in excesses if item.pointer == "/process/capabilities"} == {
        f"capabilities.{name}" for name in beyond
    }
    assert tightened(chosen, document) == (document, [])


def test_every_value_is_explained_by_leaves(tmp_path: Path) -> None:
    fragment = Fragment("capabilities")
    contribute(settings("KILL"), context(host()), fragment)
    assert fragment.values["/process/capabilities"].leaves == ("capabilities.*", "capabilities.KILL")
