"""What is contributed, and when something is reserved."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from hardening.assemble.spec import assemble
from hardening.errors import ProfileError
from hardening.launch.config.bundle import LEASES
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Context, Unsupported
from hardening.mechanism.roles import Volume
from hardening.profile.source import Origin
from hardening_selinux.labels import Label
from hardening_selinux.settings import SelinuxSettings
from hardening_selinux.spec import contribute, prepare
from tests.plugins.selinux.hosts import INACTIVE, context, facts, settings, volumes
from tests.support.features import require


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARDENING_STATE", str(tmp_path / "state"))


def contributed(chosen: SelinuxSettings, given: Context) -> dict[str, Any]:
    fragment = Fragment("selinux")
    contribute(chosen, given, fragment)
    return dict(assemble([fragment]).document)


def leases(document: Mapping[str, Any]) -> list[str]:
    return list(json.loads(document["annotations"][LEASES]))


def test_a_bundle_gets_labels_with_a_reserved_pair(tmp_path: Path) -> None:
    document = contributed(settings(), context(facts(tmp_path), bundle=tmp_path / "bundle"))
    label = Label.parse(document["process"]["selinuxLabel"])
    assert str(label).startswith("system_u:system_r:container_t:s0:c")
    assert label.level is not None
    assert label.level.pair is not None
    assert document["linux"]["mountLabel"] == f"system_u:object_r:container_file_t:{label.level}"
    (lease,) = leases(document)
    first, second = label.level.pair
    assert Path(lease).name.startswith(f"c{first},c{second}.")
    assert Path(lease).parent == tmp_path / "state/selinux/mcs"
    assert json.loads(Path(lease).read_text())["bundle"] == str(tmp_path / "bundle")


def test_a_bundle_of_a_single_run_does_not_keep_the_pair(tmp_path: Path) -> None:
    document = contributed(settings(), context(facts(tmp_path), bundle=tmp_path / "bundle", stays=False))
    assert json.loads(Path(leases(document)[0]).read_text())["bundle"] == ""


def test_a_dry_run_reserves_nothing(tmp_path: Path) -> None:
    document = contributed(settings(), context(facts(tmp_path)))
    level = Label.parse(document["process"]["selinuxLabel"]).level
    assert level is not None
    assert level.pair is not None
    assert "annotations" not in document
    assert not (tmp_path / "state").exists()


def test_nothing_is_contributed_without_selinux(tmp_path: Path) -> None:
    lacking = attrs.evolve(
        context(INACTIVE, bundle=tmp_path / "bundle"), unsupported=(Unsupported("selinux.enabled", "", ""),)
    )
    assert set(contributed(settings(), lacking)) == {"ociVersion"}
    active = context(facts(tmp_path), bundle=tmp_path / "bundle")
    assert set(contributed(settings(enabled=False), active)) == {"ociVersion"}
    assert not (tmp_path / "state").exists()


def test_given_values(tmp_path: Path) -> None:
    chosen = settings(user="a_u", role="b_r", type="c_t", level="s0:c7", mount_label="m_u:object_r:n_t:s0:c8")
    document = contributed(chosen, context(facts(tmp_path), bundle=tmp_path / "bundle"))
    assert document["process"]["selinuxLabel"] == "a_u:b_r:c_t:s0:c7"
    assert document["linux"]["mountLabel"] == "m_u:object_r:n_t:s0:c8"
    assert "annotations" not in document


@pytest.mark.parametrize(("word", "type_"), [("auto", "container_file_t"), ("read-only", "container_ro_file_t")])
def test_the_policys_file_types_stand_at_the_level_of_the_process(tmp_path: Path, word: str, type_: str) -> None:
    document = contributed(settings(mount_label=word, level="s0:c7"), context(facts(tmp_path)))
    assert document["linux"]["mountLabel"] == f"system_u:object_r:{type_}:s0:c7"


def test_a_range_labels_files_at_its_low_end(tmp_path: Path) -> None:
    document = contributed(settings(level="s0-s0:c0.c9"), context(facts(tmp_path)))
    assert document["process"]["selinuxLabel"].endswith(":container_t:s0-s0:c0.c9")
    assert document["linux"]["mountLabel"].endswith(":container_file_t:s0")


def test_a_policy_without_levels_gets_none(tmp_path: Path) -> None:
    document = contributed(settings(), context(facts(tmp_path, mls=False), bundle=tmp_path / "bundle"))
    assert document["process"]["selinuxLabel"] == "system_u:system_r:container_t"
    assert document["linux"]["mountLabel"] == "system_u:object_r:container_file_t"
    assert "annotations" not in document


def test_a_caller_of_limited_clearance_gives_of_its_own_categories(tmp_path: Path) -> None:
    given = attrs.evolve(facts(tmp_path), caller="user_u:user_r:user_t:s0-s0:c40,c50")
    document = contributed(settings(), context(given, bundle=tmp_path / "bundle"))
    assert document["process"]["selinuxLabel"].endswith(":s0:c40,c50")


@pytest.mark.parametrize(("policy", "option", "fine"), [
    ("never", "Z", False), ("never", "z", False), ("private", "Z", True), ("private", "z", False), ("shared", "Z", True),
    ("shared", "z", True),
])  # fmt: skip
def test_relabelling_is_for_the_settings_to_permit(tmp_path: Path, policy: str, option: str, fine: bool) -> None:
    rootfs = volumes(Volume(str(tmp_path / "data"), "/data", relabel=option))
    given = context(facts(tmp_path), rootfs)
    if fine:
        contributed(settings(relabel=policy), given)
    else:
        with pytest.raises(ProfileError, match=f'selinux.relabel is "{policy}"'):
            contributed(settings(relabel=policy), given)


def test_places_that_must_keep_their_labels_are_refused_before_anything_happens(tmp_path: Path) -> None:
    rootfs = volumes(Volume("/etc/app", "/data", relabel="Z", origin=Origin("layer", "team.toml:3")))
    with pytest.raises(ProfileError, match="/etc belongs to the host's system") as raised:
        contributed(settings(relabel="private"), context(INACTIVE, rootfs))
    assert str(raised.value.origin) == "team.toml:3"


def test_nothing_is_prepared_without_a_label(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    rootfs = volumes(Volume(str(tmp_path / "own"), "/own", relabel="Z"))
    prepare(settings(enabled=False), context(facts(tmp_path), rootfs), {"process": {}})
    prepare(settings(relabel="private"), context(INACTIVE, rootfs), {"process": {}})
    assert "security.selinux" not in os.listxattr(tmp_path / "own")


def test_volumes_are_relabelled_when_the_bundle_is_made(tmp_path: Path) -> None:
    require("root")
    for name in ("own", "common", "plain"):
        (tmp_path / name).mkdir()
    rootfs = volumes(
        Volume(str(tmp_path / "own"), "/own", relabel="Z"),
        Volume(str(tmp_path / "common"), "/common", relabel="z"),
        Volume(str(tmp_path / "plain"), "/plain"),
    )
    chosen = settings(relabel="shared")
    contributed(chosen, context(facts(tmp_path), rootfs))
    assert "security.selinux" not in os.listxattr(tmp_path / "own")
    given = context(facts(tmp_path), rootfs, bundle=tmp_path / "bundle")
    document = contributed(chosen, given)
    assert "security.selinux" not in os.listxattr(tmp_path / "own"), "the launch may still be refused"
    prepare(chosen, given, document)
    labels = {name: os.getxattr(tmp_path / name, "security.selinux").decode() for name in ("own", "common")}
    assert labels == {
        "own": document["linux"]["mountLabel"] + "\0",
        "common": "system_u:object_r:container_file_t:s0\0",
    }
    assert "security.selinux" not in os.listxattr(tmp_path / "plain")
