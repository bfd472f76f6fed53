"""What is said about settings, and receipts by hand held against them."""

from __future__ import annotations

from typing import Any

from hardening.mechanism.findings import Severity
from hardening.mechanism.schema import Members
from hardening_process.findings import findings
from hardening_process.kinds import UNLIMITED, ResourceLimit
from hardening_process.settings import ProcessSettings
from tests.plugins.process.stacks import context, host, strict


def rules(own: ProcessSettings, **caller: Any) -> dict[str, Severity]:
    return {item.rule: item.severity for item in findings(own, context(host(**caller), own))}


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
    found = rules(strict(ProcessSettings), rlimits={"nofile": ResourceLimit(512, 512)}, oom_score_adj=300)
    assert {"process/limit-of-caller", "process/oom-score-of-caller"} <= found.keys()


def test_code_by_environment_is_noted() -> None:
    own = strict(ProcessSettings, environment=Members({"LD_PRELOAD": True}, False))
    assert rules(own)["process/loader-variable"] is Severity.NOTE
