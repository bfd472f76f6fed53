"""What is said about settings, and how a receipt is held against them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from hardening.findings import Severity
from hardening.host import Host
from hardening_namespaces.facts import PROC_NAMES
from hardening_namespaces.findings import findings, verify
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


def receipt(**changes: Any) -> dict[str, Any]:
    own = {PROC_NAMES[name]: f"{PROC_NAMES[name]}:[{number}]" for number, name in enumerate(TYPES)}
    caller = {PROC_NAMES[name]: f"{PROC_NAMES[name]}:[9{number}]" for number, name in enumerate(TYPES)}
    rows = "         0 1878982656      65536"
    return {"namespaces": own, "caller_namespaces": caller, "uid_map": rows, "gid_map": rows} | changes


def failing(body: str, found: dict[str, Any]) -> list[str]:
    return [check.leaf for check in verify(settings(body), found) if not check.holds]


def test_a_receipt_that_holds() -> None:
    assert failing("", receipt()) == []
    assert len(list(verify(settings(), receipt()))) == len(TYPES) + 2


@pytest.mark.parametrize("name", TYPES)
def test_a_namespace_that_the_kernel_shares(name: str) -> None:
    found = receipt()
    found["namespaces"][PROC_NAMES[name]] = found["caller_namespaces"][PROC_NAMES[name]]
    assert failing("", found) == [f"namespaces.{name}"]
    assert failing(f'{name} = "host"', found) == []
    found["namespaces"][PROC_NAMES[name]] = found["caller_namespaces"][PROC_NAMES[name]] = None
    assert failing("", found) == [f"namespaces.{name}"]


def test_a_joined_namespace_is_the_one_named(tmp_path: Path) -> None:
    found = receipt()
    found["namespaces"]["net"] = os.readlink("/proc/self/ns/net")
    assert failing('net = "/proc/self/ns/net"', found) == []
    assert failing(f'net = "{tmp_path}"', found) == ["namespaces.net"]


def test_maps_of_the_whole_host_or_none_do_not_hold() -> None:
    whole = "         0          0 4294967295"
    assert failing("", receipt(uid_map=whole, gid_map=whole)) == ["namespaces.uid_map", "namespaces.gid_map"]
    assert failing("", receipt(uid_map="")) == ["namespaces.uid_map"]
    assert failing('user = "host"', receipt(uid_map=whole, gid_map=whole)) == []


def test_explicit_maps_are_held_against_the_kernels() -> None:
    body = 'uid_map = ["0:1878982656:65536"]\ngid_map = ["0:7:1"]'
    assert failing(body, receipt()) == ["namespaces.gid_map"]
