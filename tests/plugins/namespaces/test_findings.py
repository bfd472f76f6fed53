"""What is said about settings, and how a receipt is held against them."""

from __future__ import annotations

import pytest

from hardening.mechanism.findings import Severity
from hardening.mechanism.host import Host
from hardening_namespaces.findings import findings
from hardening_namespaces.settings import TYPES
from tests.plugins.namespaces.stacks import USER, context, host, settings


def rules(body: str = "", on: Host | None = None) -> dict[str, str]:
    return {item.rule: item.message for item in findings(settings(body), context(on))}


@pytest.mark.parametrize("uid", [0, USER])
def test_the_strict_settings_are_silent(uid: int) -> None:
    assert rules(on=host(uid)) == {}


@pytest.mark.parametrize("name", [name for name in TYPES if name != "time"])
def test_a_shared_namespace_is_named(name: str) -> None:
    assert f"namespaces/shared-{name}" in rules(f'{name} = "host"')


def test_joining_the_callers_own_namespace_counts_as_sharing() -> None:
    said = rules('net = "/proc/self/ns/net"')["namespaces/shared-net"]
    assert "which is the caller's" in said
    assert "packet capture of the host" in said
    assert "caller's" not in rules('net = "/nowhere"')["namespaces/shared-net"]


def test_fewer_ids_than_could_be() -> None:
    assert "one-id" not in "".join(rules('id_map = "one-id"', host(USER)))
    assert "newuidmap" in rules(on=host(USER, newuidmap=False))["namespaces/one-id"]


@pytest.mark.parametrize("body", ['id_map = "root"', 'id_map = "keep-id"', 'uid_map = ["5:0"]\ngid_map = ["5:9"]'])
def test_root_of_the_host_in_the_map_is_a_warning(body: str) -> None:
    found = [item for item in findings(settings(body), context()) if item.rule == "namespaces/host-root"]
    assert [item.severity for item in found] == [Severity.WARNING]


@pytest.mark.parametrize(
    "body",
    ['uts = "host"\ndomainname = "a"', 'time = "host"\ntime_offsets.boottime = 1',
     'time = "host"\ntime_offsets.monotonic = 1', 'user = "host"\nuid_map = ["0:1"]\ngid_map = ["0:1"]'],
)  # fmt: skip
def test_a_value_without_effect_is_said(body: str) -> None:
    assert "namespaces/no-effect" in rules(body)
