"""What came of what was asked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import attrs
import pytest

from hardening.assemble.enforcement import enforcement, refusal
from hardening.cli.session import Request
from hardening.compose.composition import Composition, compose
from hardening.errors import PluginError
from hardening.mechanism import host
from hardening.mechanism.mechanism import Mechanism, Unsupported
from hardening.mechanism.schema import WILDCARD, Family, Leaf
from hardening.plugin import plugins
from hardening.profile.layers import Stack
from hardening.profile.source import command_line
from hardening.testing.laws import NOTHING, Case, Values, to_layer
from tests.hardening.cli.samples import profile, session
from tests.support.thirdparty.acme_quota import Quota

INSTALLED = plugins.load().mechanisms
HOST = host.probe([*INSTALLED, Quota()])


@pytest.mark.parametrize(
    ("leaves", "state"),
    [
        ({}, "enforced"),
        ({"box.size": False}, "partly"),
        ({"box.enabled": False}, "partly"),
        ({"box.closed": True, "box.size": False}, "not enforced"),
    ],
)
def test_the_state_of_a_mechanism(leaves: dict[str, bool], state: str, tmp_path: Path) -> None:
    profile(tmp_path, "default", "[box]\nrequirement = 'best-effort'\n")
    composition = session(tmp_path).compose(Request(("default",)))
    unsupported = [Unsupported(leaf, "reason", "", whole=whole) for leaf, whole in leaves.items()]
    unsupported.append(Unsupported("other.thing", "reason", "", whole=True))
    (found,) = enforcement(composition, unsupported, HOST)
    assert (found.mechanism, found.requirement, found.state) == ("box", "best-effort", state)
    assert [item.leaf for item in found.unsupported] == list(leaves)


@pytest.mark.parametrize(
    ("leaf", "requirement", "names"),
    [
        ("other.thing", "", "[other] has no setting 'requirement'"),
        ("box.size", "box.none", "[box] has no setting 'none'"),
    ],
)
def test_a_gap_of_what_is_not_there_is_its_plugin_s_fault(
    leaf: str, requirement: str, names: str, tmp_path: Path
) -> None:
    profile(tmp_path, "default", "")
    composition = session(tmp_path).compose(Request(("default",)))
    with pytest.raises(PluginError, match=re.escape(names)):
        refusal(composition, Unsupported(leaf, "reason", "", requirement=requirement))


def _composed(mechanism: Mechanism[Any], statements: Values = NOTHING, limits: Values = NOTHING) -> Composition:
    others = [other for other in INSTALLED if other.name in mechanism.after]
    layer = to_layer(mechanism, Case({("requirement", ""): "best-effort", **statements}, limits), "layer")
    return compose(Stack((layer,)), [mechanism, *others], HOST, date(2026, 1, 1))


def _limits(mechanism: Mechanism[Any]) -> Iterator[tuple[Leaf, Values]]:
    """Each leaf that can be limited, with a limit for it."""
    for setting, member, value in mechanism.samples():
        declared = mechanism.schema.settings[setting]
        if declared.kind.unordered or setting == "requirement":
            continue
        listed = isinstance(declared, Family) and declared.listed
        rest = {(setting, WILDCARD): declared.absent} if isinstance(declared, Family) and listed else {}
        yield mechanism.leaf(setting, member), {(setting, member): value, **rest}


def _names(leaf: Leaf) -> Iterator[tuple[str, bool]]:
    """How a gap may name a leaf: itself, its family, and the mechanism as a whole."""
    yield str(leaf), False
    if leaf.member:
        yield str(Leaf(leaf.mechanism, leaf.setting)), False
        yield str(Leaf(leaf.mechanism, leaf.setting, WILDCARD)), False
    yield leaf.mechanism, False
    yield f"{leaf.mechanism}.requirement", True


@pytest.mark.parametrize("mechanism", [Quota(), *INSTALLED], ids=lambda mechanism: mechanism.name)
def test_what_cannot_be_enforced_of_a_limit_is_waived_by_nothing(mechanism: Mechanism[Any]) -> None:
    free = _composed(mechanism)
    tried = 0
    for leaf, limits in _limits(mechanism):
        composition = _composed(mechanism, limits=limits)
        for name, whole in _names(leaf):
            lacking = Unsupported(name, "reason", "dig", whole=whole)
            assert refusal(free, lacking) is None, name
            error = refusal(composition, lacking)
            assert error is not None, (name, limits)
            assert "limited to" in error.message
            assert "layer.toml:1" in error.message
            assert error.exit_code == 125
            assert "waives no limit" in (error.hint or "")
            assert refusal(composition, attrs.evolve(lacking, tolerated=True)) is None, (
                "what is stricter is not a violation"
            )
            tried += 1
    assert tried


def test_a_limit_of_another_leaf_stops_nothing() -> None:
    composition = _composed(Quota(), limits={("files", ""): 1, ("sizes", "core"): 1})
    assert refusal(composition, Unsupported("quota.files", "reason", "")) is not None
    for other in ("quota.strict", "quota.beyond.mode", "quota.sizes.log", "quota.colours", "quota.file"):
        found = refusal(composition, Unsupported(other, "reason", ""))
        assert (found is None) is (other != "quota.file"), "a name of no leaf may mean any of them"


def test_a_limit_of_all_members_is_one_of_those_that_nobody_names() -> None:
    composition = _composed(Quota(), limits={("colours", "*"): False})
    assert refusal(composition, Unsupported("quota.colours.blue", "reason", "")) is not None


def test_what_the_command_line_asks_for_it_can_waive(tmp_path: Path) -> None:
    profile(tmp_path, "default", "[box]\nsize = 5\n")
    typed = Request(("default",), command_line({"box": {"size": 3}}, {("box", "size"): "--size 3"}))
    found = refusal(session(tmp_path).compose(typed), Unsupported("box.size", "reason", "dig"))
    assert found is not None
    assert (found.origin, found.hint) == ("--size 3", "dig, or add --set box.requirement=best-effort")


@pytest.mark.parametrize(
    ("table", "lacking", "hint"),
    [
        ("size = 3", Unsupported("box.size", "reason", "dig"), 'dig, or set requirement = "best-effort" in [box]'),
        ("size = 3", Unsupported("box.size", "reason", ""), 'set requirement = "best-effort" in [box]'),
        ("requirement = 'best-effort'", Unsupported("box.size", "reason", "dig"), None),
        ("size = 3", Unsupported("box.size", "reason", "dig", tolerated=True), None),
    ],
)
def test_where_a_requirement_waives_it_is_told_which_and_who_asked(
    table: str, lacking: Unsupported, hint: str | None, tmp_path: Path
) -> None:
    path = profile(tmp_path, "default", f"[box]\n{table}\n")
    found = refusal(session(tmp_path).compose(Request(("default",))), lacking)
    assert (found and found.hint) == hint
    if found is not None:
        assert found.origin == f"{path}:2"
