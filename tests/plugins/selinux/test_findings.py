"""What is said of labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardening.mechanism.findings import Finding, Severity
from hardening.mechanism.roles import Volume
from hardening_selinux.findings import findings
from tests.plugins.selinux.hosts import INACTIVE, context, facts, namespaces, settings, volumes


def rules(found: list[Finding]) -> list[str]:
    return [finding.rule for finding in found]


def test_nothing_to_say_of_the_default(tmp_path: Path) -> None:
    assert list(findings(settings(), context(facts(tmp_path), namespaces(), volumes()))) == []


@pytest.mark.parametrize("name", ["spc_t", "unconfined_t", "container_runtime_t", "init_t"])
def test_domains_that_do_not_confine(tmp_path: Path, name: str) -> None:
    (found,) = findings(settings(type=name), context(facts(tmp_path)))
    assert (found.rule, found.severity, found.leaf) == ("selinux/unconfined", Severity.WARNING, "selinux.type")


def test_a_level_that_others_share(tmp_path: Path) -> None:
    assert rules(list(findings(settings(level="s0:c1,c2"), context(facts(tmp_path))))) == ["selinux/shared-level"]


@pytest.mark.parametrize("name", ["pid", "ipc"])
def test_namespaces_of_the_host_undo_the_separation(tmp_path: Path, name: str) -> None:
    found = list(findings(settings(), context(facts(tmp_path), namespaces(**{name: "host"}))))
    assert rules(found) == ["selinux/host-namespace"]
    assert found[0].leaf == f"namespaces.{name}"


def test_no_label_matters_where_selinux_is_active(tmp_path: Path) -> None:
    (active,) = findings(settings(enabled=False), context(facts(tmp_path)))
    (inactive,) = findings(settings(enabled=False), context(INACTIVE))
    assert (active.severity, inactive.severity) == (Severity.WARNING, Severity.NOTE)


def test_volumes_that_are_not_relabelled_are_said() -> None:
    rootfs = volumes(Volume("/srv/app", "/data", relabel="Z"), Volume("/srv/b", "/b"))
    found = list(findings(settings(relabel="private"), context(INACTIVE, rootfs)))
    assert rules(found) == ["selinux/not-relabelled"]
    assert found[0].leaf == "rootfs.volumes./data"
