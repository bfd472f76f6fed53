"""Limits of control groups, for both versions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hardening.errors import LaunchError
from hardening.launch import cgroups
from hardening.launch.config.model import Resources
from tests.support.features import require


def files(resources: Resources, unified: bool) -> dict[str, str]:
    return {
        limit.file: limit.value
        for limits in cgroups.limits(resources).values()
        for limit in limits
        if limit.unified == unified
    }


def test_version_two() -> None:
    asked = Resources(pids=10, memory=1 << 20, memory_swap=3 << 20, cpu_quota=5000, cpu_period=10000, cpus="0")
    assert files(asked, True) == {
        "pids.max": "10",
        "memory.max": "1048576",
        "memory.swap.max": "2097152",
        "cpu.max": "5000 10000",
        "cpuset.cpus": "0",
    }


def test_version_one() -> None:
    asked = Resources(pids=-1, memory=1 << 20, memory_swap=-1, cpu_shares=512, cpu_quota=-1)
    assert files(asked, False) == {
        "pids.max": "max",
        "memory.limit_in_bytes": "1048576",
        "memory.memsw.limit_in_bytes": "-1",
        "cpu.shares": "512",
        "cpu.cfs_period_us": "100000",
        "cpu.cfs_quota_us": "-1",
    }


def test_huge_pages_of_both_versions() -> None:
    asked = Resources(hugepages=(("2MB", 0),))
    assert files(asked, True) == {"hugetlb.2MB.max": "0", "hugetlb.2MB.rsvd.max": "0"}
    assert files(asked, False) == {"hugetlb.2MB.limit_in_bytes": "0", "hugetlb.2MB.rsvd.limit_in_bytes": "0"}


def test_files_of_version_two_are_of_that_alone_and_come_last() -> None:
    asked = Resources(pids=10, unified=(("pids.max", "5"), ("cgroup.max.depth", "1")))
    assert files(asked, True) == {"pids.max": "5", "cgroup.max.depth": "1"}
    assert files(asked, False) == {"pids.max": "10"}


def test_a_file_of_version_two_needs_its_controller_there(monkeypatch: pytest.MonkeyPatch) -> None:
    legacy = cgroups.Hierarchy(mount="/v1", controllers=("pids",), unified=False, own="/")
    unified = cgroups.Hierarchy(mount="/v2", controllers=("hugetlb",), unified=True, own="/")
    monkeypatch.setattr(cgroups, "read_hierarchies", lambda: (legacy, unified))
    for file, reason in {"pids.max": "version 1", "io.max": "no cgroup hierarchy"}.items():
        with pytest.raises(LaunchError, match=reason) as caught:
            cgroups.Cgroup().create("/x", cgroups.limits(Resources(unified=((file, "1"),))))
        assert f"config.json:/linux/resources/unified/{file}: " in str(caught.value)
        assert "\nhint: " in str(caught.value)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/a/./b", ["top/a/b"]),
        ("c", ["top/own/c"]),
        *((path, []) for path in ("", "/", ".", "../a", "/a/..", "/a/../../elsewhere")),
        *((path, []) for path in ("/plain", "/nothing", "\0a", "\ud800", "a" * 5000)),
    ],
)
def test_the_groups_that_a_path_stands_for(
    path: str, found: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the one that the caller runs in, nor a directory that is none."""
    for group in ("top", "top/a", "top/a/b", "top/own", "top/own/c", "elsewhere"):
        (tmp_path / group).mkdir()
        (tmp_path / group / "cgroup.procs").touch()
    (tmp_path / "top/plain").mkdir()
    hierarchy = cgroups.Hierarchy(mount=str(tmp_path / "top"), controllers=(), unified=True, own="/own")
    monkeypatch.setattr(cgroups, "read_hierarchies", lambda: (hierarchy,))
    assert [*cgroups._places(path)] == [str(tmp_path / name) for name in found]


@pytest.mark.parametrize(("shares", "weight"), [(2, "1"), (262144, "10000"), (1024, "39")])
def test_shares_become_a_weight(shares: int, weight: str) -> None:
    assert files(Resources(cpu_shares=shares), True) == {"cpu.weight": weight}


def test_swap_below_memory_is_refused() -> None:
    with pytest.raises(LaunchError, match="/linux/resources/memory/swap"):
        cgroups.limits(Resources(memory=10, memory_swap=5))


def test_nothing_asked_needs_nothing() -> None:
    assert cgroups.limits(None) == {}
    assert cgroups.limits(Resources()) == {}


def test_the_hierarchies_of_this_host() -> None:
    for entry in cgroups.read_hierarchies():
        assert entry.mount.startswith("/")
        assert entry.own.startswith("/")


def test_nobody_else_can_open_a_group_before_it_is_locked(tmp_path: Path) -> None:
    trace, group = tmp_path / "trace", tmp_path / "group"
    code = f"from hardening.launch import cgroups; cgroups._claim({str(group)!r})"
    argv = ["strace", "-qq", "-e", "trace=mkdir,flock,fchmod", "-o", str(trace), sys.executable, "-c", code]
    subprocess.run(argv, check=True, timeout=60)
    lines = trace.read_text().splitlines()
    start = next(index for index, line in enumerate(lines) if str(group) in line)
    made, locked, opened = lines[start : start + 3]
    assert "0700) = 0" in made
    assert locked.startswith("flock(")
    assert opened.startswith("fchmod(")
    assert group.stat().st_mode & 0o777 == 0o755


def test_a_hierarchy_that_another_mount_covers_is_not_in_use() -> None:
    require("root")
    code = "from hardening.launch import cgroups; print([entry.mount for entry in cgroups.read_hierarchies()])"
    script = """mount -t tmpfs none /sys/fs/cgroup && "$@" && mount -t cgroup2 none /sys/fs/cgroup && "$@" &&
        mount -t tmpfs none /sys/fs/cgroup && "$@\""""
    words = ["unshare", "--mount", "sh", "-c", script, "sh", sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "['/sys/fs/cgroup']", "[]"]
