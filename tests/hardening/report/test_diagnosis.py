"""How facts of a host are shown, whatever their type."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import attrs
import pytest

from hardening.mechanism.host import plain
from hardening.report.diagnosis import WARN, DiagnosisLine, beyond_reach, essence, facts, mechanisms, show, table
from hardening_apparmor.host import ApparmorFacts
from hardening_process.cgroups import Cgroups, Controller
from hardening_process.facts import ProcessFacts
from tests.support import shipped


@attrs.frozen
class Inner:
    """A part of a fact."""

    name: str = "n"
    empty: str = ""
    count: int = 0


@attrs.frozen
class LayerStatements:
    """A part of a fact that knows how it reads."""

    def __str__(self) -> str:
        return "as people say it"


@attrs.frozen
class Facts:
    """A fact."""

    library_version: tuple[int, ...] = (2, 6, 0)
    there: bool = True
    inner: Inner = Inner()
    secret: str = attrs.field(default="hidden", repr=False)
    _handle: int = 7


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        ("", "none"),
        (False, "no"),
        (3, "3"),
        ("a\n b", "a b"),
        ((), "none"),
        ((1, 2), "1, 2"),
        (((1, 2), (3, 4)), "(1, 2), (3, 4)"),
        (frozenset({"b", "a"}), "a, b"),
        ({"a": True}, "a yes"),
        (Inner(), "name n, count 0"),
        (LayerStatements(), "as people say it"),
    ],
)
def test_a_fact_as_people_read_it(value: Any, text: str) -> None:
    assert show(value) == text


def test_long_facts_are_counted_and_whole() -> None:
    text = show(tuple(range(1000)))
    assert text.startswith("1000: 0, 1, 2")
    assert text.endswith(" 999")


def test_every_field_of_a_fact_is_a_line_but_those_without_repr() -> None:
    host = attrs.evolve(plain(), facts=MappingProxyType({Facts: Facts()}))
    assert [(line.name, line.detail) for line in facts(host)] == [
        ("library version", "2.6.0"),
        ("there", "yes"),
        ("inner", "name n, count 0"),
    ]


@pytest.mark.parametrize(("inactive", "told"), [("not built", ["inactive"]), ("", ["inactive", "enforcing"])])
def test_what_is_not_active_has_no_state(inactive: str, told: list[str]) -> None:
    @attrs.frozen
    class Switched:
        inactive: str
        enforcing: bool = True

    host = attrs.evolve(plain(), facts=MappingProxyType({Switched: Switched(inactive)}))
    assert [line.name for line in facts(host)] == told


def test_what_no_host_enforces_is_not_said_to_be_enforced() -> None:
    plugins, host = shipped.here()
    lines = {line.name: line.detail for line in mechanisms(shipped.composed(["default"]), host)}
    unable = {item.name for item in plugins.mechanisms if not item.may_fall_short}
    assert unable
    assert {name for name in unable if lines[name] == "needs nothing of this host"} == unable
    assert lines["capabilities"] == "enforced"


@pytest.mark.parametrize(("inactive", "state"), [("not built", "not asked for"), ("", "enforced")])
def test_of_what_the_host_has_not_nothing_is_enforced_where_nothing_is_asked_for(inactive: str, state: str) -> None:
    _, host = shipped.here()
    known = {**host.facts, ApparmorFacts: ApparmorFacts(inactive)}
    host = attrs.evolve(host, facts=MappingProxyType(known))
    found = [line for line in mechanisms(shipped.composed(["default"]), host) if line.name == "apparmor"]
    assert [line.detail for line in found] == [state]
    assert [line.name for line in essence(found)] == [state]


def test_what_this_caller_cannot_limit_is_told_though_nothing_asks_for_it() -> None:
    _, host = shipped.here()
    problem = Controller(1, problem="the caller may not write to /sys", remedy="run as root")
    groups = Cgroups("v1", {"memory": Controller(2, "/"), "pids": problem, "cpu": Controller(2, "/")})
    known = {**host.facts, ProcessFacts: attrs.evolve(host.of(ProcessFacts), cgroups=groups)}
    (line,) = beyond_reach(attrs.evolve(host, facts=MappingProxyType(known)))
    assert essence([line]) == [line]
    assert line.detail == "not for this caller: pids (the caller may not write to /sys)"


def test_a_remedy_stands_below_what_it_is_for() -> None:
    lines = [
        DiagnosisLine("runtime", "crun", WARN, "not installed", "install it"),
        DiagnosisLine("host", "user", "", "uid 0"),
    ]
    assert table(lines).rows == (
        ("runtime", "crun", WARN, "not installed"),
        ("", "", "", "hint: install it"),
        ("host", "user", "", "uid 0"),
    )
