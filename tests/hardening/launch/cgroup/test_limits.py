"""Limits of control groups, for both versions."""

from __future__ import annotations

import pytest

from hardening.errors import LaunchError
from hardening.launch.cgroup import limits as cgroup_limits
from hardening.launch.config.model import Resources


def files(resources: Resources, unified: bool) -> dict[str, str]:
    return {
        limit.file: limit.value
        for limits in cgroup_limits.limits(resources).values()
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


@pytest.mark.parametrize(("shares", "weight"), [(2, "1"), (262144, "10000"), (1024, "39")])
def test_shares_become_a_weight(shares: int, weight: str) -> None:
    assert files(Resources(cpu_shares=shares), True) == {"cpu.weight": weight}


def test_swap_below_memory_is_refused() -> None:
    with pytest.raises(LaunchError, match="/linux/resources/memory/swap"):
        cgroup_limits.limits(Resources(memory=10, memory_swap=5))


def test_nothing_asked_needs_nothing() -> None:
    assert cgroup_limits.limits(None) == {}
    assert cgroup_limits.limits(Resources()) == {}
