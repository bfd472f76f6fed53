"""The law of receipts: that of a run which was loosened in any one setting never holds against the stricter stack.

A stack that is loosened in many settings runs once; its receipt holds against the stack itself, and is held against each
stack that lacks one of the loosenings, which it must not. `--every-setting` takes every system call, too.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from hardening_capabilities.table import BY_NAME
from hardening_process.settings import RLIMITS
from hardening_rootfs import hidden
from tests.support import loosenings, runs
from tests.support.features import available, require
from tests.support.loosenings import Group, loosening
from tests.support.users import ordinary

pytestmark = pytest.mark.system

STARTS = tuple((caller, runtime) for caller in ("root", "user") for runtime in runs.RUNTIMES)
#: A few system calls of each kind for every run of the suite: one that is allowed, one with arguments, one of a group.
SOME_CALLS = ("ptrace", "mount", "socket", "keyctl", "bpf", "personality", "io_uring_setup", "userfaultfd", "unshare")
#: Calls that the launch itself needs, or that kill or hang a command which only ends, are not in a complete run: none.
_HERE = Path("/var/tmp")


def _calls(names: Iterable[str]) -> list[loosenings.Loosening]:
    return [loosening(f"seccomp.{name}", [name], "seccomp", "allow") for name in names]


def _volume(name: str, options: str) -> loosenings.Loosening:
    return loosening(f"rootfs.volumes./data/{name}", [f"/usr/share:/data/{name}:{options}"], "rootfs", "volumes", "add")


def _dropped(leaf: str, members: Iterable[str]) -> list[loosenings.Loosening]:
    return [loosening(f"rootfs.{leaf}.{member}", [member], "rootfs", leaf, "drop") for member in members]


def _present(paths: Iterable[str]) -> list[str]:
    """Those that this host has, that no other of them is another name of, and that lie in no other."""
    there = [path for path in paths if path.startswith("/") and "*" not in path and os.path.exists(path)]
    real = Counter(os.path.realpath(path) for path in there)
    alone = [path for path in there if os.path.realpath(path) == path and real[path] == 1]
    return [path for path in alone if not any(path.startswith(f"{other}/") for other in there)]


NAMESPACES = [loosening(f"namespaces.{name}", "host") for name in ("ipc", "uts", "net", "cgroup")]
#: But `locks`, which Linux has no more, and those of which a caller has none to give.
LIMITS = [name for name in RLIMITS if name not in ("locks", "nice", "rtprio")]
HIGH: dict[str, int | str] = {
    **dict.fromkeys(LIMITS, 128), **dict.fromkeys(("as", "data", "stack", "fsize", "rss"), "16G"),
    "core": "1M", "msgqueue": 8192, "memlock": "128K",
}  # fmt: skip
LOW = {name: {int: 64, str: 0}[type(value)] if value != "16G" else "8G" for name, value in HIGH.items()}


def _tomls(table: Mapping[str, Any]) -> str:
    return "".join(
        f"{key} = {str(value).lower() if isinstance(value, bool) else repr(value)}\n" for key, value in table.items()
    )


#: Options of volumes, each with its stricter value in the base: the leaf is the volume's.
VOLUMES = {"write": ("ro", "rw"), "suid": ("ro", "ro,suid"), "dev": ("ro", "ro,dev"), "exec": ("ro,noexec", "ro"),
           "tied": ("ro", "ro,rslave"), "shared": ("ro", "ro,rshared")}  # fmt: skip
SYSCTLS = {
    "net.ipv4.ip_forward": "1",
    "net.ipv4.ip_unprivileged_port_start": "80",
    "kernel.msgmax": "65535",
    "fs.mqueue.msg_max": "20",
}
GROUPS = {
    "process": Group(
        "process",
        [
            *(loosening(f"process.rlimits.{name}", value) for name, value in HIGH.items()),
            loosening("process.umask", "022"),
            loosening("process.oom_score_adj", 600),
            loosening("process.environment.HARDENING_TRIED", ["HARDENING_TRIED"], "process", "environment", "add"),
        ],
        base="[process]\noom_score_adj = 700\n[process.rlimits]\n" + _tomls(LOW),
    ),
    "host namespaces": Group("host namespaces", NAMESPACES),
    "own namespaces": Group(
        "own namespaces",
        [
            loosening("namespaces.id_map", "root"),
            *(loosening(f"namespaces.sysctls.{key}", SYSCTLS[key], "namespaces", "sysctls", key) for key in SYSCTLS),
        ],
        base='[rootfs.proc]\nsubset = ""\n',  # runc sets them through the container's /proc
    ),
    "processes of the host": Group(
        "processes of the host",
        [loosening("namespaces.pid", "host"), loosening("rootfs.proc.hidepid", "off"), loosening("rootfs.proc.subset", "")],
    ),
    "capabilities": Group(
        "capabilities",
        [loosening(f"capabilities.{name}", [name], "capabilities", "add") for name in BY_NAME],
    ),
    "mounts": Group(
        "mounts",
        [
            loosening("rootfs.tmpfs./tmp", ["/tmp:size=128M"], "rootfs", "tmpfs", "add"),
            loosening("rootfs.tmpfs./run", ["/run:size=16M,mode=777"], "rootfs", "tmpfs", "add"),
            loosening("rootfs.tmpfs./var/tmp", ["/var/tmp:size=64M,exec"], "rootfs", "tmpfs", "add"),
            loosening("rootfs.tmpfs./opt", ["/opt:size=1M"], "rootfs", "tmpfs", "add"),
            loosening("rootfs.shm_size", "32M"),
            loosening("rootfs.devices./dev/fuse", ["/dev/fuse"], "rootfs", "devices", "add"),
            loosening("rootfs.volumes./mnt", ["/etc:/mnt:ro"], "rootfs", "volumes", "add"),
            loosening("rootfs.sys", "read-only"),
            *_dropped("hidden_paths", [path for path in _present(hidden.PATHS) if path != "/root"]),
        ],
    ),
}  # fmt: skip


def is_without_effect(leaf: str, caller: str, runtime: str) -> bool:
    """Whether what a leaf permits is not given anyway: the launch stage makes a cgroup namespace for a rootless runtime,
    which the container then shares, and never the caller's."""
    rootless = caller == "user" and (runtime == "runc" or (runtime == "crun" and not available("cgroup2-unified")))
    return leaf == "namespaces.cgroup" and rootless


@pytest.fixture(scope="session")
def rows() -> Iterator[Counter[tuple[str, str, str, str]]]:
    """How many loosenings there were, and of how many the receipt held, by mechanism, caller and runtime."""
    found: Counter[tuple[str, str, str, str]] = Counter()
    yield found
    keys = {key[:3] for key in found}
    print()
    print(loosenings.table({key: (found[*key, "loosened"], found[*key, "hold"]) for key in keys}))


@pytest.mark.parametrize(("caller", "runtime"), STARTS)
@pytest.mark.parametrize("name", GROUPS)
def test_a_loosened_run_does_not_hold_against_the_stricter_stack(
    name: str, caller: str, runtime: str, rows: Counter[tuple[str, str, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    group = GROUPS[name]
    require("root" if caller == "root" else "userns")
    user = ordinary() if caller == "user" else None
    for key, value in loosenings.TRIED.items():
        monkeypatch.setenv(key, value)
    plugins = runs.installed()
    with runs.workplace() as folder:
        report = loosenings.taken(group, runtime, user, plugins, folder)
        own = loosenings.held(report, group.layers(), plugins, user, folder)
        assert own.failing == []
        holding = []
        for item in group.loosenings:
            if is_without_effect(item.leaf, caller, runtime):
                continue
            found = loosenings.held(report, group.layers(item), plugins, user, folder)
            rows[item.mechanism, caller, runtime, "loosened"] += 1
            if found.holds:
                rows[item.mechanism, caller, runtime, "hold"] += 1
                holding.append(item.leaf)
    assert holding == []
