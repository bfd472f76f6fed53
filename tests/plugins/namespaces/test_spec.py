"""What `[namespaces]` contributes to the configuration."""

from __future__ import annotations

import pytest

from hardening.mechanism.mechanism import Unsupported
from hardening_namespaces.settings import TYPES
from tests.plugins.namespaces.stacks import USER, contributed, host, places


def test_the_strict_configuration() -> None:
    document = contributed()
    assert places(document) == dict.fromkeys(TYPES.values(), "private")
    assert document["hostname"] == "hardened"
    assert document["linux"]["uidMappings"] == [{"containerID": 0, "hostID": 0x6FFF0000, "size": 65536}]
    assert document["linux"]["gidMappings"] == document["linux"]["uidMappings"]
    assert not {"domainname"} & document.keys()
    assert not {"sysctl", "timeOffsets"} & document["linux"].keys()


@pytest.mark.parametrize("name", TYPES)
def test_a_shared_namespace_is_left_out_and_a_joined_one_has_its_path(name: str) -> None:
    user = '\nuser = "host"' if name == "mount" else ""
    assert TYPES[name] not in places(contributed(f'{name} = "host"{user}'))
    assert places(contributed(f'{name} = "/x"{user}'))[TYPES[name]] == "/x"


@pytest.mark.parametrize("where", ["host", "/proc/1/ns/user"])
def test_no_maps_without_a_new_user_namespace(where: str) -> None:
    assert not {"uidMappings", "gidMappings"} & contributed(f'user = "{where}"')["linux"].keys()


@pytest.mark.parametrize("where", ["host", "/proc/1/ns/uts"])
def test_no_name_for_a_namespace_of_others(where: str) -> None:
    document = contributed(f'uts = "{where}"\nhostname = "a"\ndomainname = "b"')
    assert not {"hostname", "domainname"} & document.keys()


def test_names_sysctls_and_offsets() -> None:
    document = contributed("""
        hostname = "box"
        domainname = "example.org"
        sysctls = { "net.ipv4.ip_forward" = "1", "kernel.sem" = "" }
        time_offsets = { boottime = 7, monotonic = -3 }
    """)
    assert (document["hostname"], document["domainname"]) == ("box", "example.org")
    assert document["linux"]["sysctl"] == {"net.ipv4.ip_forward": "1"}
    offsets = {"boottime": {"secs": 7, "nanosecs": 0}, "monotonic": {"secs": -3, "nanosecs": 0}}
    assert document["linux"]["timeOffsets"] == offsets


def test_what_the_host_lacks_leaves_nothing_that_would_reach_the_host() -> None:
    lacking = tuple(Unsupported(f"namespaces.{name}", "", "") for name in ("net", "uts", "time", "user"))
    document = contributed(
        'sysctls = { "net.ipv4.ip_forward" = "1", "kernel.sem" = "5" }\ntime_offsets.boottime = 1', unsupported=lacking
    )
    assert set(places(document)) == {"pid", "mount", "ipc", "cgroup"}
    assert "hostname" not in document
    assert document["linux"].keys() == {"namespaces", "sysctl"}
    assert document["linux"]["sysctl"] == {"kernel.sem": "5"}


def test_an_ordinary_user() -> None:
    rows = contributed(on=host(USER))["linux"]["uidMappings"]
    assert {"containerID": USER, "hostID": USER, "size": 1} in rows
