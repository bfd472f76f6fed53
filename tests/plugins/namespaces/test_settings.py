"""The grammar of `[namespaces]`, and the orders of its values."""

from __future__ import annotations

import pytest

from hardening.compose.implied import hold
from hardening.errors import ProfileError
from hardening.mechanism.idmaps import IdRange
from hardening.testing.laws import check_kind, check_mechanism
from hardening_namespaces import Namespaces
from hardening_namespaces.settings import TYPES, IdMapping, read, sysctl_namespace
from tests.plugins.namespaces.stacks import composition, host, settings
from tests.support.texts import document


def test_no_network_is_a_private_one_and_only_that() -> None:
    assert settings('net = "none"').where("net") == "private"
    with pytest.raises(ProfileError, match="neither private"):
        settings('pid = "none"')


def test_everything_is_private_by_default() -> None:
    assert {settings().where(name) for name in TYPES} == {"private"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('pid = "shared"', "neither private, host nor an absolute path"),
        ('pid = "proc/1/ns/pid"', "neither private, host nor an absolute path"),
        ('pid = "hots"', 'did you mean "host"?'),
        ("pid = true", "a boolean where a string is expected"),
        ('id_map = "keepid"', 'did you mean "keep-id"?'),
        ('uid_map = "0:1"', "an array is expected"),
        ('uid_map = ["0:1:0"]', "the range is empty"),
        ('uid_map = ["0:4294967295:1"]', "beyond the ids there are"),
        ('uid_map = ["a:b"]', "is not an id range"),
        ('uid_map = ["0:1:2", "1:9:1"]', "overlap"),
        ('uid_map = ["0:1:2", "5:2:1"]', "overlap"),
        ('hostname = "-x"', "is not a host name"),
        ('hostname = "a_b"', "is not a host name"),
        ('domainname = "a b"', "is not a host name"),
        ('sysctls = { "kernel.panic" = "1" }', "is not a namespaced sysctl"),
        ('sysctls = { "kernel.shm_next_id" = "1" }', "is not a namespaced sysctl"),
        ('sysctls = { "net..x" = "1" }', "is not a namespaced sysctl"),
        ('sysctls = { "net.ipv4.ip_forward" = 1 }', "an integer where a string is expected"),
        ("time_offsets.boottime = 3000000000", "out of range"),
        ("time_offsets.realtime = 1", "unknown key"),
        ("mnt = 'private'", "unknown key"),
    ],
)
def test_what_is_refused(line: str, said: str) -> None:
    with pytest.raises(ProfileError) as caught:
        settings(line)
    assert said in str(caught.value)


def test_ranges_are_sorted_and_one_id_needs_no_size() -> None:
    read = settings('uid_map = ["5:9", "0:100000:5"]\ngid_map = ["0:1"]')
    assert read.uid_map == (IdRange(0, 100_000, 5), IdRange(5, 9, 1))


def test_a_sysctl_may_be_written_with_slashes() -> None:
    assert settings('sysctls = { "net/ipv4/ip_forward" = "1" }').sysctls["net.ipv4.ip_forward"] == "1"


ALIAS, NAME = "net.ipv4.conf.all.forwarding", "net.ipv4.ip_forward"


@pytest.mark.parametrize("written", [ALIAS, ALIAS.replace(".", "/"), NAME])
@pytest.mark.parametrize("limited", [ALIAS, ALIAS.replace(".", "/"), NAME])
def test_a_parameter_has_one_name_for_values_limits_and_exceptions(written: str, limited: str) -> None:
    assert settings(f'sysctls = {{ "{written}" = "1" }}').sysctls.named == {NAME: "1"}
    limit = f'[limits.namespaces.sysctls]\n"{limited}" = "0"\n'
    said = f'[namespaces.sysctls]\n"{written}" = "1"\n'
    excepted = f'[[exceptions]]\nsetting = "namespaces.sysctls.{limited}"\nreason = "a test"\n'
    with pytest.raises(ProfileError, match=f"{NAME}: 1 exceeds the limit 0"):
        composition(limit, said + excepted)
    found = composition('[namespaces.sysctls]\n"net.ipv4.ip_forward" = "0"\n', said + excepted)
    assert found.settings["namespaces"].sysctls.named == {NAME: "1"}
    with pytest.raises(ProfileError, match="1 cannot be compared with 0"):
        composition('[namespaces.sysctls]\n"net.ipv4.ip_forward" = "0"\n', said)


def test_one_parameter_is_not_said_twice() -> None:
    with pytest.raises(ProfileError, match=f"{NAME} is already set"):
        settings(f'sysctls = {{ "{ALIAS}" = "1", "{NAME}" = "0" }}')


@pytest.mark.parametrize(
    ("name", "newer"),
    [("net.ipv4.neigh.lo.retrans_time", "retrans_time_ms"), ("net/ipv6/route/gc_min_interval", "gc_min_interval_ms"),
     ("net.mptcp.pm_type", "path_manager"), ("net.ipv6.neigh.default.unres_qlen", "unres_qlen_bytes")],
)  # fmt: skip
def test_an_older_name_of_another_unit_is_refused(name: str, newer: str) -> None:
    with pytest.raises(ProfileError, match=f"an older name of .*{newer}"):
        settings(f'sysctls = {{ "{name}" = "1" }}')


@pytest.mark.parametrize(
    ("limited", "said", "held"),
    [
        ("net.ipv4.conf.default.forwarding", NAME, True),
        ("net.ipv4.conf.lo.forwarding", ALIAS, True),
        ("net.ipv6.conf.default.forwarding", "net.ipv6.conf.all.forwarding", True),
        ("net.ipv6.conf.eth0.disable_ipv6", "net.ipv6.conf.all.disable_ipv6", True),
        ("net.ipv4.conf.lo.rp_filter", NAME, False),
        ("net.ipv6.conf.lo.forwarding", NAME, False),
        ("net.ipv6.conf.default.forwarding", "net.ipv6.conf.lo.forwarding", False),
    ],
)
def test_a_limit_of_an_interface_binds_what_gives_it_its_value(limited: str, said: str, held: bool) -> None:
    limit, value = f'[limits.namespaces.sysctls]\n"{limited}" = "0"\n', f'[namespaces.sysctls]\n"{said}" = '
    for found, beyond in ((f'{value}"1"\n', held), (f'{value}"0"\n', False), (f'{value}""\n', False)):
        stack = composition(limit, found)
        if beyond:
            with pytest.raises(
                ProfileError, match=f"each interface gets its value: namespaces.sysctls.{limited} is limit"
            ):
                hold(stack, host())
        else:
            hold(stack, host())


@pytest.mark.parametrize(
    ("name", "namespace"),
    [("net.core.somaxconn", "net"), ("fs.mqueue.msg_max", "ipc"), ("kernel.sem", "ipc"), ("kernel.semx", None),
     ("vm.swappiness", None), ("network.x", None), ("kernel.hostname", None)],
)  # fmt: skip
def test_the_namespace_of_a_sysctl(name: str, namespace: str | None) -> None:
    assert sysctl_namespace(name) == namespace


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("where", ["host", "/proc/1/ns/net"])
def test_sharing_a_namespace_that_was_private_needs_an_exception(name: str, where: str) -> None:
    layers = [f'[namespaces]\n{name} = "private"', f'[namespaces]\n{name} = "{where}"']
    with pytest.raises(ProfileError, match="looser"):
        composition(*layers)
    layers[1] += f'\n[[exceptions]]\nsetting = "namespaces.{name}"\nreason = "a test"'
    assert composition(*layers).settings["namespaces"].where(name) == where


def test_two_paths_cannot_be_compared() -> None:
    with pytest.raises(ProfileError, match="cannot be compared"):
        composition('[namespaces]\nnet = "/a"', '[namespaces]\nnet = "/b"')


def test_a_limit_keeps_the_user_namespace_private() -> None:
    with pytest.raises(ProfileError, match="exceeds the limit"):
        composition('[limits.namespaces]\nuser = "private"', '[namespaces]\nuser = "host"')


def test_one_id_and_auto_cannot_be_compared() -> None:
    kind = IdMapping()
    assert not kind.is_no_looser_than("auto", "one-id")
    assert not kind.is_no_looser_than("one-id", "auto")
    assert kind.intersect("auto", "one-id") is None
    assert kind.intersect("keep-id", "one-id") == "one-id"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('id_map = "root"', 'id_map = "keep-id"'),
        ('id_map = "keep-id"', 'id_map = "root"'),
        ('sysctls = { "kernel.shmmax" = "4096" }', 'sysctls = { "kernel.shmmax" = "" }'),
    ],
)
def test_what_may_give_another_id_or_more_is_no_tightening(first: str, second: str) -> None:
    with pytest.raises(ProfileError, match="cannot be compared"):
        composition(f"[namespaces]\n{first}", f"[namespaces]\n{second}")
    with pytest.raises(ProfileError, match="exceeds the limit"):
        composition(f"[limits.namespaces]\n{first}", f"[namespaces]\n{second}")


def test_a_limit_of_a_parameter_sets_it() -> None:
    found = composition('[limits.namespaces.sysctls]\n"kernel.shmmax" = "4096"').settings["namespaces"]
    assert found.sysctls["kernel.shmmax"] == "4096"


def test_host_and_domain_name_have_no_order() -> None:
    found = composition('[namespaces]\nhostname = "a"', '[namespaces]\nhostname = "b"').settings["namespaces"]
    assert found.hostname == "b"


def test_the_laws_hold() -> None:
    assert check_kind(IdMapping()) == []
    assert check_mechanism(Namespaces(), host(), stacks=120) == []


def test_a_way_of_mapping_ids_binds_explicit_maps_as_value_and_as_limit() -> None:
    """What `id_map` says would mean nothing if another key could map ids past it."""
    said = {
        statement.setting: statement.value for statement in read(Namespaces().schema, document('id_map = "auto"').root)
    }
    assert said == {"id_map": "auto", "uid_map": (), "gid_map": ()}
    both = {
        statement.setting: statement.value
        for statement in read(Namespaces().schema, document('id_map = "root"\nuid_map = ["0:5:1"]').root)
    }
    assert both["uid_map"] == (IdRange(0, 5, 1),)
    assert both["gid_map"] == ()
