"""How the labels of a foreign configuration are tightened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from hardening.assemble.spec import assemble
from hardening.errors import SpecError
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Context, Unsupported, Violation
from hardening_selinux.labels import Label
from hardening_selinux.settings import SelinuxSettings
from hardening_selinux.tighten import tighten
from tests.plugins.selinux.hosts import INACTIVE, context, facts, settings
from tests.plugins.selinux.test_spec import leases

OWN = "system_u:system_r:container_t:s0:c1,c2"


def tightened(
    chosen: SelinuxSettings, given: Context, label: object, mount: object = None
) -> tuple[dict[str, Any], list[Violation]]:
    foreign = {"process": {"selinuxLabel": label}, "linux": {"mountLabel": mount}}
    fragment = Fragment("selinux")
    violations = list(tighten(chosen, foreign, given, fragment))
    return dict(assemble([fragment], foreign).document), violations


def test_tighten_keeps_a_pair_of_its_own(tmp_path: Path) -> None:
    given = context(facts(tmp_path), bundle=tmp_path / "bundle")
    document, violations = tightened(settings(), given, OWN, "system_u:object_r:container_file_t:s0:c1,c2")
    assert violations == []
    assert document["process"]["selinuxLabel"] == OWN
    assert "annotations" not in document


def test_tighten_adds_a_label_that_is_missing(tmp_path: Path) -> None:
    document, violations = tightened(settings(), context(facts(tmp_path), bundle=tmp_path / "bundle"), "")
    assert violations == []
    assert len(leases(document)) == 1
    level = Label.parse(document["process"]["selinuxLabel"]).level
    assert document["linux"]["mountLabel"].endswith(f":container_file_t:{level}")


@pytest.mark.parametrize(
    ("label", "leaf"),
    [
        ("system_u:system_r:spc_t:s0:c1,c2", "selinux.type"),
        ("other_u:system_r:container_t:s0:c1,c2", "selinux.user"),
        ("system_u:other_r:container_t:s0:c1,c2", "selinux.role"),
        ("system_u:system_r:container_t:s0", "selinux.level"),
        ("system_u:system_r:container_t:s0-s0:c1,c2", "selinux.level"),
        ("system_u:system_r:container_t", "selinux.level"),
    ],
)
def test_tighten_replaces_what_is_not_within(tmp_path: Path, label: str, leaf: str) -> None:
    document, violations = tightened(settings(), context(facts(tmp_path), bundle=tmp_path / "bundle"), label)
    assert [item.leaf for item in violations] == [leaf]
    assert document["process"]["selinuxLabel"].startswith("system_u:system_r:container_t:s0:c")
    again, more = tightened(settings(), context(facts(tmp_path)), document["process"]["selinuxLabel"])
    assert more == []
    assert again["process"] == document["process"]


def test_tighten_holds_the_mount_label_against_the_settings(tmp_path: Path) -> None:
    _, violations = tightened(settings(), context(facts(tmp_path)), OWN, "system_u:object_r:etc_t:s0")
    assert [(item.pointer, item.leaf) for item in violations] == [("/linux/mountLabel", "selinux.mount_label")]


def test_tighten_leaves_labels_alone_where_selinux_is_off(tmp_path: Path) -> None:
    lacking = attrs.evolve(context(INACTIVE), unsupported=(Unsupported("selinux.enabled", "", ""),))
    assert tightened(settings(), lacking, "a:b:c:s0")[0]["process"]["selinuxLabel"] == "a:b:c:s0"


def test_tighten_refuses_what_is_no_label(tmp_path: Path) -> None:
    with pytest.raises(SpecError):
        tightened(settings(), context(facts(tmp_path)), "container_t")
