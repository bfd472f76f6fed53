"""What `explain` says of loosenings holds of every leaf of every mechanism, also of those that no layer names."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any

import attrs
import pytest

from hardening.compose.fold import Resolved
from hardening.errors import HardeningError
from hardening.mechanism import host
from hardening.mechanism.mechanism import Mechanism
from hardening.mechanism.schema import Scalar, Setting
from hardening.plugin import plugins
from hardening.profile.layers import Stack, parse_layer
from hardening.profile.source import Document, Node, command_line
from hardening.why.attempt import Attempt, attempt
from hardening.why.loosen import refusal_of, smallest
from tests.support.sample import is_whole

INSTALLED = plugins.load().mechanisms
HOST = host.probe(INSTALLED)
TODAY = date(2026, 1, 1)
LENIENT = {"selinux": {"requirement": "best-effort"}}
#: Members that no default and no example of a family has, and that some family can have.
OTHERS = ("another", "/another", "socket", "ptrace", "nofile")


def _composed(*tables: dict[str, Any]) -> Attempt:
    layers = [
        parse_layer(Document(name, Path(f"/{name}.toml"), table, {}))
        for name, table in zip(("base", "later"), tables, strict=False)
    ]
    return attempt(Stack(tuple(layers)), INSTALLED, HOST, TODAY)


def _members(setting: Setting) -> Iterator[str]:
    if isinstance(setting, Scalar):
        yield ""
        return
    for member in dict.fromkeys([*list(setting.default)[:2], *setting.examples, *OTHERS]):
        with suppress(HardeningError):
            yield setting.read_member(Node(member, ("a",), command_line({}, {})))


def _leaves(tried: Attempt, mechanism: Mechanism[Any], most: int | None) -> Iterator[Resolved]:
    """Of each setting, of a family at most so many members."""
    for setting in mechanism.schema.settings.values():
        for member in islice(_members(setting), most):
            entry = tried.composition.at(mechanism, setting.name, member)
            yield attrs.evolve(entry, leaf=mechanism.leaf(setting.name, member))


@pytest.mark.sampled
@pytest.mark.parametrize("complete", [False, True])
@pytest.mark.parametrize("mechanism", INSTALLED, ids=lambda mechanism: mechanism.name)
def test_a_loosening_works_when_pasted_and_there_is_none_only_where_none_works(
    mechanism: Mechanism[Any], complete: bool, pytestconfig: pytest.Config
) -> None:
    base = {**LENIENT, "complete": True} if complete else LENIENT
    tried = _composed(base)
    assert tried.error is None
    for entry in _leaves(tried, mechanism, None if is_whole(pytestconfig) else 2):
        setting, member, kind = entry.leaf.setting, entry.leaf.member, entry.kind
        way = smallest(tried, mechanism, entry)
        if way is not None and not way.barrier:
            after = _composed(base, tomllib.loads(way.toml))
            assert after.error is None, (entry.leaf, way, after.error)
            assert refusal_of(tried, after.composition) is None, (entry.leaf, way)
            value = after.composition.at(mechanism, setting, member).value
            assert kind.is_no_looser_than(entry.value, value), (entry.leaf, way)
            assert not kind.is_no_looser_than(value, entry.value), (entry.leaf, way)
            continue
        assert way is None or not kind.is_loosest(entry.value), (entry.leaf, way)
        samples = kind.samples() if not kind.unordered else ()
        for sample in samples:
            if kind.is_no_looser_than(sample, entry.value) or not kind.is_no_looser_than(entry.value, sample):
                continue
            table = mechanism.dump({(setting, member): sample})
            said = {"exceptions": [{"setting": str(entry.leaf), "reason": "a test"}], mechanism.name: table}
            after = _composed(base, said)
            if after.error is None and refusal_of(tried, after.composition) is None:
                assert after.composition.at(mechanism, setting, member).value == entry.value, (entry.leaf, sample, way)
