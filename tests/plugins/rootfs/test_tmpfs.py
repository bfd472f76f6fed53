"""Places in memory: their grammar, and the order of which is the stricter."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.errors import ProfileError
from hardening.profile.source import Document, Node
from hardening.testing.laws import check_kind
from hardening_rootfs.tmpfs import FLAGS, Tmpfs, TmpfsKind
from tests.plugins.rootfs.stacks import composed, settings_of

KIND = TmpfsKind()
PLACES = st.one_of(
    st.none(),
    st.builds(
        Tmpfs,
        size=st.sampled_from([4096, 5000, 1 << 20, 1 << 40]),
        mode=st.sampled_from([0o700, 0o755, 0o777, 0o1777, 0o1770, 0]),
        rights=st.frozensets(st.sampled_from(sorted(FLAGS))),
    ),
)


def node(value: object, *path: str) -> Node:
    return Node(value, path, Document("p", Path("/p.toml"), {}, {}))


@given(st.lists(PLACES, min_size=2, max_size=4))
def test_the_order_is_lawful(values: list[Tmpfs | None]) -> None:
    assert check_kind(KIND, values) == []


@given(PLACES)
def test_what_is_dumped_reads_back(value: Tmpfs | None) -> None:
    assert KIND.parse(node(KIND.dump(value))) == value


def test_a_mode_without_the_sticky_bit_is_looser() -> None:
    assert KIND.is_no_looser_than(Tmpfs(mode=0o1777), Tmpfs(mode=0o777))
    assert not KIND.is_no_looser_than(Tmpfs(mode=0o777), Tmpfs(mode=0o1777))


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("none", None),
        ("64M", Tmpfs(64 << 20)),
        (8192, Tmpfs(8192)),
        ("size=1M,exec", Tmpfs(1 << 20, rights=frozenset({"exec"}))),
        ("noexec,nosuid,nodev", Tmpfs()),
        ("mode=0700", Tmpfs(mode=0o700)),
        ({"size": "1M", "exec": True, "mode": "700"}, Tmpfs(1 << 20, 0o700, frozenset({"exec"}))),
    ],
)
def test_ways_to_write_it(written: object, value: Tmpfs | None) -> None:
    assert KIND.parse(node(written)) == value


def test_run_belongs_to_root() -> None:
    assert KIND.parse(node("1M", "rootfs", "tmpfs", "/run")) == Tmpfs(1 << 20, 0o755)
    assert KIND.parse(node("1M", "rootfs", "tmpfs", "/tmp")) == Tmpfs(1 << 20, 0o1777)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("size=64X", "invalid size"),
        ("size=1", "out of range"),
        ("exec,noexec", "contradict"),
        ("size=1M,size=2M", "given twice"),
        ("tmpcopyup", 'unknown option "tmpcopyup"'),
        ("exec=yes", "unknown option"),
        ("mode=999", "not a mode"),
        ("mode=6755", "not a mode"),
        ({"sise": 1}, "unknown key"),
        ({"exec": 1}, "true or false"),
        (True, "a boolean where a table"),
    ],
)
def test_what_is_wrong_is_refused(written: object, message: str) -> None:
    with pytest.raises(ProfileError, match=message):
        KIND.parse(node(written))


def test_options_bound_size_and_files() -> None:
    options = Tmpfs(16 << 20).options()
    assert {"nosuid", "nodev", "noexec", "mode=1777", "size=16777216", "nr_inodes=16384"} <= set(options)


def test_forms_of_the_family(tmp_path: Path) -> None:
    usual = settings_of(tmp_path).mounted_tmpfs()
    assert list(usual) == ["/run", "/tmp", "/var/tmp"]
    assert settings_of(tmp_path, '[rootfs]\ntmpfs = "none"').mounted_tmpfs() == {}
    assert list(settings_of(tmp_path, '[rootfs.tmpfs]\n"/tmp" = "none"').mounted_tmpfs()) == ["/run", "/var/tmp"]
    assert list(settings_of(tmp_path, '[rootfs]\ntmpfs = ["/cache:size=1M"]').mounted_tmpfs()) == ["/cache"]
    added = settings_of(tmp_path, '[rootfs]\ntmpfs.add = ["/cache:size=1M"]\ntmpfs.drop = ["/run"]').mounted_tmpfs()
    assert list(added) == ["/cache", "/tmp", "/var/tmp"]


def test_one_destination_is_said_once(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="given twice"):
        composed(tmp_path, '[rootfs]\ntmpfs.add = ["/tmp:size=1M"]\ntmpfs."/tmp" = "2M"')


def test_none_is_the_strictest(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="is looser than none"):
        composed(tmp_path, '[rootfs]\ntmpfs = "none"', '[rootfs]\ntmpfs."/tmp" = "4K"')
    limited = settings_of(tmp_path, '[limits.rootfs]\ntmpfs."/tmp" = "1M"')
    assert limited.mounted_tmpfs()["/tmp"].size == 1 << 20


def test_places_that_the_mechanism_fills_are_refused(tmp_path: Path) -> None:
    for place in ("/", "/proc", "/dev", "/sys/fs"):
        with pytest.raises(ProfileError, match="cannot be a mount's destination"):
            composed(tmp_path, f'[rootfs]\ntmpfs.add = ["{place}"]')
