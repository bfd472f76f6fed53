"""What is found out about SELinux, on directories that look like hosts; and what the settings are short of."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from hardening.errors import HostError
from hardening.mechanism.host import plain
from hardening_selinux.host import check, file_label, policy_knows, probe, process_label
from hardening_selinux.labels import Label
from tests.plugins.selinux.hosts import CALLER, INACTIVE, context, facts, fake_host, settings
from tests.support.features import available, require


def test_an_active_host(tmp_path: Path) -> None:
    found = probe(plain(), fake_host(tmp_path))
    assert found.active
    assert found.enforcing
    assert (found.policy, found.version, found.mls, found.caller) == ("minimum", 33, True, CALLER)
    assert found.mount == str(tmp_path / "sys/fs/selinux")


def test_a_permissive_host_without_levels(tmp_path: Path) -> None:
    found = probe(plain(), fake_host(tmp_path, enforce="0", mls="0"))
    assert not found.enforcing
    assert not found.mls


def test_a_kernel_without_selinux(tmp_path: Path) -> None:
    fake_host(tmp_path)
    (tmp_path / "proc/filesystems").write_text("nodev\tsysfs\n")
    assert "built without" in probe(plain(), tmp_path).inactive


def test_selinuxfs_that_is_not_mounted(tmp_path: Path) -> None:
    fake_host(tmp_path)
    (tmp_path / "proc/self/mountinfo").write_text("24 1 0:22 / /proc rw - proc proc rw\n")
    assert "not mounted" in probe(plain(), tmp_path).inactive


def test_a_kernel_without_a_policy(tmp_path: Path) -> None:
    fake_host(tmp_path)
    (tmp_path / "proc/self/attr/current").write_text("kernel\0")
    assert "no policy" in probe(plain(), tmp_path).inactive


def test_this_host() -> None:
    assert probe(plain()).active == available("selinux")


def test_this_host_knows_its_own_contexts() -> None:
    require("selinux")
    found = probe(plain())
    assert policy_knows(Label.parse(found.caller), found)
    assert not policy_knows(Label.parse("system_u:system_r:no_such_type_t:s0"), found)


def test_inactive_selinux_is_one_gap() -> None:
    (found,) = check(settings(), context(INACTIVE))
    assert (found.leaf, found.whole) == ("selinux.enabled", True)
    assert found.remedy == "install and load a policy"
    assert list(check(settings(enabled=False), context(INACTIVE))) == []


def test_an_active_host_has_none(tmp_path: Path) -> None:
    assert list(check(settings(), context(facts(tmp_path)))) == []


def test_permissive_mode_and_a_policy_without_levels_are_gaps(tmp_path: Path) -> None:
    lax = facts(tmp_path, enforcing=False, mls=False)
    found = [(item.leaf, item.whole) for item in check(settings(), context(lax))]
    assert found == [("selinux.type", True), ("selinux.level", False)]


def test_what_the_policy_does_not_know_is_a_gap(tmp_path: Path) -> None:
    # Writing to /dev/full fails as selinuxfs does, though with another error; a policy answers EINVAL, as /proc does here.
    given = attrs.evolve(facts(tmp_path), mount=str(tmp_path))
    (tmp_path / "context").unlink()
    (tmp_path / "context").symlink_to("/proc/self/oom_score_adj")
    found = list(check(settings(type="no_such_t", mount_label="a:b:c:s0"), context(given)))
    assert [item.leaf for item in found] == ["selinux.type", "selinux.mount_label"]
    assert "system_u:system_r:no_such_t:s0" in found[0].reason


def test_a_policy_that_cannot_be_asked_is_an_error(tmp_path: Path) -> None:
    given = attrs.evolve(facts(tmp_path), mount=str(tmp_path / "missing"))
    with pytest.raises(HostError, match="cannot ask the policy"):
        policy_knows(Label.parse("a:b:c:s0"), given)


@pytest.mark.parametrize(
    ("values", "label"),
    [
        ({}, "system_u:system_r:container_t:s0"),
        ({"type": "init"}, "system_u:system_r:container_init_t:s0"),
        ({"type": "kvm"}, "system_u:system_r:container_kvm_t:s0"),
        ({"type": "my.process", "user": "staff_u", "role": "staff_r"}, "staff_u:staff_r:my.process:s0"),
    ],
)
def test_the_process_label(tmp_path: Path, values: dict[str, str], label: str) -> None:
    assert str(process_label(settings(**values), facts(tmp_path))) == label


def test_the_file_label(tmp_path: Path) -> None:
    given = facts(tmp_path)
    assert str(file_label(settings(), given)) == "system_u:object_r:container_file_t:s0"
    assert str(file_label(settings(mount_label="read-only"), given)) == "system_u:object_r:container_ro_file_t:s0"
    assert str(file_label(settings(mount_label="a:b:c:s0:c1"), given)) == "a:b:c:s0:c1"
    assert str(file_label(settings(), attrs.evolve(given, mls=False))) == "system_u:object_r:container_file_t"
