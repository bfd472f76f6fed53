"""How receipts are held against labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardening.mechanism.host import plain
from hardening_selinux.host import SelinuxFacts, probe
from hardening_selinux.settings import SelinuxSettings
from hardening_selinux.verify import verify
from tests.plugins.selinux.hosts import INACTIVE, context, fake_host, settings


def wrong(chosen: SelinuxSettings, label: str, on: SelinuxFacts, enforce: int | None = 1) -> list[str]:
    lines = ['1 1 0:1 / /tmp rw - tmpfs tmpfs rw,context="system_u:object_r:container_file_t:s0:c1,c2",size=1k']
    found = verify(chosen, context(on), {"label": label, "mountinfo": lines, "enforce": enforce})
    return [check.leaf for check in found if not check.holds]


def test_receipts_are_held_against_the_settings(tmp_path: Path) -> None:
    host = probe(plain(), fake_host(tmp_path))
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
    host = probe(plain(), fake_host(tmp_path, enforce=now))
    label = "system_u:system_r:container_t:s0:c1,c2"
    assert wrong(settings(), label, host, 1) == []
    assert wrong(settings(), label, host, 0) == wrong(settings(), label, host, None) == ["selinux.enabled"]


@pytest.mark.parametrize("label", ["", "unconfined\n", None])
def test_no_label_does_not_hold(label: str | None) -> None:
    (check,) = verify(settings(), context(INACTIVE), {"label": label, "mountinfo": [], "enforce": None})
    assert not check.holds
    assert check.kernel.startswith(f"{(label or 'none').strip()} (SELinux is not active")
