"""The laws of composition, for every installed mechanism and every kind that its settings use."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardening.mechanism import host
from hardening.mechanism.kinds import Kind
from hardening.mechanism.mechanism import Mechanism
from hardening.mechanism.schema import Family
from hardening.plugin import plugins
from hardening.testing.laws import check_kind, check_mechanism, check_stack
from tests.laws.stacks import stacks
from tests.support.sample import examples, is_whole

INSTALLED = plugins.load().mechanisms
HOST = host.probe(INSTALLED)


def _others(mechanism: Mechanism[Any]) -> list[Mechanism[Any]]:
    return [other for other in INSTALLED if other.name in mechanism.after]


def _kinds() -> list[Any]:
    """Each kind once: settings often share one."""
    found: dict[int, Any] = {}
    for mechanism in INSTALLED:
        for setting in mechanism.schema.settings.values():
            listed = isinstance(setting, Family) and setting.listed
            found.setdefault(id(setting.kind), pytest.param(setting.kind, listed, id=str(mechanism.leaf(setting.name))))
    return list(found.values())


@pytest.mark.parametrize(("kind", "listed"), _kinds())
def test_kind_is_lawful(kind: Kind[Any], listed: bool) -> None:
    assert check_kind(kind, written=not listed) == []


@pytest.mark.parametrize("mechanism", INSTALLED, ids=lambda mechanism: mechanism.name)
def test_mechanism_is_lawful(mechanism: Mechanism[Any], pytestconfig: pytest.Config) -> None:
    stacks = 60 if is_whole(pytestconfig) else 12
    assert check_mechanism(mechanism, HOST, _others(mechanism), stacks=stacks) == []


@pytest.mark.parametrize("mechanism", INSTALLED, ids=lambda mechanism: mechanism.name)
@given(data=st.data())
@settings(max_examples=examples(40))
def test_any_stack_of_samples_is_lawful(mechanism: Mechanism[Any], data: st.DataObject) -> None:
    stack = data.draw(stacks(mechanism))
    assert check_stack(mechanism, HOST, stack, _others(mechanism)) == []
