"""The control group of a foreign configuration: ceilings that it understands stay, nothing goes beyond the settings."""

from __future__ import annotations

import posixpath
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.assemble.oci_fields import CONFIG
from hardening.assemble.spec import assemble
from hardening.base.pointer import lookup
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Violation
from hardening.mechanism.schema import Leaf
from hardening_process.settings import ProcessSettings
from tests.plugins.process.stacks import PROCESS, context, host, strict

MIB = 1 << 20
OWN: dict[str, Any] = {"pids": 50, "memory": 64 * MIB, "memory_swap": 96 * MIB, "cpu": 40_000}


def tightened(own: ProcessSettings, linux: dict[str, Any]) -> tuple[dict[str, Any], list[Violation]]:
    """`/linux` afterwards, and what it asked for beyond the settings."""
    fragment = Fragment("process")
    violations = list(PROCESS.tighten(own, {"process": {}, "linux": linux}, context(host(), own), fragment))
    document = assemble([fragment], {"process": {}, "linux": linux}).document
    again = Fragment("process")
    assert list(PROCESS.tighten(own, document, context(host(), own), again)) == []
    assert assemble([again], document).document == document
    return document["linux"], violations


def resources(asked: dict[str, Any], own: dict[str, Any] = OWN) -> tuple[dict[str, Any], set[str]]:
    linux, violations = tightened(strict(ProcessSettings, **own), {"resources": asked})
    return linux["resources"], {item.pointer.removeprefix("/linux/resources/") for item in violations}


def test_what_no_ceiling_counts_goes() -> None:
    asked = {"cpu": {"realtimeRuntime": 950_000, "realtimePeriod": 1_000_000}, "memory": {"disableOOMKiller": True}}
    kept, beyond = resources(asked, {})
    assert kept == {"cpu": {}, "memory": {}}
    assert beyond == {"cpu/realtimeRuntime", "cpu/realtimePeriod", "memory/disableOOMKiller"}
    assert resources({"memory": {"disableOOMKiller": False}}, {})[1] == set()


@given(st.integers(1, 500_000), st.integers(1_000, 1_000_000), st.integers(0, 500_000))
def test_no_period_gets_more_than_its_share_with_its_burst(quota: int, period: int, burst: int) -> None:
    cpu = resources({"cpu": {"quota": quota, "period": period, "burst": burst}}, {"cpu": 40_000})[0]["cpu"]
    assert (cpu["quota"] + cpu.get("burst", 0)) * 100_000 <= 40_000 * cpu["period"]
    within = (quota + burst) * 100_000 <= 40_000 * period
    assert not within or cpu == {"quota": quota, "period": period, "burst": burst}


def test_each_number_of_memory_and_processor_is_judged_or_only_takes_away() -> None:
    """A field that the specification gets is one for `foreign_resources` to judge."""
    judged = {"limit", "swap", "disableOOMKiller", "quota", "period", "burst", "realtimeRuntime", "realtimePeriod"}
    harmless = {"reservation", "kernel", "kernelTCP", "swappiness", "useHierarchy", "checkBeforeUpdate"}
    harmless |= {"shares", "cpus", "mems", "idle"}
    shape = CONFIG["linux"]["resources"]
    assert {*shape["memory"], *shape["cpu"]} == judged | harmless


CEILINGS = {
    "pids.max": ("50", "51"),
    "memory.max": ("64M", "65M"),
    "memory.high": (str(64 * MIB), str(64 * MIB + 1)),
    "memory.swap.max": ("32M", "33M"),
    "cpu.max": ("40000 100000", "40001 100000"),
}


@pytest.mark.parametrize("name", CEILINGS)
def test_a_ceiling_of_the_control_group_that_only_tightens_stays(name: str) -> None:
    lower, beyond = CEILINGS[name]
    assert resources({"unified": {name: lower}})[0]["unified"] == {name: lower}
    for text in (beyond, "max", "", "-1", "0x1", f"{lower}\nmax", f" {lower}", "9" * 30, "٣"):
        kept, found = resources({"unified": {name: text}})
        assert (kept["unified"], found & {f"unified/{name}"}) == ({}, {f"unified/{name}"}), text


def test_without_a_ceiling_of_ones_own_any_number_stays() -> None:
    unified = {name: beyond for name, (_, beyond) in CEILINGS.items()}
    assert resources({"unified": unified}, {})[0]["unified"] == unified


def test_of_other_files_of_the_control_group_those_stay_that_only_take_away() -> None:
    bounds = {"cpuset.cpus": "0", "io.max": "8:0 rbps=1", "hugetlb.2MB.max": "0", "cgroup.max.depth": "1"}
    others = (
        "memory.low",
        "cpu.max.burst",
        "cpu.weight",
        "cgroup.type",
        "cpuset.cpus.partition",
        "memory.max/../cgroup.kill",
        "MEMORY.MAX",
    )
    kept, beyond = resources({"unified": bounds | dict.fromkeys(others, "1")})
    assert kept["unified"] == bounds
    assert {item.replace("~1", "/") for item in beyond} == {f"unified/{name}" for name in others}


def path_of(asked: str | None, cgroup: str) -> str | None:
    linux, _ = tightened(strict(ProcessSettings, cgroup=cgroup), {} if asked is None else {"cgroupsPath": asked})
    found = lookup({"linux": linux}, "/linux/cgroupsPath")
    assert found is None or isinstance(found, str)
    return found


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ("/containers/../evil", "/containers/evil"),
        ("/containers/a/../../evil", "/containers/evil"),
        ("/containers/a/../b", "/containers/b"),
        ("/containers//a/.", "/containers/a"),
        ("../../containers/a", "/containers/a"),
        ("machine.slice:libpod:abc", "/containers/machine.slice_libpod_abc"),
        ("/containersx/a", "/containers/a"),
    ],
)
def test_a_path_is_judged_where_it_leads(asked: str, path: str) -> None:
    assert path_of(asked, "/containers") == path


@pytest.mark.parametrize("asked", ["/", "//.", "..", "/a/.."])
def test_the_group_of_all_others_is_none(asked: str) -> None:
    assert path_of(asked, "") == "/user.slice/hardening"


@given(st.lists(st.sampled_from(["..", ".", "", "containers", "evil", "a:b"]), max_size=6).map("/".join), st.booleans())
def test_no_path_leads_out_of_the_stated_group(parts: str, absolute: bool) -> None:
    path = path_of("/" * absolute + parts, "/containers")
    assert path is not None
    assert path.startswith("/containers/")
    assert posixpath.normpath(path) == path


def test_a_configuration_without_a_path_gets_one_in_the_stated_group() -> None:
    assert (path_of(None, "/containers") or "").startswith("/containers/")
    assert path_of(None, "") is None


@pytest.mark.parametrize(
    ("asked", "limit", "path"),
    [
        ("/anywhere/a", "/teams", "/teams/a"),
        ("/teams/a", "/teams", "/teams/a"),
        ("/teams/../a", "/teams", "/teams/a"),
        ("machine.slice:libpod:abc", "/teams", "/teams/machine.slice_libpod_abc"),
        ("/anywhere/a", "", "/user.slice/hardening"),
    ],
)
def test_a_path_that_no_layer_says_is_within_the_limit(asked: str, limit: str, path: str) -> None:
    own, document = strict(ProcessSettings), {"linux": {"cgroupsPath": asked}}
    held = attrs.evolve(context(host(), own), limit={Leaf("process", "resources.cgroup"): limit}.get)
    fragment = Fragment("process")
    violations = [item.leaf for item in PROCESS.tighten(own, document, held, fragment)]
    assert assemble([fragment], document).document["linux"]["cgroupsPath"] == path
    assert violations.count("process.resources.cgroup") == (path != asked)
