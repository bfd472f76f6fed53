"""What mechanisms say of calls that failed holds for any call: nobody raises, who is blamed decides something, and each way
that is offered composes, or a limit or this host bars it."""

from __future__ import annotations

import errno
import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardening.assemble.pipeline import check
from hardening.mechanism import host
from hardening.mechanism.denial import Caller, Cause, SystemCall
from hardening.mechanism.mechanism import Mechanism
from hardening.plugin import plugins
from hardening.profile.layers import Stack, parse_layer
from hardening.profile.source import Document
from hardening.trace.decode import shapes
from hardening.why import loosen
from hardening.why.attempt import Attempt, attempt
from hardening_seccomp.host import SeccompFacts

INSTALLED = plugins.load().mechanisms
HOST = host.probe(INSTALLED)
TODAY = date(2026, 1, 1)
BASE: dict[str, Any] = {
    "selinux": {"requirement": "best-effort"},
    "process": {"resources": {"requirement": "best-effort"}},
}
#: Stacks of one layer, by what they say beside that.
STACKS: dict[str, dict[str, Any]] = {
    "strict": {},
    "limited": {
        "limits": {
            "capabilities": {"drop": ["ALL"]},
            "seccomp": {"deny": ["ptrace", "io_uring_setup"]},
            "process": {"rlimits": {"nofile": "1024:4096"}},
        }
    },
    "killing": {"seccomp": {"default": "kill-process", "allow": ["@strict", "@socket"]}},
    "a user": {"process": {"user": "65534"}},
}
ERRORS = (errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.EROFS, errno.ENOENT,
          errno.EINVAL, errno.EFBIG, errno.ENXIO, errno.ENETUNREACH, 0)  # fmt: skip
PATHS = ("", "/", "/etc/shadow", "/root/.ssh/id", "/proc/self/loginuid", "/proc/1/mem", "/dev/tty", "/dev/kmsg", "/tmp/x",
         "/usr/bin/env", "/gone/there", "/proc/sys/net/ipv4/ip_forward")  # fmt: skip
ADDRESSES = ("", "tcp 0.0.0.0:80", "udp [::1]:53", "unix /run/x.sock", "unix @name", "netlink route", "inet")
ACCESS = ("read", "write", "create", "remove", "execute", "search", "mount", "change")
LIBRARY = HOST.of(SeccompFacts).required_library()
NATIVE = LIBRARY.native()
NUMBERS = LIBRARY.names(NATIVE)
NAMES = sorted({*shapes(), "brk", "mq_open", "set_mempolicy", "timer_create", "userfaultfd"} & {*NUMBERS})


def composed(said: dict[str, Any]) -> Attempt:
    layer = parse_layer(Document("base", Path("/base.toml"), {**BASE, **said}, {}))
    found = attempt(Stack((layer,)), INSTALLED, HOST, TODAY)
    assert found.error is None, found.error
    return found


@st.composite
def failures(draw: st.DrawFn) -> SystemCall:
    name, uid = draw(st.sampled_from(NAMES)), draw(st.sampled_from([0, 1000, 65534, 100_000]))
    few = st.one_of(st.integers(0, 64), st.sampled_from([0x5412, 0x10000000, 0x20000, 0x40000, 0o4755, (1 << 64) - 1]))
    held = draw(st.sets(st.sampled_from(["SYS_ADMIN", "CHOWN", "SETUID", "IPC_LOCK"]), max_size=2))
    return SystemCall(
        name,
        NUMBERS[name],
        NATIVE,
        draw(st.tuples(*[few] * 6)),
        Caller(draw(st.sampled_from([0, 7])), "x", "/usr/bin/env", uid, uid, frozenset(held), 1),
        draw(st.sampled_from(ERRORS)),
        path=draw(st.sampled_from(PATHS)),
        access=draw(st.frozensets(st.sampled_from(ACCESS), max_size=2)),
        address=draw(st.sampled_from(ADDRESSES)),
        ids=draw(st.sampled_from([(), (0,), (33, 33), (70_000,)])),
        text=f"{name} as words",
    )


def said(tried: Attempt, call: SystemCall) -> Iterator[tuple[Mechanism[Any], Cause]]:
    context = check(tried.composition, HOST, None)
    for mechanism in INSTALLED:
        for cause in mechanism.denied(tried.composition.settings[mechanism.name], context, call):
            yield mechanism, cause


@pytest.fixture(scope="module", params=STACKS)
def tried(request: pytest.FixtureRequest) -> Attempt:
    return composed(STACKS[request.param])


@settings(deadline=None)
@given(call=failures())
def test_nobody_raises_and_who_is_blamed_decides_something(call: SystemCall, tried: Attempt) -> None:
    for mechanism, cause in said(tried, call):
        assert cause.what
        assert "\n" not in cause.what
        assert any(loosen.named(tried.composition, cause.leaf)), cause.leaf
        assert [way.size for way in cause.ways] == sorted(way.size for way in cause.ways), (mechanism.name, cause.leaf)
        assert not any(way.leaf.endswith(".*") for way in cause.ways)


#: One call for each kind of way there is.
OFFERED = [
    ("ptrace", (0,), errno.EPERM, {}),
    ("ptrace", (0,), errno.ENOSYS, {}),
    ("personality", (0x40000,), errno.EPERM, {}),
    ("socket", (16, 3, 9), errno.EAFNOSUPPORT, {}),
    ("socket", (2, 3, 1), errno.EPERM, {}),
    ("clone", (0x10000000,), errno.EPERM, {}),
    ("fchmod", (3, 0o4755), errno.EPERM, {}),
    ("io_uring_setup", (8,), errno.ENOSYS, {}),
    ("io_uring_setup", (8,), errno.ENOMEM, {}),
    ("chroot", (), errno.EPERM, {"path": "/"}),
    ("bind", (3,), errno.EACCES, {"address": "tcp 0.0.0.0:80"}),
    ("setuid", (33,), errno.EPERM, {"ids": (33,)}),
    ("openat", (), errno.EMFILE, {}),
    ("mlock", (0, 1 << 20), errno.ENOMEM, {}),
    ("setpriority", (0, 0, (1 << 64) - 5), errno.EACCES, {}),
    ("openat", (), errno.ENXIO, {"path": "/dev/tty"}),
    ("connect", (3,), errno.ENETUNREACH, {"address": "tcp 192.0.2.1:443"}),
]


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("name", "arguments", "error", "more"), OFFERED, ids=[f"{row[0]} {errno.errorcode[row[2]]}" for row in OFFERED]
)
def test_each_way_composes_or_somebody_bars_it(
    name: str, arguments: tuple[int, ...], error: int, more: dict[str, Any], tried: Attempt
) -> None:
    padded = (*arguments, *(0,) * 6)[:6]
    caller = Caller(7, "x", "/usr/bin/env", HOST.uid, HOST.gid, filters=1)
    call = SystemCall(name, NUMBERS[name], NATIVE, padded, caller, error, **more)
    for _, cause in said(tried, call):
        for way in cause.ways:
            offer = loosen.first(tried, cause.leaf, [way])
            assert offer is not None, (cause.leaf, way)
            if offer.barrier:
                continue
            layer = parse_layer(Document("more", Path("/more.toml"), tomllib.loads(offer.toml), {}))
            after = attempt(Stack((*tried.composition.stack.layers, layer)), INSTALLED, HOST, TODAY)
            assert after.error is None, (cause.leaf, offer, after.error)
