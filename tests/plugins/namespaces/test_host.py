"""What a host is found unable to give."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import attrs
import pytest

from hardening.errors import ProfileError
from hardening.mechanism.host import Host, plain
from hardening_namespaces.host import PROC_NAMES, _ranges, check, link_of, probe, wrong_namespace
from hardening_namespaces.settings import TYPES
from tests.plugins.namespaces.stacks import USER, context, host, settings
from tests.support.users import ordinary


def unsupported(body: str = "", on: Host | None = None) -> dict[str, str]:
    return {item.leaf: item.reason for item in check(settings(body), context(on))}


@pytest.mark.parametrize("uid", [0, USER])
@pytest.mark.parametrize("kind", ["auto", "one-id", "keep-id", "root"])
def test_a_whole_host_lacks_nothing(uid: int, kind: str) -> None:
    assert unsupported(f'id_map = "{kind}"', host(uid)) == {}


@pytest.mark.parametrize("name", TYPES)
def test_a_kernel_without_a_namespace(name: str) -> None:
    on = host(supported=frozenset(TYPES) - {name})
    assert f"no {name} namespaces" in unsupported(on=on)[f"namespaces.{name}"]
    if name not in ("mount", "user"):
        assert unsupported(f'{name} = "host"', on) == {}


def test_a_host_that_permits_no_more() -> None:
    assert unsupported(on=host(exhausted=frozenset({"net"}))) == {
        "namespaces.net": "this host permits not one new net namespace"
    }


def test_blocked_user_namespaces_are_named_once() -> None:
    blocked = host(USER, user_blocked="user.max_user_namespaces is 0", exhausted=frozenset({"user"}))
    assert unsupported(on=blocked) == {"namespaces.user": "user.max_user_namespaces is 0"}


def test_what_is_only_done_in_a_namespace_goes_with_it() -> None:
    said = settings('sysctls = {"net.ipv4.ip_forward" = "0", "kernel.shmmni" = "9"}')
    lost = context(host(exhausted=frozenset({"net"}), user_blocked="a reason"))
    assert {item.leaf: item.also for item in check(said, lost)} == {
        "namespaces.net": ("namespaces.sysctls.net.ipv4.ip_forward",),
        "namespaces.user": ("namespaces.id_map", "namespaces.uid_map", "namespaces.gid_map"),
    }


def test_without_root_the_user_namespace_must_be_private() -> None:
    assert "without root" in unsupported('user = "host"', host(USER))["namespaces.user"]
    assert unsupported('user = "host"', host()) == {}


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("/proc/self/ns/pid", "is a pid namespace"),
        ("/etc/passwd", "is not a namespace"),
        ("/nowhere", "cannot be opened"),
    ],
)
def test_a_path_that_is_no_network(where: str, reason: str) -> None:
    assert reason in unsupported(f'net = "{where}"')["namespaces.net"]
    assert unsupported('net = "/proc/self/ns/net"') == {}


def test_ids_that_are_not_the_users() -> None:
    body = 'uid_map = ["0:1000:1", "1:5000000:10"]\ngid_map = ["0:0:1"]'
    found = unsupported(body, host(USER))
    assert "1:5000000:10 is outside the caller's ranges in /etc/subuid" in found["namespaces.uid_map"]
    assert "0:0:1 is outside the caller's ranges in /etc/subgid" in found["namespaces.gid_map"]


def test_explicit_maps_need_the_helpers() -> None:
    body = 'uid_map = ["0:100000:10"]\ngid_map = ["0:100000:10"]'
    assert "newuidmap" in unsupported(body, host(USER, newuidmap=False))["namespaces.uid_map"]
    assert unsupported(body, host(USER)) == {}


def test_root_of_a_nested_namespace_cannot_give_what_it_has_not() -> None:
    nested = ((0, 65536),)
    on = host(own_uids=nested, own_gids=nested)
    assert unsupported(on=on) == {}
    body = 'uid_map = ["0:524288:10"]\ngid_map = ["0:524288:10"]'
    assert "does not have" in unsupported(body, on)["namespaces.uid_map"]


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
        unsupported(body)


def test_a_sysctl_without_a_value_asks_for_nothing() -> None:
    assert unsupported('net = "host"\nsysctls = { "net.ipv4.ip_forward" = "" }') == {}


def test_the_namespaces_of_this_kernel() -> None:
    found = probe(plain())
    listed = subprocess.run(["lsns", "--noheadings", "--output=TYPE", f"--task={os.getpid()}"],
                            check=True, capture_output=True, text=True).stdout.split()  # fmt: skip
    assert {PROC_NAMES[name] for name in found.supported} == set(listed)


def test_the_ranges_of_an_ordinary_user() -> None:
    user = ordinary()
    found = probe(attrs.evolve(plain(), uid=user.uid, gid=user.gid))
    for ranges, file in ((found.subuids, "/etc/subuid"), (found.subgids, "/etc/subgid")):
        lines = [line.split(":") for line in Path(file).read_text().splitlines()]
        assert list(ranges) == [(int(start), int(size)) for name, start, size in lines if name == user.name]
    assert found.newuidmap


def test_own_ids_are_those_of_proc() -> None:
    found = probe(plain())
    size = sum(int(line.split()[2]) for line in Path("/proc/self/uid_map").read_text().splitlines())
    assert sum(count for _, count in found.own_uids) == size


def test_a_range_is_the_users_by_name_or_number(tmp_path: Path) -> None:
    file = tmp_path / "subuid"
    file.write_text("me:100:5\n1000:200:6\nother:300:7\nme:x:5\nme:400\n# me:500:5\n\n")
    assert _ranges(file, frozenset({"me", "1000"})) == ((100, 5), (200, 6))
    assert _ranges(tmp_path / "missing", frozenset({"me"})) == ()
    file.write_bytes(b"me:1:2\n\xff:3:4\n")
    assert _ranges(file, frozenset({"me"})) == ((1, 2),)


@pytest.mark.parametrize("name", TYPES)
def test_a_namespace_is_known_by_its_type(name: str) -> None:
    path = f"/proc/self/ns/{PROC_NAMES[name]}"
    assert wrong_namespace(name, path) == ""
    assert link_of(name, path) == os.readlink(path)
    other = "pid" if name == "net" else "net"
    assert wrong_namespace(other, path) == f"{path} is a {name} namespace, not a {other} one"


def test_a_file_is_no_namespace(tmp_path: Path) -> None:
    assert wrong_namespace("net", "/etc/passwd") == "/etc/passwd is not a namespace"
    assert "No such file" in wrong_namespace("net", str(tmp_path / "missing"))
    os.mkfifo(tmp_path / "fifo")
    assert wrong_namespace("net", str(tmp_path / "fifo")).endswith("is not a namespace")
    assert link_of("net", str(tmp_path / "missing")) is None
