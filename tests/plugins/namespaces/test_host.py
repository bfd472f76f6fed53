"""What a host is found unable to give."""

from __future__ import annotations

import pytest

from hardening.errors import ProfileError
from hardening.mechanism.host import Host
from hardening_namespaces.host import check
from hardening_namespaces.settings import TYPES
from tests.plugins.namespaces.stacks import USER, context, host, settings


def shortfalls(body: str = "", on: Host | None = None) -> dict[str, str]:
    return {item.leaf: item.reason for item in check(settings(body), context(on))}


@pytest.mark.parametrize("uid", [0, USER])
@pytest.mark.parametrize("kind", ["auto", "one-id", "keep-id", "root"])
def test_a_whole_host_lacks_nothing(uid: int, kind: str) -> None:
    assert shortfalls(f'id_map = "{kind}"', host(uid)) == {}


@pytest.mark.parametrize("name", TYPES)
def test_a_kernel_without_a_namespace(name: str) -> None:
    on = host(supported=frozenset(TYPES) - {name})
    assert f"no {name} namespaces" in shortfalls(on=on)[f"namespaces.{name}"]
    if name not in ("mount", "user"):
        assert shortfalls(f'{name} = "host"', on) == {}


def test_a_host_that_permits_no_more() -> None:
    assert shortfalls(on=host(exhausted=frozenset({"net"}))) == {
        "namespaces.net": "this host permits not one new net namespace"
    }


def test_blocked_user_namespaces_are_named_once() -> None:
    blocked = host(USER, user_blocked="user.max_user_namespaces is 0", exhausted=frozenset({"user"}))
    assert shortfalls(on=blocked) == {"namespaces.user": "user.max_user_namespaces is 0"}


def test_what_is_only_done_in_a_namespace_goes_with_it() -> None:
    said = settings('sysctls = {"net.ipv4.ip_forward" = "0", "kernel.shmmni" = "9"}')
    lost = context(host(exhausted=frozenset({"net"}), user_blocked="a reason"))
    assert {item.leaf: item.also for item in check(said, lost)} == {
        "namespaces.net": ("namespaces.sysctls.net.ipv4.ip_forward",),
        "namespaces.user": ("namespaces.id_map", "namespaces.uid_map", "namespaces.gid_map"),
    }


def test_without_root_the_user_namespace_must_be_private() -> None:
    assert "without root" in shortfalls('user = "host"', host(USER))["namespaces.user"]
    assert shortfalls('user = "host"', host()) == {}


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("/proc/self/ns/pid", "is a pid namespace"),
        ("/etc/passwd", "is not a namespace"),
        ("/nowhere", "cannot be opened"),
    ],
)
def test_a_path_that_is_no_network(where: str, reason: str) -> None:
    assert reason in shortfalls(f'net = "{where}"')["namespaces.net"]
    assert shortfalls('net = "/proc/self/ns/net"') == {}


def test_ids_that_are_not_the_users() -> None:
    body = 'uid_map = ["0:1000:1", "1:5000000:10"]\ngid_map = ["0:0:1"]'
    found = shortfalls(body, host(USER))
    assert "1:5000000:10 is outside the caller's ranges in /etc/subuid" in found["namespaces.uid_map"]
    assert "0:0:1 is outside the caller's ranges in /etc/subgid" in found["namespaces.gid_map"]


def test_explicit_maps_need_the_helpers() -> None:
    body = 'uid_map = ["0:100000:10"]\ngid_map = ["0:100000:10"]'
    assert "newuidmap" in shortfalls(body, host(USER, newuidmap=False))["namespaces.uid_map"]
    assert shortfalls(body, host(USER)) == {}


def test_root_of_a_nested_namespace_cannot_give_what_it_has_not() -> None:
    nested = ((0, 65536),)
    on = host(own_uids=nested, own_gids=nested)
    assert shortfalls(on=on) == {}
    body = 'uid_map = ["0:524288:10"]\ngid_map = ["0:524288:10"]'
    assert "does not have" in shortfalls(body, on)["namespaces.uid_map"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('mount = "host"', "does not go with a user namespace"),
        ('uid_map = ["0:1:1"]', "needs a namespaces.gid_map"),
        ('gid_map = ["0:1:1"]', "needs a namespaces.uid_map"),
        ('net = "host"\nsysctls = { "net.ipv4.ip_forward" = "1" }', "needs a private net namespace"),
        ('ipc = "/proc/1/ns/ipc"\nsysctls = { "kernel.sem" = "1" }', "needs a private ipc namespace"),
    ],
)
def test_settings_that_do_not_go_together(body: str, said: str) -> None:
    with pytest.raises(ProfileError, match=said):
        shortfalls(body)


def test_a_sysctl_without_a_value_asks_for_nothing() -> None:
    assert shortfalls('net = "host"\nsysctls = { "net.ipv4.ip_forward" = "" }') == {}
