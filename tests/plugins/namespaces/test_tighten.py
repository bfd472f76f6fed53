"""A foreign configuration becomes nowhere looser than the settings, and keeps what it asks for within them."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.errors import SpecError
from hardening.mechanism.idmaps import IdRange
from hardening.mechanism.mechanism import Unsupported
from hardening.mechanism.schema import Leaf
from hardening_namespaces.settings import TYPES
from tests.plugins.namespaces.stacks import USER, host, places, settings, tightened

OF_ITS_OWN = [{"containerID": 0, "hostID": 0x6FFF0000, "size": 65536}]


def document(*kinds: str, uids: list[tuple[int, int, int]] | None = None, **more: Any) -> dict[str, Any]:
    """A configuration with these private namespaces, or ``kind=path``."""
    entries: list[dict[str, Any]] = []
    for kind in kinds:
        name, _, path = kind.partition("=")
        entries.append({"type": name} | ({"path": path} if path else {}))
    linux: dict[str, Any] = {"namespaces": entries}
    if uids is not None:
        rows = [{"containerID": inside, "hostID": outside, "size": size} for inside, outside, size in uids]
        linux |= {"uidMappings": rows, "gidMappings": copy.deepcopy(rows)}
    return {"ociVersion": "1.0.2", "process": {"args": ["true"], "user": {"uid": 0, "gid": 0}}, "linux": linux} | more


def leaves(violations: Any) -> list[str]:
    return [item.leaf for item in violations]


def test_what_is_shared_becomes_private_and_is_reported() -> None:
    result, violations = tightened(document("pid", "mount"))
    assert places(result) == dict.fromkeys(TYPES.values(), "private")
    assert leaves(violations) == [f"namespaces.{name}" for name in ("ipc", "uts", "net", "cgroup", "time", "user")]
    assert result["linux"]["uidMappings"] == result["linux"]["gidMappings"] == OF_ITS_OWN
    said = violations[-1].allowed
    assert "0:1878982656:65536" in said
    assert "65534" in said


def test_what_is_joined_becomes_private_unless_the_settings_join_the_same() -> None:
    asked = document("network=/proc/1/ns/net", "pid=/proc/5/ns/pid")
    result, violations = tightened(asked, 'net = "/proc/1/ns/net"')
    assert places(result)["network"] == "/proc/1/ns/net"
    assert places(result)["pid"] == "private"
    assert "pid: /proc/5/ns/pid" in [item.asked for item in violations]
    result, _ = tightened(asked, 'net = "/proc/2/ns/net"')
    assert places(result)["network"] == "/proc/2/ns/net"


def test_what_is_private_stays_so_where_the_settings_share() -> None:
    body = "\n".join(f'{name} = "host"' for name in TYPES)
    result, violations = tightened(document(*TYPES.values(), uids=[(0, 0, 4294967295)]), body)
    assert places(result) == dict.fromkeys(TYPES.values(), "private")
    assert result["linux"]["uidMappings"] == [{"containerID": 0, "hostID": 0, "size": 4294967295}]
    assert violations == []


def test_what_is_shared_stays_so_where_the_settings_share() -> None:
    body = "\n".join(f'{name} = "host"' for name in TYPES)
    result, violations = tightened(document("network=/proc/1/ns/net"), body)
    assert places(result) == {"network": "/proc/1/ns/net"}
    assert violations == []


def test_what_the_host_lacks_is_not_added() -> None:
    lacking = (Unsupported("namespaces.user", "", ""), Unsupported("namespaces.time", "", ""))
    result, violations = tightened(document("pid"), unsupported=lacking)
    assert set(TYPES.values()) - places(result).keys() == {"user", "time"}
    assert "uidMappings" not in result["linux"]
    assert "namespaces.user" not in leaves(violations)


# --- id maps ----------------------------------------------------------------------------------------------------------

PRIVATE = tuple(TYPES.values())


@pytest.mark.parametrize(
    "uids",
    [[(0, 0x80000, 65536)], [(0, 10_000_000, 4096)], [(0, 0x6FFFFFFF, 1)], [(7, 0x80000, 1), (0, 0x90000, 7)]],
)
def test_maps_to_ids_that_are_for_containers_stay(uids: list[tuple[int, int, int]]) -> None:
    asked = document(*PRIVATE, uids=uids)
    result, violations = tightened(asked)
    assert result["linux"]["uidMappings"] == asked["linux"]["uidMappings"]
    assert violations == []


@pytest.mark.parametrize("uids", [[(0, 0, 1)], [(0, 1000, 1)], [(0, 0x80000, 10), (10, 0, 1)], [(0, 0x7FFFF, 2)]])
def test_maps_to_root_or_people_are_replaced_for_root(uids: list[tuple[int, int, int]]) -> None:
    result, violations = tightened(document(*PRIVATE, uids=uids))
    assert result["linux"]["uidMappings"] == OF_ITS_OWN
    assert {"namespaces.uid_map", "namespaces.gid_map"} == set(leaves(violations))


def test_maps_to_ids_that_subuid_gives_to_somebody_are_replaced_for_root() -> None:
    on = host(given=((493_216, 65536),))
    result, violations = tightened(document(*PRIVATE, uids=[(0, 0x80000, 65536)]), on=on)
    assert result["linux"]["uidMappings"] == OF_ITS_OWN
    assert {"namespaces.uid_map", "namespaces.gid_map"} == set(leaves(violations))
    assert tightened(document(*PRIVATE, uids=[(0, 600_000, 65536)]), on=on)[1] == []


def test_host_root_stays_where_the_settings_map_it() -> None:
    asked = document(*PRIVATE, uids=[(0, 0, 1)])
    result, violations = tightened(asked, 'id_map = "one-id"')
    assert result["linux"]["uidMappings"] == asked["linux"]["uidMappings"]
    assert violations == []


def test_an_explicit_map_is_the_ceiling() -> None:
    body = 'uid_map = ["0:600000:100"]\ngid_map = ["0:600000:100"]'
    _, violations = tightened(document(*PRIVATE, uids=[(0, 600_050, 10)]), body)
    assert violations == []
    result, violations = tightened(document(*PRIVATE, uids=[(0, 600_050, 60)]), body)
    assert result["linux"]["uidMappings"] == [{"containerID": 0, "hostID": 600_000, "size": 100}]
    assert len(violations) == 2


def test_a_rootless_configuration_keeps_its_map() -> None:
    asked = document(*PRIVATE, uids=[(0, USER, 1), (1, 100_000, 65536)])
    result, violations = tightened(asked, on=host(USER))
    assert result["linux"]["uidMappings"] == asked["linux"]["uidMappings"]
    assert violations == []


def test_an_ordinary_user_does_not_get_what_newuidmap_would_refuse() -> None:
    result, violations = tightened(document(*PRIVATE, uids=[(0, 0, 65536)]), on=host(USER))
    assert {row["hostID"] for row in result["linux"]["uidMappings"]} == {100_000, USER, 101_000}
    assert violations


def test_one_id_keeps_no_wider_map() -> None:
    asked = document(*PRIVATE, uids=[(0, USER, 1), (1, 100_000, 65536)])
    asked["process"]["user"] = {"uid": USER, "gid": USER}
    result, _ = tightened(asked, 'id_map = "one-id"', host(USER))
    assert result["linux"]["uidMappings"] == [{"containerID": USER, "hostID": USER, "size": 1}]


@pytest.mark.parametrize("body", ['id_map = "one-id"', 'uid_map = ["0:600000:100"]\ngid_map = ["0:600000:100"]'])
def test_a_limit_gives_no_ids_that_the_settings_do_not(body: str) -> None:
    def limit(leaf: Leaf, otherwise: Any = None) -> Any:
        return (IdRange(0, 100_000, 65536),) if leaf.setting in ("uid_map", "gid_map") else otherwise

    asked = document(*PRIVATE, uids=[(0, 100_000, 65536)])
    assert tightened(asked, limit=limit)[1] == []
    alone = tightened(asked, body)
    assert leaves(alone[1]) == ["namespaces.uid_map", "namespaces.gid_map"]
    assert tightened(asked, body, limit=limit) == alone


def test_a_user_that_new_maps_do_not_hold_is_refused() -> None:
    asked = document("pid")
    with pytest.raises(SpecError, match="0 is not mapped"):
        tightened(asked, 'id_map = "one-id"', host(USER))
    asked["process"]["user"] = {"uid": 5, "gid": 5, "additionalGids": [6, 70_000]}
    with pytest.raises(SpecError) as caught:
        tightened(asked)
    assert caught.value.origin == "/process/user/additionalGids/1"


def test_maps_go_with_the_namespace() -> None:
    result, _ = tightened(document("user=/proc/1/ns/user"), 'user = "/proc/1/ns/user"')
    assert not {"uidMappings", "gidMappings"} & result["linux"].keys()


def test_a_namespace_without_maps_gets_those_of_the_settings() -> None:
    result, violations = tightened(document(*PRIVATE))
    assert result["linux"]["uidMappings"] == OF_ITS_OWN
    assert violations == []
    with pytest.raises(SpecError, match="needs id maps"):
        tightened(document(*PRIVATE), 'user = "host"')


# --- names, sysctls, clocks -------------------------------------------------------------------------------------------


def test_a_host_name_of_its_own_stays() -> None:
    result, _ = tightened(document("uts", hostname="box", domainname="example.org"))
    assert (result["hostname"], result["domainname"]) == ("box", "example.org")


def test_the_hosts_name_is_not_shown() -> None:
    assert tightened(document("uts"))[0]["hostname"] == "hardened"
    assert tightened(document("pid"))[0]["hostname"] == "hardened"


def test_no_name_for_a_namespace_of_others() -> None:
    result, violations = tightened(document("pid", hostname="box", domainname="x"), 'uts = "host"')
    assert not {"hostname", "domainname"} & result.keys()
    assert {"namespaces.hostname", "namespaces.domainname"} <= set(leaves(violations))


def test_sysctls_stay_only_as_the_settings_have_them() -> None:
    asked = document(*PRIVATE, uids=[(0, 0x80000, 65536)])
    asked["linux"]["sysctl"] = {"net/ipv4/ip_forward": "1", "kernel.sem": "5", "kernel.panic": "1"}
    result, violations = tightened(asked, 'sysctls = { "net.ipv4.ip_forward" = "1", "kernel.shmmax" = "9" }')
    assert result["linux"]["sysctl"] == {"net.ipv4.ip_forward": "1", "kernel.shmmax": "9"}
    assert [item.pointer for item in violations] == ["/linux/sysctl/kernel.sem", "/linux/sysctl/kernel.panic"]
    assert "sysctl" not in tightened(asked)[0]["linux"]


@pytest.mark.parametrize(
    "name", ["net.ipv4.conf.all.forwarding", "net/ipv4/conf/all/forwarding", "net.ipv4.ip_forward"]
)
def test_a_sysctl_is_one_by_each_of_its_names(name: str) -> None:
    asked = document(*PRIVATE, uids=[(0, 0x80000, 65536)])
    asked["linux"]["sysctl"] = {name: "1"}
    result, violations = tightened(asked, 'sysctls = { "net.ipv4.conf.all.forwarding" = "1" }')
    assert (result["linux"]["sysctl"], violations) == ({"net.ipv4.ip_forward": "1"}, [])
    result, violations = tightened(asked, 'sysctls = { "net.ipv4.conf.all.forwarding" = "0" }')
    assert result["linux"]["sysctl"] == {"net.ipv4.ip_forward": "0"}
    assert leaves(violations) == ["namespaces.sysctls.net.ipv4.ip_forward"]


def test_clock_offsets_stay_in_a_time_namespace_of_its_own() -> None:
    asked = document("time")
    asked["linux"]["timeOffsets"] = {"boottime": {"secs": 5, "nanosecs": 0}}
    assert tightened(asked)[0]["linux"]["timeOffsets"] == asked["linux"]["timeOffsets"]
    joined = document("pid")
    joined["linux"]["timeOffsets"] = {"boottime": {"secs": 5, "nanosecs": 0}}
    assert "timeOffsets" not in tightened(joined, 'time = "host"')[0]["linux"]
    added = tightened(document("pid"), "time_offsets.boottime = 9")[0]["linux"]["timeOffsets"]
    assert added == {"boottime": {"secs": 9, "nanosecs": 0}}


# --- wrong input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("linux", "pointer"),
    [
        ({"namespaces": [{"type": "cpu"}]}, "/linux/namespaces/0/type"),
        ({"namespaces": [{}]}, "/linux/namespaces/0/type"),
        ({"namespaces": [{"type": "pid"}, {"type": "pid", "path": "/x"}]}, "/linux/namespaces/1"),
        ({"uidMappings": [{"containerID": 0}]}, "/linux/uidMappings/0"),
        ({"gidMappings": [{"containerID": 0, "hostID": -1, "size": 1}]}, "/linux/gidMappings/0"),
        ({"uidMappings": [{"containerID": 0, "hostID": 1, "size": 0}]}, "/linux/uidMappings/0"),
    ],
)
def test_a_malformed_configuration_is_refused_at_its_place(linux: dict[str, Any], pointer: str) -> None:
    with pytest.raises(SpecError) as caught:
        tightened({"linux": linux})
    assert caught.value.origin == pointer


def test_an_empty_configuration_gets_everything() -> None:
    assert places(tightened({})[0]) == dict.fromkeys(TYPES.values(), "private")


# --- the property -----------------------------------------------------------------------------------------------------

_where = st.sampled_from(["private", "host", "/a", "/b"])
_row = st.tuples(
    st.integers(0, 100), st.sampled_from([0, 1, 1000, 100_000, 0x80000, 0x6FFFFFFF]), st.integers(1, 65536)
)
_sysctls = st.dictionaries(
    st.sampled_from(["net.ipv4.ip_forward", "kernel.sem", "vm.swappiness"]), st.sampled_from(["0", "1"])
)


@given(
    asked=st.fixed_dictionaries(dict.fromkeys(TYPES, _where)),
    wanted=st.fixed_dictionaries(dict.fromkeys(TYPES, _where)),
    rows=st.lists(_row, min_size=1, max_size=3),
    sysctls=_sysctls,
    uid=st.sampled_from([0, USER]),
)
def test_the_result_is_nowhere_looser(
    asked: dict[str, str], wanted: dict[str, str], rows: list[tuple[int, int, int]], sysctls: dict[str, str], uid: int
) -> None:
    kinds = [
        TYPES[name] + ("" if where == "private" else f"={where}") for name, where in asked.items() if where != "host"
    ]
    foreign = document(*kinds, uids=rows if asked["user"] == "private" else None, hostname="box")
    foreign["linux"]["sysctl"] = sysctls
    body = "\n".join(f'{name} = "{where}"' for name, where in wanted.items())
    before = json.dumps(foreign)
    on = host(uid)
    result, _ = tightened(foreign, body, on)
    assert json.dumps(foreign) == before
    got = places(result)
    for name, kind in TYPES.items():
        assert wanted[name] == "host" or got[kind] in ("private", wanted[name])
        if asked[name] == "private":
            assert got[kind] == "private"
    maps = settings(body).id_maps(on)
    if maps is not None and not maps.host_root:
        assert all(row["hostID"] != 0 for row in result["linux"]["uidMappings"])
    assert not result["linux"].get("sysctl")
    assert ("hostname" in result) == (got.get("uts") == "private")
    again, violations = tightened(result, body, on)
    assert (again, violations) == (result, [])
