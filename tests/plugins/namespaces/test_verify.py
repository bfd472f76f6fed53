"""How a receipt is held against the settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from hardening.mechanism.mechanism import State
from hardening_namespaces.host import PROC_NAMES
from hardening_namespaces.settings import TYPES
from hardening_namespaces.verify import verify
from tests.plugins.namespaces.stacks import USER, context, host, settings

MAPS = ["namespaces.uid_map", "namespaces.gid_map", "namespaces.id_map"]


def receipt(uid: int = 0, **changes: Any) -> dict[str, Any]:
    """What is composed by default for a caller, unless something else is said."""
    own = {PROC_NAMES[name]: f"{PROC_NAMES[name]}:[{number}]" for number, name in enumerate(TYPES)}
    caller = {PROC_NAMES[name]: f"{PROC_NAMES[name]}:[9{number}]" for number, name in enumerate(TYPES)}
    rows = "0 100000 1000\n1000 1000 1\n1001 101000 64535" if uid else "         0 1878982656      65536"
    observed = {
        "uts": {"hostname": "hardened", "domainname": "(none)"},
        "sysctls": {},
        "new_sysctls": {},
        "effects": {},
    }
    found = {"namespaces": own, "caller_namespaces": caller, "uid_map": rows, "gid_map": rows, "setgroups": "allow"}
    found["joined"] = []
    return found | {"timens_offsets": "monotonic 0 0\nboottime 0 0", "observed": observed} | changes


def failing(body: str, found: dict[str, Any], uid: int = 0) -> list[str]:
    return [check.leaf for check in verify(settings(body), context(host(uid)), found) if not check.holds]


@pytest.mark.parametrize("uid", [0, USER])
def test_a_receipt_that_holds(uid: int) -> None:
    assert failing("", receipt(uid), uid) == []


@pytest.mark.parametrize("name", TYPES)
def test_a_namespace_that_the_kernel_shares(name: str) -> None:
    found = receipt()
    found["namespaces"][PROC_NAMES[name]] = found["caller_namespaces"][PROC_NAMES[name]]
    assert failing("", found) == [f"namespaces.{name}"]
    assert failing(f'{name} = "host"', found) == []
    found["namespaces"][PROC_NAMES[name]] = found["caller_namespaces"][PROC_NAMES[name]] = None
    assert failing("", found) == [f"namespaces.{name}"]


@pytest.mark.parametrize("name", TYPES)
def test_a_namespace_that_was_joined_is_not_the_containers_own(name: str) -> None:
    found = receipt(joined=[PROC_NAMES[name]])
    assert failing("", found) == [f"namespaces.{name}"]
    assert failing(f'{name} = "host"', found) == []


def test_a_joined_namespace_is_the_one_named(tmp_path: Path) -> None:
    found = receipt()
    found["namespaces"]["net"] = os.readlink("/proc/self/ns/net")
    assert failing('net = "/proc/self/ns/net"', found) == []
    assert failing(f'net = "{tmp_path}"', found) == ["namespaces.net"]


@pytest.mark.parametrize(
    "rows",
    ["", "0 0 4294967295", "0 0 1\n1 1878982656 65535", "0 1878982656 65537", "0 1878982656 65536\n65536 1 1"],
)
def test_every_line_of_a_map_is_compared(rows: str) -> None:
    assert failing("", receipt(uid_map=rows, gid_map=rows)) == MAPS
    assert failing("", receipt(gid_map=rows)) == MAPS[1:]


def test_whether_groups_can_be_dropped_is_a_part_of_the_map() -> None:
    assert failing("", receipt(setgroups="deny")) == ["namespaces.id_map"]
    one = receipt(USER, uid_map="1000 1000 1", gid_map="1000 1000 1")
    assert failing('id_map = "one-id"', one, USER) == ["namespaces.id_map"]
    assert failing('id_map = "one-id"', one | {"setgroups": "deny"}, USER) == []


def test_without_a_namespace_of_its_own_the_link_tells_of_the_maps() -> None:
    found = receipt(uid_map="0 0 4294967295", gid_map="0 0 4294967295")
    assert failing('user = "host"', found) == []
    found["namespaces"]["user"] = found["caller_namespaces"]["user"]
    assert failing('user = "host"', found) == []
    assert failing("", found) == ["namespaces.user", *MAPS]


def test_explicit_maps_are_the_lines_said() -> None:
    body = 'uid_map = ["0:7:1"]\ngid_map = ["0:8:1", "1:20:2"]'
    assert failing(body, receipt(uid_map="0 7 1", gid_map="1 20 2\n0 8 1")) == []
    assert failing(body, receipt(uid_map="0 7 1", gid_map="0 8 1")) == ["namespaces.gid_map", "namespaces.id_map"]


def test_names_and_clocks() -> None:
    other = receipt()["observed"] | {"uts": {"hostname": "other", "domainname": "a.b"}}
    assert failing("", receipt(observed=other)) == ["namespaces.hostname", "namespaces.domainname"]
    assert failing('hostname = "other"\ndomainname = "a.b"', receipt(observed=other)) == []
    assert failing('uts = "host"', receipt(observed=other)) == []
    late = receipt(timens_offsets="monotonic 0 0\nboottime 5 0")
    assert failing("", late) == ["namespaces.time_offsets.boottime"]
    assert failing("time_offsets.boottime = 5", late) == []


def test_no_parameter_differs_from_new_namespaces_but_those_that_are_set_and_what_they_change() -> None:
    sysctl = '[namespaces.sysctls]\n"net.ipv4.ip_forward" = "1"'
    seen = {"net.ipv4.ip_forward": "1", "net.ipv4.conf.all.forwarding": "1"}
    observed = receipt()["observed"]
    effects = {"net.ipv4.ip_forward": dict(seen)}
    observed |= {"new_sysctls": dict.fromkeys(seen, "0"), "effects": effects}
    found = receipt(observed=observed | {"sysctls": seen})
    assert failing("", found) == ["namespaces.sysctls.*"]
    assert failing(sysctl, found) == []
    assert failing(sysctl.replace('"1"', '"2"'), found) == ["namespaces.sysctls.*"]
    alias = observed | {"sysctls": seen, "effects": {"net.ipv4.conf.all.forwarding": dict(seen)}}
    assert failing(sysctl, receipt(observed=alias)) == []
    assert failing(sysctl.replace("ip_forward", "conf.all.forwarding"), found) == []
    more = observed | {"sysctls": seen | {"kernel.msgmax": "1"}}
    assert failing(sysctl, receipt(observed=more)) == ["namespaces.sysctls.*"]
    # What those that were set change has the value that they make of it, and no other.
    for value in ("0", "2"):
        other = observed | {"sysctls": seen | {"net.ipv4.conf.all.forwarding": value}}
        assert failing(sysctl, receipt(observed=other)) == ["namespaces.sysctls.*"]


@pytest.mark.parametrize("value", ["1", "0", None])
def test_the_kernel_s_word_on_a_parameter_is_what_was_read(value: str | None) -> None:
    name = "net.ipv4.conf.all.rp_filter"
    seen = {"sysctls": {name: value}, "new_sysctls": {name: "1"}} if value is not None else {}
    found = receipt(observed=receipt()["observed"] | seen)
    (line,) = [
        line for line in verify(settings(f'[namespaces.sysctls]\n"{name}" = "1"'), context(host(0)), found)
        if line.leaf == "namespaces.sysctls.*"
    ]  # fmt: skip
    assert line.holds == (value == "1")
    assert line.kernel == (f"{name}={value}" if value is not None else f"unread: {name}")
    assert failing("", found) == ([] if value != "0" else ["namespaces.sysctls.*"])


def test_what_could_not_be_entered_is_not_seen() -> None:
    lines = {line.leaf: line.state for line in verify(settings(), context(host(0)), receipt(observed={}))}
    unseen = {leaf for leaf, state in lines.items() if state is State.NOT_SEEN}
    assert unseen == {"namespaces.hostname", "namespaces.domainname", "namespaces.sysctls.*"}
