"""What is said of labels, and how receipts are judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardening.mechanism.findings import Finding, Severity
from hardening.mechanism.roles import Volume
from hardening_selinux.findings import findings, verify
from hardening_selinux.host import SelinuxFacts, probe
from hardening_selinux.settings import SelinuxSettings
from tests.plugins.selinux.hosts import INACTIVE, context, facts, fake_host, namespaces, settings, volumes


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


def wrong(chosen: SelinuxSettings, label: str, on: SelinuxFacts, enforce: int | None = 1) -> list[str]:
    lines = ['1 1 0:1 / /tmp rw - tmpfs tmpfs rw,context="system_u:object_r:container_file_t:s0:c1,c2",size=1k']
    found = verify(chosen, {"label": label, "mountinfo": lines, "enforce": enforce}, on)
    return [check.leaf for check in found if not check.holds]


def test_receipts_are_held_against_the_settings(tmp_path: Path) -> None:
    host = probe(fake_host(tmp_path))
    good = "system_u:system_r:container_t:s0:c1,c2\0"
    assert wrong(settings(), good, host) == []
    assert wrong(settings(enabled=False), "", host) == []
    assert wrong(settings(level="s0:c1,c2"), good, host) == []
    assert wrong(settings(level="s0"), good, host) == ["selinux.level"]
    assert wrong(settings(type="my_t"), good, host) == ["selinux.type"]
    assert wrong(settings(mount_label="read-only"), good, host) == ["selinux.mount_label"]
    assert wrong(settings(), "unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023", host) == [
        "selinux.user",
        "selinux.role",
        "selinux.type",
        "selinux.level",
    ]


@pytest.mark.parametrize("now", ["0", "1"])
def test_the_mode_is_that_of_the_run(tmp_path: Path, now: str) -> None:
    host = probe(fake_host(tmp_path, enforce=now))
    label = "system_u:system_r:container_t:s0:c1,c2"
    assert wrong(settings(), label, host, 1) == []
    assert wrong(settings(), label, host, 0) == wrong(settings(), label, host, None) == ["selinux.enabled"]


@pytest.mark.parametrize("label", ["", "unconfined\n", None])
def test_no_label_does_not_hold(label: str | None) -> None:
    (check,) = verify(settings(), {"label": label, "mountinfo": [], "enforce": None}, INACTIVE)
    assert not check.holds
    assert check.kernel.startswith(f"{(label or 'none').strip()} (SELinux is not active")
