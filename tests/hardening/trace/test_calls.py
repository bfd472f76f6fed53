"""The names of system calls, and the numbers that arguments have, which are held against the C headers."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from hardening.base.linux import abi
from hardening.base.linux._libc import ffi
from hardening.mechanism.denial import Caller
from hardening.mechanism.evidence import SIGNIFICANT
from hardening.trace import calls, decode, shapes, words
from hardening.trace.tracee import Tracee


def test_names_and_numbers() -> None:
    assert calls.name(abi.AUDIT_ARCH_X86_64, 257) == "openat"
    assert calls.name(abi.AUDIT_ARCH_X86_64, abi.X32_SYSCALL_BIT | 257) == "openat"
    assert calls.name(abi.AUDIT_ARCH_AARCH64, 56) == "openat"
    assert calls.name(abi.AUDIT_ARCH_I386, 9999) == "9999"
    assert calls.name(abi.AUDIT_ARCH_ARM, 0xF0005) == "set_tls"
    assert {token for token, _ in calls.numbers("write")} == set(calls.MACHINES[os.uname().machine])
    assert calls.numbers("no_such_call") == frozenset()
    assert calls.number("no_such_call") is None
    assert calls.native("write", 3) == calls.PendingCall(calls.own(), calls.number("write") or 0, (0,) * 6, 3)


def test_every_shape_is_of_a_call_that_is_known() -> None:
    known = {name for own, other in calls.MACHINES.values() for token in (own, other) for name in calls.names(token)}
    assert set(shapes.shapes()) <= known
    for name, shape in shapes.shapes().items():
        assert all(step == "-" or hasattr(decode._Decoding, f"_{step}") for step in shape.steps), name
        assert len(shape.steps) <= 6


def test_the_arguments_that_tell_uses_apart_are_read() -> None:
    """Calls with the same key are one use."""
    keys, tracee = shapes.Keys(), Tracee(os.getpid())
    for name, places in SIGNIFICANT.items():
        token, number = min(calls.numbers(name), key=lambda found: found[0] != calls.own())
        plain = calls.PendingCall(token, number, (0,) * 6, 1)
        for place in places:
            other = plain._replace(arguments=tuple(int(at == place) for at in range(6)))
            assert keys.key(other, tracee) != keys.key(plain, tracee), (name, place)


def test_a_path_is_seen_from_where_the_process_stands(tmp_path: Path) -> None:
    """Which is asked for once, until it may have moved."""
    keys, text = shapes.Keys(), ffi.new("char[]", b"name")
    entry = calls.native("chdir", 1)._replace(arguments=(int(ffi.cast("intptr_t", text)), 0, 0, 0, 0, 0))
    found = []
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, cwd=tmp_path) as other:
        for pid, moves in ((os.getpid(), False), (other.pid, False), (os.getpid(), True)):
            if moves:
                keys.moved()
            tracee = Tracee(os.getpid())
            tracee.pid = pid
            found.append(keys.key(entry, tracee))
        other.communicate()
    assert found[0] == found[2] != found[1]
    assert found[1][1] == (b"name", str(tmp_path))


HEADERS = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <linux/bpf.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/keyctl.h>
#include <linux/kvm.h>
#include <linux/loop.h>
#include <linux/netlink.h>
#include <linux/nsfs.h>
#include <linux/perf_event.h>
#include <linux/rtc.h>
#include <linux/rtnetlink.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
"""


def test_words_are_those_of_the_headers(tmp_path: Path) -> None:
    tables = {name: value for name, value in vars(words).items() if name.isupper() and isinstance(value, dict)}
    assert len(tables) > 20
    rows = [(table, name) for table, names in tables.items() for name in names]
    body = "".join(f'printf("{table} {name} %lld\\n", (long long) {name});\n' for table, name in rows)
    source = tmp_path / "words.c"
    source.write_text(f"{HEADERS}\nint main(void) {{\n{body}return 0; }}\n")
    subprocess.run(["gcc", "-o", str(tmp_path / "words"), str(source)], check=True, capture_output=True)
    printed = subprocess.run([str(tmp_path / "words")], check=True, capture_output=True, text=True).stdout
    found: dict[str, dict[str, int]] = {table: {} for table in tables}
    for table, name, value in (line.split(" ") for line in printed.splitlines()):
        found[table][name] = int(value) & 0xFFFFFFFF
    assert found == {table: {name: value & 0xFFFFFFFF for name, value in tables[table].items()} for table in tables}


@pytest.mark.parametrize(
    ("level", "option", "told"),
    [
        (0, 11, "SOL_IP IP_RECVERR"),
        (6, 4, "SOL_TCP TCP_KEEPIDLE"),
        (41, 25, "SOL_IPV6 IPV6_RECVERR"),
        (1, 6, "SOL_SOCKET SO_BROADCAST"),
    ],
)
def test_an_option_is_told_by_the_name_that_it_has_at_its_level(level: int, option: int, told: str) -> None:
    entry = calls.native("setsockopt", 1)._replace(arguments=((1 << 64) - 1, level, option, 0, 0, 0))
    assert decode.Decoder().call(entry, Tracee(os.getpid()), Caller(1)).text == f"setsockopt {told}"
