"""What each mechanism says of calls that failed: it never raises, its leaves are leaves, and each way that it names is one
that composes, or is held back by a limit that is named."""

from __future__ import annotations

import errno
import os
import tomllib
from collections.abc import Collection, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardening.assemble.pipeline import examine
from hardening.mechanism import host, outside
from hardening.mechanism.denial import Caller, SystemCall
from hardening.mechanism.evidence import GIVING
from hardening.mechanism.mechanism import Context, Mechanism
from hardening.mechanism.roles import id_maps
from hardening.plugin import plugins
from hardening.profile.layers import Stack, parse_layer
from hardening.profile.source import Document
from hardening.trace import calls
from hardening.why import loosen
from hardening.why.attempt import Attempt, attempt
from hardening_capabilities.checks import CHECKS, Check
from hardening_namespaces import denied as ids
from hardening_process.denied import _TURNING, LIMITED
from tests.support.sample import examples

PLUGINS = Path(__file__).parents[2] / "plugins"
INSTALLED = plugins.load().mechanisms
HOST = host.probe(INSTALLED)
LENIENT = {"selinux": {"requirement": "best-effort"}}
SECRETS = {"secrets": {"given": ["db", "key,target=/etc/key,uid=33"]}}
STACKS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "volume": {"rootfs": {"volumes": {"add": ["/usr/share:/data:ro", "/usr/bin/env:/file:noexec"]}}},
    "no tmpfs": {"rootfs": {"tmpfs": "none", "shm_size": 0}},
    "one id": {"namespaces": {"id_map": "one-id"}},
    "limited": {
        "limits": {
            "capabilities": {"drop": ["ALL"]},
            "seccomp": {"deny": ["ptrace", "io_uring_setup"]},
            "process": {"rlimits": {"nofile": "1024:4096"}},
        }
    },
    "killing": {"seccomp": {"default": "kill-process", "allow": ["@strict", "@socket"]}},
    "a user": {"process": {"user": "65534"}},
    "shared": {"namespaces": {"uts": "host", "user": "private"}},
    "confined": {
        "landlock": {
            "mounts": False,
            "abstract_sockets": False,
            "signals": False,
            "write": ["/tmp"],
            "bind": [],
            "connect": [],
        }
    },
}
PATHS = (
    "", "/", "/etc/shadow", "/etc/new", "/tmp/x", "/dev/shm/x", "/dev/null", "/dev/kmsg", "/proc/cpuinfo", "/data/x",
    "/data", "/proc/sys/kernel/msgmax", "/proc/self/status", "/sys/kernel", "/file", "/var/lib/of-a-program",
    "/run/secrets/db", "/mnt/x", "/dev/tty", "/proc/self/loginuid", "relative",
)  # fmt: skip
#: What a command may make a name of: any bytes, and more of them than any name has.
ODD_PATHS = st.one_of(
    st.binary(max_size=12).map(lambda name: "/etc/" + os.fsdecode(name.replace(b"\0", b""))),
    st.builds("{}{}".format, st.sampled_from(("/data/", "/etc/", "/dev/", "/run/secrets/", "/tmp/")),
              st.sampled_from(("A" * 300, "a/" * 2100, "\udcff\udcfe\x80", "a\nb", "a=b:c,d", "../x"))),
)  # fmt: skip
ACCESS = ({"read"}, {"write"}, {"create"}, {"remove", "create"}, {"execute"}, {"mount"}, set[str]())
ADDRESSES = ("", "tcp 192.0.2.1:80", "udp [::1]:53", "unix /run/x", "unix @x", "netlink route", "tcp nonsense", "inet")
ERRORS = (0, errno.EPERM, errno.EACCES, errno.ENOENT, errno.EROFS, errno.ENOSPC, errno.EINVAL, errno.ESRCH, errno.EXDEV,
          errno.EBUSY, errno.ENETUNREACH, errno.ECONNREFUSED, errno.EADDRNOTAVAIL, errno.EAGAIN, errno.EMFILE, errno.ENOMEM,
          errno.ENOSYS, errno.EFBIG, errno.ENXIO, errno.ENAMETOOLONG)  # fmt: skip


def composed(said: dict[str, Any]) -> tuple[Attempt, Context]:
    layer = parse_layer(Document("base", Path("/base.toml"), {**LENIENT, **SECRETS, **said}, {}))
    tried = attempt(Stack((layer,)), INSTALLED, HOST, date(2026, 1, 1))
    return tried, examine(tried.composition, HOST)


TRIED = {name: composed(said) for name, said in STACKS.items()}


#: Those that somebody may have something to say of, beside each other one.
USUAL = (
    "openat", "execve", "mmap", "write", "mount", "umount2", "mkdir", "rename", "connect", "bind", "socket", "setuid",
    "chown", "setgroups", "kill", "ptrace", "clone", "prctl", "sethostname", "unlink", "chmod", "mknod", "ioctl",
    "prlimit64", "mlock",
)  # fmt: skip
NAMES = (*sorted(calls.names(calls.own())), "no_such_call")
NUMBERS = st.one_of(st.integers(0, 64), st.sampled_from((0x1000, 0x20000, 0x10000000, 2**32 - 1, 2**64 - 1)))
#: A call of anything, with any answer.
ANY = st.fixed_dictionaries(
    {
        "name": st.one_of(st.sampled_from(USUAL), st.sampled_from(NAMES)),
        "error": st.sampled_from(ERRORS),
        "arguments": st.tuples(*[NUMBERS] * 6),
        "path": st.one_of(st.sampled_from(PATHS), ODD_PATHS),
        "target": st.one_of(st.sampled_from(("", "proc", *PATHS)), ODD_PATHS),
        "access": st.sampled_from([frozenset(access) for access in ACCESS]),
        "address": st.sampled_from(ADDRESSES),
        "ids": st.sampled_from(((), (33,), (70_000, 0), (2**32 - 1,))),
        "capabilities": st.sampled_from((frozenset[str](), frozenset({"SYS_ADMIN", "NET_BIND_SERVICE"}))),
    }
)


def like(
    names: Collection[str], errors: Collection[int | str], **more: st.SearchStrategy[Any]
) -> st.SearchStrategy[Any]:
    """Calls of these names, or of any, with these answers; what else they have in common, else it is anything."""
    numbers = [error if isinstance(error, int) else getattr(errno, error) for error in errors]
    fixed = {"name": st.sampled_from(sorted(names) or USUAL), "error": st.sampled_from(sorted(numbers)), **more}
    return st.builds(lambda fields, common: {**fields, **common}, ANY, st.fixed_dictionaries(fixed))


def asking(check: Check) -> st.SearchStrategy[Any]:
    """Calls at which the kernel asks for a capability."""
    fixed = {index: st.sampled_from(sorted(values)) for index, values in check.arguments.items()}
    more: dict[str, st.SearchStrategy[Any]] = {
        "arguments": st.tuples(*(fixed.get(index, NUMBERS) for index in range(6))),
        "attribute": st.from_regex(check.attribute, fullmatch=True),
        "capabilities": st.just(frozenset[str]()),
    }
    if check.path:
        more["path"] = st.from_regex(check.path, fullmatch=True)
    return like(check.calls, check.errors, **more)


def naming(index: int, *values: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Arguments with one of these at an index."""
    return st.tuples(*(st.sampled_from(values) if index == at else NUMBERS for at in range(6)))


#: Ids that nobody maps, and the process that each host has.
_UNMAPPED, _INIT = 3_000_000_000, 1
_WRITES = st.sampled_from(({"write"}, {"create"}, {"remove"}))
#: Calls that may have failed for each mechanism that says why one has, from its own tables.
FITTING: dict[str, st.SearchStrategy[Any]] = {
    "capabilities": st.one_of([asking(check) for check in CHECKS]),
    "landlock": st.one_of(
        like(
            {"openat", "mkdir", "rename"},
            ["EACCES", "EXDEV"],
            path=st.sampled_from(("/data/x", "/srv")),
            access=_WRITES,
        ),
        like({"bind", "connect"}, ["EACCES"], address=st.just("tcp 192.0.2.1:80")),
        like({"connect"}, ["EPERM"], address=st.just("unix @x")),
        like({"kill", "mount"}, ["EPERM"]),
    ),
    "namespaces": st.one_of(
        like({*ids._SENDING}, ids._NO_WAY, address=st.just("tcp 192.0.2.1:80")),
        like({"bind"}, ["EADDRNOTAVAIL"], address=st.just("tcp 192.0.2.1:80")),
        like(ids._IDS, ["EINVAL"], ids=st.just((_UNMAPPED,))),
        like(GIVING, ["EINVAL"], arguments=st.tuples(*[st.just(_UNMAPPED)] * 6)),
        like({"setgroups"}, ["EPERM"]),
        *(like({name}, ["ESRCH"], arguments=naming(index, _INIT)) for name, index in sorted(ids._PROCESSES.items())),
        like({"sethostname", "setdomainname"}, ["EPERM"]),
        like({"openat"}, ["EROFS", "EACCES"], path=st.just("/proc/sys/kernel/msgmax"), access=st.just({"write"})),
    ),
    "process": st.one_of(
        [
            like(one.calls, one.errors, arguments=naming(*one.flags), capabilities=st.just(frozenset()))
            for one in LIMITED
        ]
        + [like({"openat"}, ["ENXIO"], path=st.just("/dev/tty"))]
        + [like(_TURNING, ["EPERM"], arguments=st.tuples(*[st.just(33)] * 6))]
    ),
    "rootfs": st.one_of(
        like({"openat", "mkdir", "unlink"}, ["EROFS"], path=st.sampled_from(("/etc/new", "/data/x")), access=_WRITES),
        like({"openat", "mkdir", "execve"}, ["EROFS", "EACCES", "ENOENT", "ENAMETOOLONG"], path=ODD_PATHS),
        like({"openat"}, ["EACCES", "ENOENT"], path=st.sampled_from(("/etc/shadow", "/dev/kmsg", "/sys/kernel"))),
        like({"openat", "write"}, ["ENOSPC"], path=st.sampled_from(("/tmp/x", "/dev/shm/x"))),
        like({"execve"}, ["EACCES"], path=st.sampled_from(("/file", "/tmp/x")), access=st.just({"execute"})),
        like({"rename", "link", "unlink"}, ["EBUSY", "EXDEV"], path=st.sampled_from(("/data", "/data/x"))),
        like({"mount", "umount2"}, ["EPERM", "EINVAL"], path=st.sampled_from(PATHS[1:-1])),
    ),
    "seccomp": like(NAMES, ["EPERM", "ENOSYS", "EAFNOSUPPORT", 0]),
    "secrets": like({"openat"}, ["EACCES", "EROFS", "EBUSY"], path=st.sampled_from(("/run/secrets/db", "/etc/key"))),
}


def command_uid(context: Context) -> int:
    """The command's user, as the host sees it."""
    uid, maps = outside.identity(context).uid, id_maps(context)
    found = uid if maps is None else maps.outside(uid)
    return HOST.uid if found is None else found


def possible(fields: Mapping[str, Any], uid: int) -> SystemCall:
    """A call as a process of a user could have made it."""
    numbers = dict(calls.numbers(fields["name"])) or {calls.own(): 500}
    architecture = calls.own() if calls.own() in numbers else min(numbers)
    has = fields["capabilities"]
    rest = {key: value for key, value in fields.items() if key != "capabilities"}
    caller = Caller(7, "x", "/usr/bin/env", uid, uid, has, filters=1)
    return SystemCall(number=numbers[architecture], architecture=architecture, caller=caller, **rest)


@pytest.mark.parametrize("mechanism", INSTALLED, ids=lambda mechanism: mechanism.name)
def test_each_cause_is_of_a_leaf_and_each_way_composes_or_is_told_why_not(mechanism: Mechanism[Any]) -> None:
    told: set[str] = set()
    offered: set[tuple[str, ...]] = set()

    @settings(max_examples=examples(200))
    @given(
        fields=st.one_of(FITTING.get(mechanism.name, ANY), ANY),
        name=st.sampled_from(sorted(STACKS)),
        uid=st.sampled_from((None, None, None, 33)),
    )
    def holds(fields: Mapping[str, Any], name: str, uid: int | None) -> None:
        tried, context = TRIED[name]
        call = possible(fields, command_uid(context) if uid is None else uid)
        composition = tried.composition
        for cause in mechanism.denied(composition.settings[mechanism.name], context, call):
            told.add(cause.leaf)
            assert composition.meant(cause.leaf), cause
            assert cause.what
            assert [way.size for way in cause.ways] == sorted(way.size for way in cause.ways), cause
            for way in cause.ways:
                assert composition.meant(way.leaf), way
                key = (name, cause.leaf, way.leaf, repr(way.value))
                if key not in offered:
                    found = loosen.first(tried, cause.leaf, [way])
                    assert found is not None, (cause, way)
                    assert found.barrier or found.options, (cause, way)
                    offered.add(key)

    holds()
    assert bool(told) == (mechanism.name in FITTING)  # else the calls do not fit, and nothing was held


def test_each_mechanism_that_says_why_a_call_failed_is_asked_for_calls_that_fit() -> None:
    said = {path.parent.name.removeprefix("hardening_") for path in PLUGINS.glob("*/denied.py")}
    assert FITTING.keys() == said


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
@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("asked", OFFERED, ids=[f"{row[0]} {errno.errorcode[row[2]]}" for row in OFFERED])
def test_each_kind_of_way_composes_when_pasted_or_is_barred(
    asked: tuple[str, tuple[int, ...], int, dict[str, Any]], name: str
) -> None:
    call_name, arguments, error, more = asked
    tried, context = TRIED[name]
    number = calls.native(call_name, 0).number
    padded = (*arguments, *(0,) * 6)[:6]
    caller = Caller(7, "x", "/usr/bin/env", HOST.uid, HOST.gid, filters=1)
    call = SystemCall(call_name, number, calls.own(), padded, caller, error, **more)
    for mechanism in INSTALLED:
        for cause in mechanism.denied(tried.composition.settings[mechanism.name], context, call):
            for way in cause.ways:
                offer = loosen.first(tried, cause.leaf, [way])
                assert offer is not None, (cause.leaf, way)
                if not offer.barrier:
                    layer = parse_layer(Document("more", Path("/more.toml"), tomllib.loads(offer.toml), {}))
                    stack = Stack((*tried.composition.stack.layers, layer))
                    after = attempt(stack, INSTALLED, HOST, date(2026, 1, 1))
                    assert after.error is None, (cause.leaf, offer, after.error)


def failed(name: str, error: int, *arguments: int, uid: int = 0, has: tuple[str, ...] = (), **more: Any) -> SystemCall:
    number = calls.native(name, 0).number
    caller = Caller(7, "x", "/usr/bin/env", uid, uid, frozenset(has), 1)
    return SystemCall(name, number, calls.own(), (*arguments, *(0,) * 6)[:6], caller, error, **more)


ONE_ID = {"namespaces": {"user": "private", "id_map": "one-id"}}


@pytest.mark.parametrize(
    ("said", "by", "asked", "leaf"),
    [
        ({"capabilities": {"add": ["SYS_PTRACE"]}}, 0, failed("ptrace", errno.EPERM, has=("SYS_PTRACE",)), "seccomp.ptrace"),
        (
            {"capabilities": {"add": ["SYS_NICE"]}, "seccomp": {"deny": ["set_mempolicy"]}}, 0,
            failed("set_mempolicy", errno.EPERM, 2, has=("SYS_NICE",)), "seccomp.set_mempolicy",
        ),
        (
            {"capabilities": {"add": ["SYS_ADMIN"]}, "seccomp": {"allow": ["setgroups"]}, **ONE_ID}, 1000,
            failed("setgroups", errno.EPERM, 1, uid=1000, has=("SYS_ADMIN",), ids=(1000,)), "namespaces.id_map",
        ),
        (
            {"capabilities": {"add": ["PERFMON"]}, "namespaces": {"user": "host"}}, 0,
            failed("perf_event_open", errno.EPERM, has=("PERFMON",)), "seccomp.perf_event_open",
        ),
    ],
    ids=["strace", "hwloc", "apt-get", "perf"],
)  # fmt: skip
def test_a_capability_that_is_held_is_not_blamed_for_what_another_mechanism_denies(
    said: dict[str, Any], by: int, asked: SystemCall, leaf: str
) -> None:
    """What people have loosened is the wrong mechanism."""
    on = attrs.evolve(HOST, uid=by, gid=by, groups=(by,))
    layer = parse_layer(Document("base", Path("/base.toml"), {**LENIENT, **said}, {}))
    composition = attempt(Stack((layer,)), INSTALLED, on, date(2026, 1, 1)).composition
    context = examine(composition, on)
    found = [
        cause.leaf
        for mechanism in INSTALLED
        for cause in mechanism.denied(composition.settings[mechanism.name], context, asked)
    ]
    assert found == [leaf]
