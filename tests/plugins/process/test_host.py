"""What this host cannot give, for callers and hosts by hand."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from hardening.errors import HostError, ProfileError
from hardening.mechanism.host import plain
from hardening.mechanism.schema import Members
from hardening_process.facts import effective_oom_score_adj, effective_rlimit
from hardening_process.host import check, probe
from hardening_process.kinds import UNLIMITED, ResourceLimit, User
from hardening_process.settings import ProcessSettings
from tests.plugins.process.stacks import DELEGATED, NO_CGROUPS, context, host, strict


def limits(**named: ResourceLimit) -> ProcessSettings:
    return strict(ProcessSettings, rlimits=Members(named, UNLIMITED))


def test_an_ordinary_caller_with_subordinate_ids_has_all_of_the_defaults() -> None:
    assert list(check(strict(ProcessSettings), context(host(groups=(1000, 27))))) == []


def test_root_has_all_of_the_defaults_without_a_user_namespace() -> None:
    assert list(check(strict(ProcessSettings), context(host(0, groups=(0, 27)), user="host"))) == []


def test_groups_that_cannot_be_dropped_must_be_permitted() -> None:
    """With one id mapped the kernel forbids setgroups(2), and the caller's groups keep their access."""
    caller = host(groups=(1000, 4_000_000), subids=())
    (found,) = check(strict(ProcessSettings), context(caller))
    assert found.leaf == "process.groups"
    assert "4000000" in found.reason
    assert not found.tolerated
    permitted = strict(ProcessSettings, groups=Members({"4000000": True}, False))
    assert list(check(permitted, context(caller))) == []


def test_only_a_user_namespace_lets_an_ordinary_caller_become_another() -> None:
    other = strict(ProcessSettings, user=User("33", "33"))
    (found,) = check(other, context(host(), user="host"))
    assert found.leaf == "process.user"
    assert list(check(other, context(host()))) == []
    assert list(check(other, context(host(0), user="host"))) == []


@pytest.mark.parametrize(
    ("caller", "sys_resource", "user", "expected"),
    [
        (UNLIMITED, False, "private", ResourceLimit(1024, 4096)),
        (ResourceLimit(256, 2048), False, "private", ResourceLimit(1024, 2048)),
        (ResourceLimit(256, 512), False, "private", ResourceLimit(512, 512)),
        (ResourceLimit(256, 512), False, "host", ResourceLimit(512, 512)),
        (ResourceLimit(256, 512), True, "host", ResourceLimit(1024, 4096)),
        # In a user namespace of its own the launch has no power over the host's limits.
        (ResourceLimit(256, 512), True, "private", ResourceLimit(512, 512)),
    ],
)
def test_a_limit_is_cut_to_what_the_caller_can_hand_down(
    caller: ResourceLimit, sys_resource: bool, user: str, expected: ResourceLimit
) -> None:
    on = host(0, rlimits={"nofile": caller}, sys_resource=sys_resource)
    assert effective_rlimit("nofile", limits(nofile=ResourceLimit(1024, 4096)), context(on, user=user)) == expected


def test_a_limit_that_the_process_cannot_even_start_with_is_told() -> None:
    own = limits(nofile=ResourceLimit(1024, 4096))
    (found,) = check(own, context(host(rlimits={"nofile": ResourceLimit(256, 512)})))
    assert found.leaf == "process.rlimits.nofile"
    assert found.tolerated, "what counts instead is stricter, so nothing stops"
    assert list(check(own, context(host(rlimits={"nofile": ResourceLimit(256, 2048)})))) == []


def test_no_ceiling_leaves_the_callers_limit() -> None:
    on = host(rlimits={"nofile": ResourceLimit(256, 512)})
    assert effective_rlimit("nofile", limits(), context(on)) is None
    half = limits(nofile=ResourceLimit(64, None))
    assert effective_rlimit("nofile", half, context(on)) == ResourceLimit(64, 512)
    assert effective_rlimit("nofile", half, context(host())) == ResourceLimit(64, None)


def test_the_callers_score_is_the_least() -> None:
    own = strict(ProcessSettings, oom_score_adj=100)
    assert effective_oom_score_adj(own, context(host(oom_score_adj=-900))) == 100
    assert effective_oom_score_adj(own, context(host(oom_score_adj=300))) == 300


def test_ceilings_need_their_controllers() -> None:
    own = strict(ProcessSettings, pids=50, memory=1 << 26, memory_swap=1 << 26, cpu=50_000)
    assert list(check(own, context(host(cgroups=DELEGATED)))) == []
    found = list(check(own, context(host(cgroups=NO_CGROUPS))))
    assert [item.leaf for item in found] == [
        f"process.resources.{name}" for name in ("pids", "memory", "memory_swap", "cpu")
    ]
    assert not any(item.tolerated for item in found)
    assert {item.requirement for item in found} == {"process.resources.requirement"}


def test_what_asks_for_no_ceiling_needs_no_cgroups() -> None:
    assert list(check(strict(ProcessSettings), context(host(cgroups=NO_CGROUPS)))) == []


def test_swap_that_the_kernel_does_not_count_is_told() -> None:
    uncounted = attrs.evolve(DELEGATED, swap=False)
    own = strict(ProcessSettings, memory=1 << 26, memory_swap=1 << 27)
    (found,) = check(own, context(host(cgroups=uncounted)))
    assert found.leaf == "process.resources.memory_swap"


def test_limits_are_those_of_the_kernel() -> None:
    found = probe(plain()).rlimits
    for name in ("as", "core", "cpu", "fsize", "memlock", "nofile", "nproc", "stack", "msgqueue", "rttime"):
        numbers = resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))
        assert found[name] == ResourceLimit(*(None if n == resource.RLIM_INFINITY else n for n in numbers)), name


def test_capability_and_score_are_those_of_the_kernel() -> None:
    found = probe(plain())
    assert found.oom_score_adj == int(Path("/proc/self/oom_score_adj").read_text())
    code = (
        "from hardening.mechanism.host import plain; from hardening_process.host import probe; "
        "f = probe(plain()); print(f.oom_score_adj, f.sys_resource)"
    )
    script = f'echo 700 > /proc/self/oom_score_adj; exec "{sys.executable}" -c "{code}"'
    without = ["setpriv", "--inh-caps=-all"] + (["--bounding-set=-sys_resource"] if os.geteuid() == 0 else [])
    done = subprocess.run([*without, "sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["700", "False"]


def test_the_environment_is_the_callers_and_stays_out_of_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SECRET", "tell-nobody")
    found = probe(plain())
    assert found.environment["MY_SECRET"] == "tell-nobody"
    assert "tell-nobody" not in repr(found)


def test_a_variable_that_is_no_text_is_refused_by_its_name() -> None:
    with pytest.raises(ProfileError, match=r"process\.environment\.LANG: the value of LANG is not UTF-8"):
        list(check(strict(ProcessSettings), context(host(environment={"LANG": "\udcff"}))))


def test_without_procfs_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot read the caller's limits"):
        probe(plain(), tmp_path)
