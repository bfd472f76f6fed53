"""Volumes: their grammar, and the order of which is the stricter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from hardening.errors import ProfileError
from hardening.mechanism.roles import READ_ONLY_RIGHTS, RIGHTS, Volume
from hardening.profile.source import Document, Node
from hardening.testing.laws import check_kind
from hardening_rootfs.volumes import PROPAGATION, RELABEL, VolumeKind, read_destination, read_item
from tests.plugins.rootfs.stacks import composed, settings_of
from tests.support.homes import set_home

KIND = VolumeKind()
VOLUMES = st.one_of(
    st.none(),
    st.builds(
        Volume,
        source=st.sampled_from(["/srv/a", "/srv/b:c", "/srv/with space"]),
        target=st.just("/data"),
        rights=st.frozensets(st.sampled_from(sorted(RIGHTS))),
        recursive=st.booleans(),
        idmap=st.booleans(),
        propagation=st.sampled_from(PROPAGATION),
        relabel=st.sampled_from(RELABEL),
    ),
)


def node(value: object, file: str | None = "/etc/profiles/p.toml") -> Node:
    return Node(value, (), Document("p", Path(file) if file else None, {}, {}))


@given(st.lists(VOLUMES, min_size=2, max_size=4))
def test_the_order_is_lawful(values: list[Volume | None]) -> None:
    assert check_kind(KIND, values) == []


@given(VOLUMES)
def test_what_is_dumped_reads_back(volume: Volume | None) -> None:
    assert KIND.parse(node(KIND.dump(volume))) == volume


def test_the_order_has_absent_read_only_and_writable() -> None:
    writable = Volume("/a", "/data")
    read_only = attrs.evolve(writable, rights=READ_ONLY_RIGHTS)
    assert KIND.is_no_looser_than(None, read_only)
    assert KIND.is_no_looser_than(read_only, writable)
    assert not KIND.is_no_looser_than(writable, read_only)
    assert not KIND.is_no_looser_than(read_only, None)


def test_another_source_cannot_be_compared() -> None:
    one, other = Volume("/a", "/data", READ_ONLY_RIGHTS), Volume("/b", "/data")
    assert not KIND.is_no_looser_than(one, other)
    assert not KIND.is_no_looser_than(other, one)
    assert KIND.intersect(one, other) is None


@pytest.mark.parametrize(
    "changes", [*({"rights": frozenset({right})} for right in RIGHTS), {"idmap": True}, {"recursive": True}], ids=str
)
def test_fewer_rights_are_stricter(changes: dict[str, Any]) -> None:
    none = Volume("/a", "/data", frozenset(), idmap=False, recursive=False)
    one = attrs.evolve(none, **changes)
    assert KIND.is_no_looser_than(none, one)
    assert not KIND.is_no_looser_than(one, none)


def test_the_usual_options_are_those_of_podman_without_suid_and_dev() -> None:
    target, volume = read_item(node("/srv/a:/data"))
    assert target == "/data"
    assert volume.writable
    assert volume.options() == ["rbind", "rw", "rnosuid", "rnodev", "rprivate"]


def test_restrictions_hold_for_the_whole_tree() -> None:
    volume = read_item(node("/srv/a:/data:ro,noexec,rslave,idmap"))[1]
    assert volume.options() == ["rbind", "rro", "rnosuid", "rnodev", "rnoexec", "ridmap", "rslave"]
    volume = read_item(node("/srv/a:/data:ro,bind,idmap"))[1]
    assert volume.options() == ["bind", "ro", "nosuid", "nodev", "idmap", "rprivate"]


def test_relative_sources_start_at_the_folder_of_the_profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    set_home(monkeypatch, "/home/somebody")
    assert read_item(node("./a:/data"))[1].source == "/etc/profiles/a"
    assert read_item(node("../a:/data"))[1].source == "/etc/a"
    assert read_item(node("~/a:/data"))[1].source == "/home/somebody/a"
    assert read_item(node("./a:/data", file=None))[1].source == str(tmp_path / "a")


def test_a_table_takes_paths_with_colons() -> None:
    volume = read_item(node({"source": "/srv/a:b", "target": "/data", "options": ["ro", "Z"]}))[1]
    assert (volume.source, volume.writable, volume.relabel) == ("/srv/a:b", False, "Z")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("/data", "names no destination"),
        ("/a:/b:ro:rw", "more than three parts"),
        ("/a:/b:readonly", 'unknown option "readonly"'),
        ("/a:/b:r0", 'did you mean "ro"'),
        ("/a:/b:ro,rw", "ro and rw contradict"),
        ("/a:/b:z,Z", "z and Z contradict"),
        ("/a:b", "not an absolute path"),
        ("/a:/", "cannot be a mount's destination"),
        ("/a:/proc/sys", "cannot be a mount's destination"),
        ("/a:/b/../c", "has a .. in it"),
        (":/b", "the path is empty"),
        ({"source": "/a"}, "needs source and target"),
        ({"source": "/a", "target": "/b", "mode": "ro"}, "unknown key"),
        (3, "an integer where a string"),
    ],
)
def test_what_is_wrong_is_refused(value: object, message: str) -> None:
    with pytest.raises(ProfileError, match=message):
        read_item(node(value))


def test_a_destination_to_drop_may_be_written_whole() -> None:
    assert read_destination(node("/data")) == read_destination(node("/a:/data:ro")) == "/data"


def test_an_application_may_tighten_and_not_loosen(tmp_path: Path) -> None:
    base = '[rootfs]\nvolumes = ["/usr:/data:ro"]'
    assert settings_of(tmp_path, base, '[rootfs]\nvolumes.drop = ["/data"]').mounted_volumes() == []
    with pytest.raises(ProfileError, match="is looser than") as raised:
        composed(tmp_path, base, '[rootfs]\n\nvolumes.add = ["/usr:/data"]')
    assert str(raised.value.origin).endswith("layer1.toml:3")
    assert "layer0.toml:2" in raised.value.message
    with pytest.raises(ProfileError, match="cannot be compared"):
        composed(tmp_path, base, '[rootfs]\nvolumes.add = ["/etc:/data:ro"]')


def test_a_limit_names_all_volumes_that_there_may_be(tmp_path: Path) -> None:
    limit = '[limits.rootfs]\nvolumes = ["/usr:/data:ro"]'
    assert settings_of(tmp_path, limit, '[rootfs]\nvolumes = ["/usr:/data:ro"]').mounted_volumes()
    for beyond in ("/usr:/data", "/usr:/other:ro"):
        with pytest.raises(ProfileError, match="exceeds the limit"):
            composed(tmp_path, limit, tomli_w.dumps({"rootfs": {"volumes": {"add": [beyond]}}}))
