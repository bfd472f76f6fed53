"""`complete = true` means what it says, of every leaf of every mechanism; and a flat profile says the same as its stack."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardening.compose.composition import Composition, compose
from hardening.compose.fold import LayerStatements
from hardening.compose.part import fold_all
from hardening.errors import HardeningError
from hardening.mechanism import host
from hardening.mechanism.mechanism import Mechanism
from hardening.mechanism.schema import WILDCARD, Leaf, Scalar, Setting, Statement
from hardening.plugin import plugins
from hardening.profile.layers import Layer, Stack, parse_layer
from hardening.profile.source import Document, Origin
from hardening.report.settings import profile
from hardening.testing.laws import Case, equivalent, to_layer
from tests.laws.stacks import cases
from tests.support.sample import examples, is_whole
from tests.support.thirdparty.acme_quota import Quota

INSTALLED = [*plugins.load().mechanisms, Quota()]
HOST = host.probe(INSTALLED)
each = pytest.mark.parametrize("mechanism", INSTALLED, ids=lambda mechanism: mechanism.name)


def _members(setting: Setting) -> Iterator[tuple[str, Any]]:
    """Every leaf of a setting that has a name, with its strict default."""
    if isinstance(setting, Scalar):
        yield "", setting.default
        return
    for member in dict.fromkeys([*setting.default, *setting.examples, "another", WILDCARD]):
        yield member, setting.default.get(member, setting.rest)


@each
@pytest.mark.parametrize("is_upper_bound", [False, True])
def test_no_later_value_of_any_leaf_loosens_what_a_complete_layer_closed(
    mechanism: Mechanism[Any], is_upper_bound: bool
) -> None:
    closing, later = to_layer(mechanism, Case(complete=True), "base"), to_layer(mechanism, Case(), "later")
    refused = 0
    for setting in mechanism.schema.settings.values():
        if setting.kind.unordered or setting.kind.identity:
            continue
        defaults = dict(_members(setting))
        for value in setting.kind.samples():
            statements = {
                (setting.name, member): Statement(
                    setting.name, member, value, Origin("later", "later.toml:1"), is_upper_bound
                )
                for member in defaults
            }
            stating = [LayerStatements(0, closing, {}, {}, {}), LayerStatements(1, later, statements, {}, {})]
            resolved, problems = fold_all(mechanism, stating, {})
            for leaf, found in resolved.items():
                if leaf.setting == setting.name and leaf.member in defaults:
                    assert setting.kind.is_no_looser_than(found.value, defaults[leaf.member]), (leaf, found.shown)
            refused += len(problems)
    assert is_upper_bound or refused, "there is something to loosen"


def test_only_which_root_it_is_stays_open() -> None:
    settings_of = [(mechanism, setting) for mechanism in INSTALLED for setting in mechanism.schema.settings.values()]
    assert [str(mechanism.leaf(setting.name)) for mechanism, setting in settings_of if setting.kind.identity] == [
        "rootfs.path"
    ]


@each
def test_an_exception_opens_its_own_leaf_again(mechanism: Mechanism[Any], pytestconfig: pytest.Config) -> None:
    """An ordinary run tries one value of each setting."""
    kinds = {name: setting.kind for name, setting in mechanism.schema.settings.items()}
    samples = [one for one in mechanism.samples() if one[1] != WILDCARD and not kinds[one[0]].unordered]
    if not is_whole(pytestconfig):
        samples = [*{setting: (setting, member, value) for setting, member, value in samples}.values()]
    opened = set[str]()
    for setting, member, value in samples:
        later = Case({(setting, member): value}, exceptions=frozenset({(setting, member)}))
        composed = _composed([to_layer(mechanism, Case(complete=True), "base"), to_layer(mechanism, later, "later")])
        if isinstance(composed, Composition):
            opened.add(setting)
            assert equivalent(kinds[setting], composed.at(mechanism, setting, member).value, value)
    assert opened == {setting for setting, _, _ in samples}


def _composed(layers: Sequence[Layer]) -> Composition | HardeningError:
    try:
        return compose(Stack(tuple(layers)), INSTALLED, HOST, date(2000, 1, 1))
    except HardeningError as error:
        return error


def _flat(composed: Composition) -> Layer:
    return parse_layer(Document("flat", Path("flat.toml"), tomllib.loads(profile(composed)), {}))


def _require_alike(composed: Composition, other: Composition | HardeningError) -> None:
    assert isinstance(other, Composition), other
    for leaf in composed.leaves.keys() | other.leaves.keys():
        mechanism = next(item for item in INSTALLED if item.name == leaf.mechanism)
        one, two = (item.at(mechanism, leaf.setting, leaf.member) for item in (composed, other))
        alike = equivalent(one.kind, one.value, two.value) and one.stated == two.stated
        assert alike, (leaf, one.shown, two.shown)
        assert bool(one.limit_origin) == bool(two.limit_origin), leaf
        assert not one.limit_origin or equivalent(one.kind, one.limit, two.limit), leaf
    assert composed.settings.keys() == other.settings.keys()


@pytest.mark.parametrize(
    "text", ["", "[rootfs]\n", "[process]\nenvironment.drop = ['LANG']\n", "[limits.process]\ngroups = []\n"]
)
def test_a_complete_layer_and_one_flat_profile_say_the_same(text: str) -> None:
    base = parse_layer(Document("base", Path("base.toml"), {"complete": True}, {}))
    later = parse_layer(Document("later", Path("later.toml"), tomllib.loads(text), {}))
    composed = _composed([base, later])
    assert isinstance(composed, Composition)
    _require_alike(composed, _composed([_flat(composed)]))
    # What was closed is closed in the flat profile as well.
    for member in ("LANG", "TERM"):
        assert composed.leaves[Leaf("process", "environment", member)].stated


@each
@given(data=st.data())
@settings(max_examples=examples(25))
def test_any_stack_and_its_flat_profile_say_the_same(mechanism: Mechanism[Any], data: st.DataObject) -> None:
    drawn = data.draw(st.lists(cases(mechanism), min_size=1, max_size=4))
    layers = []
    for number, case in enumerate(drawn):
        exceptions = frozenset(key for key in case.exceptions if key[1] != WILDCARD)
        layers.append(to_layer(mechanism, attrs.evolve(case, exceptions=exceptions), f"layer{number}"))
    composed = _composed(layers)
    if isinstance(composed, Composition):
        _require_alike(composed, _composed([_flat(composed)]))
