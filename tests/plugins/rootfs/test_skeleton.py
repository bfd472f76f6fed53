"""The root made of mounts."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardening.errors import ProfileError
from hardening.mechanism.fragment import Directory, Symlink
from hardening.profile.source import Origin
from hardening_rootfs import skeleton
from hardening_rootfs.skeleton import MountTarget, build, is_needed

ORIGIN = Origin("p", "p.toml:7")


@pytest.fixture
def root(tmp_path: Path) -> str:
    for name in ("usr/bin", "usr/lib", "opt/one", "proc", "home/ann"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "opt/file").write_text("x")
    (tmp_path / "marker").write_text("x")
    return str(tmp_path)


def test_a_root_with_all_mount_points_needs_none(root: str) -> None:
    assert not is_needed(root, [MountTarget("/proc", True), MountTarget("/opt/file", False)])
    assert is_needed(root, [MountTarget("/proc", True), MountTarget("/sys", True)])


def test_empty_directories_are_made_where_mounts_are_spared(root: str) -> None:
    assert "/proc" in build(root, [], frozenset()).binds
    spare = build(root, [], frozenset(), spare=True)
    assert "/proc" not in spare.binds
    assert "/proc" in spare.files


def test_entries_are_directories_links_and_mounts(root: str) -> None:
    built = build(root, [MountTarget("/proc", True), MountTarget("/sys", True)], frozenset(["/home"]))
    assert built.binds == ("/marker", "/opt", "/usr")
    assert built.files == {
        "/bin": Symlink("usr/bin"),
        "/home": Directory(),
        "/marker": b"",
        "/opt": Directory(),
        "/proc": Directory(),
        "/sys": Directory(),
        "/usr": Directory(),
    }


def test_only_what_a_missing_mount_point_lies_in_is_opened(root: str) -> None:
    built = build(root, [MountTarget("/opt/two/deep", True, ORIGIN)], frozenset())
    assert built.binds == ("/home", "/marker", "/opt/file", "/opt/one", "/proc", "/usr")
    assert built.files["/opt/two/deep"] == Directory()
    assert "/usr/bin" not in built.files


def test_a_mount_point_for_a_file_is_a_file(root: str) -> None:
    assert build(root, [MountTarget("/opt/new", False)], frozenset()).files["/opt/new"] == b""


def test_what_is_mounted_over_is_not_mounted_itself(root: str) -> None:
    assert "/usr" not in build(root, [MountTarget("/usr", True), MountTarget("/new", True)], frozenset()).binds


def test_a_mount_point_inside_an_empty_directory(root: str) -> None:
    built = build(root, [MountTarget("/home/ann/work", True)], frozenset(["/home"]))
    assert built.files["/home/ann/work"] == Directory()
    assert "/home/ann" not in built.binds


def test_an_empty_directory_that_is_not_there_is_made(root: str) -> None:
    assert build(root, [MountTarget("/mnt", True)], frozenset(["/mnt"])).files["/mnt"] == Directory()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (MountTarget("/opt/file", True, ORIGIN), "is a file, so a directory cannot be mounted there"),
        (MountTarget("/opt/one", False, ORIGIN), "is a directory, so a file cannot be mounted there"),
        (MountTarget("/opt/file/below", True, ORIGIN), "/opt/file is not a directory"),
    ],
)
def test_mount_points_of_the_wrong_kind_are_refused(root: str, target: MountTarget, message: str) -> None:
    with pytest.raises(ProfileError, match=message) as raised:
        build(root, [target], frozenset())
    assert raised.value.origin == ORIGIN


def test_a_large_directory_is_not_rebuilt(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skeleton, "MAX_ENTRIES", 20)
    for number in range(20):
        Path(root, "opt", str(number)).touch()
    assert build(root, [MountTarget("/new", True)], frozenset())
    with pytest.raises(ProfileError, match="missing in /opt, which has too many entries") as raised:
        build(root, [MountTarget("/opt/new", True, ORIGIN)], frozenset())
    assert raised.value.origin == ORIGIN
    assert raised.value.hint


def test_names_that_are_not_text_are_refused(root: str) -> None:
    Path(root, "opt", "\udcff").touch()
    with pytest.raises(ProfileError, match="not UTF-8"):
        build(root, [MountTarget("/opt/new", True)], frozenset())
