"""The numbers of the kernel's interface, held against the C headers."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

from hardening.base.linux import abi

HEADERS = """
#include <sched.h>
#include <signal.h>
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <linux/netlink.h>
#include <linux/nsfs.h>
#include <linux/openat2.h>
#include <linux/ptrace.h>
#include <linux/seccomp.h>
#include <linux/sched.h>
#include <linux/sockios.h>
"""
TABLES = {"UNIFIED_CALLS", "CALLS", "SECCOMP_FILTER_FLAGS", "CAPABILITIES", "RLIMITS"}
#: Of no header under this name: two begin with underscores there, three are made of others that are, and the last is in
#: one (asm-generic/siginfo.h) that cannot stand beside signal.h.
SKIPPED = {*TABLES, "LINUX_CAPABILITY_VERSION_3", "X32_SYSCALL_BIT", "IN_ROOT", "CLONE_NAMESPACES", "UNSHARE_NAMESPACES",
           "SYS_SECCOMP"}  # fmt: skip


def _compile(tmp_path: Path, body: str) -> str:
    source = tmp_path / "numbers.c"
    source.write_text(f"#define _GNU_SOURCE\n{HEADERS}\nint main(void) {{ {body} return 0; }}\n")
    subprocess.run(["gcc", "-o", str(tmp_path / "numbers"), str(source)], check=True, capture_output=True)
    return subprocess.run([str(tmp_path / "numbers")], check=True, capture_output=True, text=True).stdout


def test_constants_are_those_of_the_headers(tmp_path: Path) -> None:
    names = [name for name in vars(abi) if name.isupper() and name not in SKIPPED]
    lines = "".join(f'printf("{name} %lld\\n", (long long) {name});' for name in names)
    lines += 'printf("V3 %lld\\n", (long long) _LINUX_CAPABILITY_VERSION_3);'
    found = dict(line.split(" ") for line in _compile(tmp_path, lines).splitlines())
    assert int(found.pop("V3")) == abi.LINUX_CAPABILITY_VERSION_3
    assert {name: int(value) & 0xFFFFFFFF for name, value in found.items()} == {
        name: getattr(abi, name) & 0xFFFFFFFF for name in names
    }


def test_capabilities_limits_and_filter_flags_are_those_of_the_headers(tmp_path: Path) -> None:
    names = [*abi.CAPABILITIES, *abi.SECCOMP_FILTER_FLAGS, *abi.RLIMITS]
    lines = "".join(f'printf("{name} %d\\n", {name});' for name in names)
    found = {name: int(value) for name, value in (line.split(" ") for line in _compile(tmp_path, lines).splitlines())}
    assert [found[name] for name in abi.CAPABILITIES] == list(range(len(abi.CAPABILITIES)))
    assert {name: found[name] for name in abi.SECCOMP_FILTER_FLAGS} == abi.SECCOMP_FILTER_FLAGS
    assert {name: found[name] for name in abi.RLIMITS} == abi.RLIMITS
    of_python = {name for name in dir(resource) if name.startswith("RLIMIT_")} - {"RLIMIT_OFILE"}
    assert set(abi.RLIMITS) == of_python | {"RLIMIT_LOCKS"}


def test_system_calls_of_this_machine_are_those_of_the_headers(tmp_path: Path) -> None:
    table = {**abi.CALLS[os.uname().machine], **abi.UNIFIED_CALLS}
    lines = "".join(f'printf("{name} %d\\n", SYS_{name});' for name in table)
    found = {name: int(value) for name, value in (line.split(" ") for line in _compile(tmp_path, lines).splitlines())}
    assert found == table


def test_system_calls_of_aarch64_are_those_of_the_generic_table(tmp_path: Path) -> None:
    text = Path("/usr/include/asm-generic/unistd.h").read_text()
    numbers = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == "#define" and words[1].startswith("__NR_") and words[2].isdecimal():
            numbers[words[1].removeprefix("__NR_")] = int(words[2])
    assert {name: numbers[name] for name in abi.CALLS["aarch64"]} == abi.CALLS["aarch64"]
    assert {name: numbers[name] for name in abi.UNIFIED_CALLS} == abi.UNIFIED_CALLS


def test_structures_have_the_sizes_of_the_headers(tmp_path: Path) -> None:
    from hardening.base.linux._libc import ffi

    structures = {
        "struct mount_attr": "struct mount_attr",
        "struct open_how": "struct open_how",
        "struct cap_header": "struct __user_cap_header_struct",
        "struct cap_data": "struct __user_cap_data_struct",
        "struct syscall_info": "struct __ptrace_syscall_info",
    }
    lines = "".join(f'printf("%zu ", sizeof({name}));' for name in structures.values())
    assert [int(word) for word in _compile(tmp_path, lines).split()] == [ffi.sizeof(name) for name in structures]


def test_the_tables_name_the_same_calls() -> None:
    assert abi.CALLS["x86_64"].keys() == abi.CALLS["aarch64"].keys()
    assert sys.platform == "linux"
