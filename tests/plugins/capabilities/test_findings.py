"""What is said of dangerous capabilities, and whether a receipt is judged rightly."""

from __future__ import annotations

import pytest

from hardening.mechanism.findings import Finding, Severity
from hardening_capabilities import CapabilitiesSettings
from hardening_capabilities.findings import findings
from hardening_capabilities.table import BY_NAME
from tests.plugins.capabilities.stacks import EVERY, context, host, namespaces
from tests.plugins.capabilities.test_spec import settings


def said(chosen: CapabilitiesSettings, *others: object, bounding: frozenset[str] = EVERY) -> list[Finding]:
    return list(findings(chosen, context(host(bounding=bounding), *others)))


def test_nothing_to_say_of_the_default() -> None:
    assert said(settings()) == []
    assert said(settings("CHOWN", "KILL")) == []


@pytest.mark.parametrize("name", ["SYS_ADMIN", "SYS_PTRACE", "SYS_MODULE", "DAC_READ_SEARCH", "BPF", "NET_ADMIN"])
def test_dangerous_capabilities_come_with_a_smaller_alternative(name: str) -> None:
    (finding,) = said(settings(name))
    assert (finding.rule, finding.severity) == ("capabilities/dangerous", Severity.WARNING)
    assert finding.leaf == f"capabilities.{name}"
    assert BY_NAME[name].risk in finding.message
    assert BY_NAME[name].instead in finding.hint


def test_in_a_user_namespace_danger_is_a_note() -> None:
    (finding,) = said(settings("SYS_ADMIN"), namespaces(user="private"))
    assert finding.severity is Severity.NOTE


NETWORK = ("NET_ADMIN", "NET_BIND_SERVICE", "NET_RAW")


@pytest.mark.parametrize("name", NETWORK)
def test_a_capability_over_a_network_of_another_user_namespace_has_no_effect(name: str) -> None:
    rules = {finding.rule: finding for finding in said(settings(name), namespaces(user="private", net="host"))}
    finding = rules["capabilities/no-effect"]
    assert (finding.leaf, finding.severity) == (f"capabilities.{name}", Severity.WARNING)


@pytest.mark.parametrize("places", [{"net": "private"}, {"user": "host"}, {"net": "/run/netns/web"}])
def test_where_the_network_belongs_to_the_command_or_user_ids_are_shared_it_has_one(places: dict[str, str]) -> None:
    chosen = namespaces(**{"user": "private", "net": "host"} | places)
    assert not [finding for finding in said(settings(*NETWORK), chosen) if finding.rule == "capabilities/no-effect"]
    assert said(settings("KILL"), namespaces(user="private", net="host")) == []


def test_the_cut_of_the_host_is_said() -> None:
    (finding,) = said(settings("SYS_RESOURCE"), bounding=frozenset())
    assert (finding.rule, finding.leaf) == ("capabilities/cut-by-host", "capabilities.SYS_RESOURCE")
    assert said(settings("SYS_RESOURCE"), namespaces(user="private"), bounding=frozenset()) == []


def test_privileges_that_can_be_gained_are_said() -> None:
    (finding,) = said(settings(no_new_privileges=False))
    assert finding.rule == "capabilities/new-privileges"
