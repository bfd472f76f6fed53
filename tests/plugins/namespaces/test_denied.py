"""Why a call failed: which errno means a namespace of the command's own, and which is the host's doing."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable

import pytest

from hardening.mechanism.denial import Caller, Cause, SystemCall
from hardening_namespaces.denied import denied
from tests.plugins.namespaces.stacks import SUBIDS, USER, context, host, settings


def asked(
    name: str,
    error: int,
    *arguments: int,
    address: str = "",
    path: str = "",
    access: Iterable[str] = (),
    ids: tuple[int, ...] = (),
) -> SystemCall:
    """A call that failed."""
    given = (*arguments, *(0,) * (6 - len(arguments)))
    caller = Caller(1 if error else 0)  # nobody makes a question
    return SystemCall(name, 0, 0xC000003E, given, caller, error=error, path=path, access=frozenset(access),
                      address=address, ids=ids)  # fmt: skip


def causes(said: str, call: SystemCall, uid: int = 0, **facts: object) -> list[Cause]:
    """What a stack of one layer says of a call."""
    return list(denied(settings(said), context(host(uid, **facts)), call))


#: what a layer says, the call, and the leaf that it blames; empty for none
CASES = [
    ("", asked("connect", errno.ENETUNREACH, address="tcp 192.0.2.1:443"), "net"),
    ("", asked("sendto", errno.ENETUNREACH, address="udp [2001:db8::1]:53"), "net"),
    ('net = "host"', asked("connect", errno.ENETUNREACH, address="tcp 192.0.2.1:443"), ""),
    ("", asked("connect", errno.ECONNREFUSED, address="tcp 127.0.0.1:1"), ""),
    ("", asked("connect", errno.ECONNREFUSED, address="unix @nobody has this name"), ""),
    ("", asked("connect", errno.EACCES, address="tcp 192.0.2.1:443"), ""),
    ("", asked("bind", errno.EADDRNOTAVAIL, address="tcp 192.0.2.1:80"), "net"),
    ("", asked("bind", errno.EADDRNOTAVAIL, address="tcp 127.0.0.2:80"), ""),
    ("", asked("bind", errno.EACCES, address="tcp 0.0.0.0:80"), ""),
    ("", asked("setuid", errno.EINVAL, ids=(70_000,)), "id_map"),
    ("", asked("setuid", errno.EINVAL, ids=(1000,)), ""),
    ("", asked("setuid", errno.EPERM, ids=(70_000,)), ""),
    ("", asked("setresgid32", errno.EINVAL, ids=(0, 0xFFFFFFFF, 70_000)), "id_map"),
    ("", asked("fchownat", errno.EINVAL, 3, 0, 0xFFFFFFFF, 70_000), "id_map"),
    ("", asked("fchownat", errno.EINVAL, 70_000, 70_000, 0xFFFFFFFF, 7), ""),
    ("", asked("chown", errno.EINVAL, 0, 70_000, 0), "id_map"),
    ('uid_map = ["0:100000:10"]\ngid_map = ["0:100000:10"]', asked("setgroups", errno.EINVAL, ids=(3, 10)), "uid_map"),
    ('user = "host"', asked("setuid", errno.EINVAL, ids=(70_000,)), ""),
    ("", asked("kill", errno.ESRCH, os.getpid()), "pid"),
    ("", asked("ptrace", errno.ESRCH, 16, os.getpid()), "pid"),
    ("", asked("kill", errno.ESRCH, 4_194_304), ""),
    ('pid = "host"', asked("kill", errno.ESRCH, os.getpid()), ""),
    ("", asked("shmget", errno.ENOENT, 0x7FFF_FFFE), ""),
    ('uts = "host"', asked("sethostname", errno.EPERM), "uts"),
    ("", asked("sethostname", errno.EPERM), ""),
    ("", asked("openat", errno.EROFS, path="/proc/sys/kernel/msgmax", access=["write"]), "sysctls.kernel.msgmax"),
    ("", asked("openat", errno.EROFS, path="/proc/sys/net/ipv4/ip_forward", access=["read"]), ""),
    ("", asked("openat", errno.EROFS, path="/proc/sys/vm/swappiness", access=["write"]), ""),
    ('net = "host"', asked("openat", errno.EROFS, path="/proc/sys/net/ipv4/ip_forward", access=["write"]), ""),
    ("", asked("unshare", errno.ENOSPC, 0x1000_0000), ""),
]  # fmt: skip


@pytest.mark.parametrize(("said", "call", "leaf"), CASES)
def test_an_errno_of_a_call_is_a_namespaces_doing_or_it_is_not(said: str, call: SystemCall, leaf: str) -> None:
    found = [cause.leaf.removeprefix("namespaces.") for cause in causes(said, call)]
    assert found == ([leaf] if leaf else [])


def test_a_service_of_the_hosts_loopback_is_named_where_somebody_listens() -> None:
    with socket.socket() as service:
        service.bind(("127.0.0.1", 0))
        address = f"tcp 127.0.0.1:{service.getsockname()[1]}"
        assert not causes("", asked("connect", errno.ECONNREFUSED, address=address))
        service.listen()
        (cause,) = causes("", asked("connect", errno.ECONNREFUSED, address=address))
        assert cause.leaf == "namespaces.net"
        assert not causes('net = "host"', asked("connect", errno.ECONNREFUSED, address=address))


def test_an_abstract_socket_of_the_host_is_named() -> None:
    name = f"a name of a test's {os.getpid()}"
    with socket.socket(socket.AF_UNIX) as service:
        service.bind(f"\0{name}")
        (cause,) = causes("", asked("connect", errno.ECONNREFUSED, address=f"unix @{name}"))
        assert cause.leaf == "namespaces.net"


def test_a_question_is_answered_as_its_failure_would_be() -> None:
    """Without an errno: what would be denied."""
    assert [cause.leaf for cause in causes("", asked("connect", 0, address="tcp example.com:443"))] == [
        "namespaces.net"
    ]
    for call in (asked("connect", 0, address="tcp localhost:1"), asked("recvfrom", 0, address="udp 0.0.0.0:53")):
        assert [cause.leaf for cause in causes("", call)] == ["namespaces.net"]
        assert not causes('net = "host"', call)
    assert not causes("", asked("bind", 0, address="tcp 0.0.0.0:80"))
    assert not causes("", asked("setuid", 0, ids=(7,)))


def test_one_id_is_widened_by_the_way_that_knows_the_id_and_who_has_no_more_is_told_so() -> None:
    one = 'id_map = "one-id"'
    (cause,) = causes(one, asked("setuid", errno.EINVAL, ids=(33,)), USER)
    assert [way.value for way in cause.ways] == ["auto", "keep-id", "root"]
    for said in ("", one):
        (cause,) = causes(said, asked("setuid", errno.EINVAL, ids=(33,)), USER, subuids=(), subgids=())
        assert (cause.ways, cause.advice) == (
            (),
            "there is no range for the caller in /etc/subuid and /etc/subgid",
        )
    (cause,) = causes(one, asked("setgroups", errno.EPERM, ids=(0,)), USER, subuids=SUBIDS)
    assert "whatever its capabilities" in cause.what
    assert cause.ways
    assert not causes("", asked("setgroups", errno.EPERM, ids=(0,)), USER)
    (cause,) = causes("", asked("setuid", errno.EINVAL, ids=(70_000,)), USER)
    assert not cause.ways
    assert "70000:OUTSIDE:1" in cause.advice


def test_what_is_the_hosts_and_stays_is_said_to_be_reached() -> None:
    (process,) = causes("", asked("kill", errno.ESRCH, os.getpid()))
    (network,) = causes("", asked("connect", errno.ENETUNREACH, address="tcp 192.0.2.1:443"))
    assert [way.reaches_host for cause in (process, network) for way in cause.ways] == [True, False]
