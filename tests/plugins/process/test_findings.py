"""What is said about settings, and receipts by hand held against them."""

from __future__ import annotations

from typing import Any

import pytest

from hardening.findings import Severity
from hardening.schema import Members
from hardening_process.findings import findings, seen_inside, verify
from hardening_process.kinds import UNLIMITED, Rlimit, User
from hardening_process.settings import ProcessSettings
from tests.plugins.process.stacks import context, host, strict

LIMITS = """Limit                     Soft Limit           Hard Limit           Units
Max core file size        0                    0                    bytes
Max open files            1024                 4096                 files
Max locked memory         65536                65536                bytes
Max msgqueue size         0                    0                    bytes
Max nice priority         0                    0
Max realtime priority     0                    0
Max address space         unlimited            unlimited            bytes
"""
IDS = "101000\t101000\t101000\t101000"
RECEIPT: dict[str, Any] = {
    "pid": 7,
    "status": {"Uid": IDS, "Gid": IDS, "Groups": "", "Umask": "0077"},
    "uid_map": "         0     100000      65536\n",
    "gid_map": "         0     100000      65536\n",
    "oom_score_adj": 0,
    "limits": LIMITS,
    "cgroup": "0::/somewhere/else\n",
}


def rules(own: ProcessSettings, **caller: Any) -> dict[str, Severity]:
    return {item.rule: item.severity for item in findings(own, context(host(**caller), own))}


def failures(own: ProcessSettings, **changes: Any) -> set[str]:
    """The leaves that the kernel does not enforce, by a receipt that differs in these fields."""
    status = {**RECEIPT["status"], **changes.pop("status", {})}
    return {check.leaf for check in verify(own, {**RECEIPT, "status": status, **changes}) if not check.holds}


def test_root_of_the_host_is_a_warning_and_root_of_a_namespace_a_note() -> None:
    own = strict(ProcessSettings)
    found = list(findings(own, context(host(0), own, user="host")))
    assert ("process/root", Severity.WARNING) in [(item.rule, item.severity) for item in found]
    found = list(findings(own, context(host(0), own)))
    assert ("process/root", Severity.NOTE) in [(item.rule, item.severity) for item in found]
    assert "process/root" not in rules(own)


def test_a_secret_in_the_environment_is_a_warning() -> None:
    passed = strict(ProcessSettings, environment=Members({"GITHUB_TOKEN": True}, False))
    given = strict(ProcessSettings, set_environment=Members({"GITHUB_TOKEN": "abc"}, None))
    for own in (passed, given):
        found = [item for item in findings(own, context(host(), own)) if item.rule == "process/secret-in-environment"]
        assert [item.severity for item in found] == [Severity.WARNING]
        assert "abc" not in str(found)
    dropped = strict(ProcessSettings, environment=Members({"GITHUB_TOKEN": False}, False))
    assert "process/secret-in-environment" not in rules(dropped)


def test_what_is_without_end_is_noted() -> None:
    loose = strict(ProcessSettings, rlimits=Members({}, UNLIMITED), umask=0)
    found = rules(loose)
    assert {"process/unlimited", "process/no-process-limit", "process/no-memory-limit", "process/umask"} <= found.keys()
    tight = strict(ProcessSettings, pids=50, memory=1 << 26, memory_swap=1 << 26)
    assert rules(tight) == {}
    assert "process/swap" in rules(strict(ProcessSettings, pids=50, memory=1 << 26))


def test_what_the_caller_decides_is_noted() -> None:
    found = rules(strict(ProcessSettings), rlimits={"nofile": Rlimit(512, 512)}, oom_score_adj=300)
    assert {"process/limit-of-caller", "process/oom-score-of-caller"} <= found.keys()


def test_code_by_environment_is_noted() -> None:
    own = strict(ProcessSettings, environment=Members({"LD_PRELOAD": True}, False))
    assert rules(own)["process/loader-variable"] is Severity.NOTE


def test_a_receipt_that_holds() -> None:
    own = strict(ProcessSettings, user=User("1000", "1000"), pids=50)
    assert failures(own) == set()


@pytest.mark.parametrize(
    ("leaf", "changes"),
    [
        ("process.user", {"status": {"Uid": "100000\t100000\t100000\t100000"}}),
        ("process.user", {"status": {"Uid": "101000\t100000\t101000\t101000"}}),
        ("process.user", {"status": {"Uid": "0\t0\t0\t0"}}),
        ("process.user", {"status": {"Gid": "100000\t100000\t100000\t100000"}}),
        ("process.groups", {"status": {"Groups": "100005"}}),
        ("process.groups", {"status": {"Groups": "27"}}),
        ("process.umask", {"status": {"Umask": "0022"}}),
        ("process.oom_score_adj", {"oom_score_adj": -1}),
        ("process.rlimits.core", {"limits": LIMITS.replace("core file size        0  ", "core file size        1  ")}),
        ("process.rlimits.nofile", {"limits": LIMITS.replace("4096", "unlimited")}),
        ("process.rlimits.memlock", {"limits": ""}),
    ],
)  # fmt: skip
def test_a_receipt_that_does_not_hold(leaf: str, changes: dict[str, Any]) -> None:
    assert leaf in failures(strict(ProcessSettings, user=User("1000", "1000")), **changes)


def test_permitted_groups_hold() -> None:
    own = strict(ProcessSettings, groups=Members({"5": True, "27": True}, False))
    assert failures(own, status={"Groups": "100005 27 101000"}) == set()


def test_the_callers_own_cgroup_is_none_of_its_own() -> None:
    with open("/proc/self/cgroup") as file:
        own_cgroup = file.read()
    assert failures(strict(ProcessSettings, pids=50), cgroup=own_cgroup) == {"process.resources"}
    assert failures(strict(ProcessSettings), cgroup=own_cgroup) == set()


def test_a_named_user_must_not_be_root() -> None:
    own = strict(ProcessSettings, user=User("app"))
    assert failures(own) == set()
    assert failures(own, status={"Uid": "100000\t100000\t100000\t100000"}) == {"process.user"}


def test_ids_are_mapped_back() -> None:
    text = "0 100000 1000\n1000 1000 1\n1001 101000 64535\n"
    assert [seen_inside(outside, text) for outside in (100_000, 1000, 101_000, 0, 99_999)] == [
        0,
        1000,
        1001,
        None,
        None,
    ]
