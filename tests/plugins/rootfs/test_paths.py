"""Paths as a process in the root sees them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hardening.errors import ProfileError
from hardening.laws import check_kind
from hardening_rootfs.paths import Place, RootKind, is_below, is_host_root, resolve
from tests.plugins.rootfs.stacks import composed, settings_of
from tests.support.features import require


def test_links_are_followed_inside_the_root(tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "var").mkdir()
    (tmp_path / "var/run").symlink_to("/run")
    (tmp_path / "out").symlink_to("../../../usr")
    root = str(tmp_path)
    assert resolve(root, "/bin") == Place("/usr/bin", ())
    assert resolve(root, "/bin/sh") == Place("/usr/bin/sh", ("sh",))
    assert resolve(root, "/var/run/x") == Place("/run/x", ("run", "x"))
    assert resolve(root, "/out/bin") == Place("/usr/bin", ())
    assert resolve(root, "/") == Place("/", ())


def test_existing_part() -> None:
    assert Place("/a/b/c", ("b", "c")).existing == "/a"
    assert Place("/a", ("a",)).existing == "/"
    assert Place("/a", ()).existing == "/a"


def test_a_circle_of_links_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(ProfileError, match="too many symbolic links"):
        resolve(str(tmp_path), "/a")


def test_below() -> None:
    assert is_below("/a/b", "/a")
    assert is_below("/a", "/")
    assert not is_below("/ab", "/a")
    assert not is_below("/a", "/a")


def test_roots_are_equal_or_incomparable(tmp_path: Path) -> None:
    assert check_kind(RootKind()) == []
    with pytest.raises(ProfileError, match="cannot be compared"):
        composed(tmp_path, '[rootfs]\npath = "/srv"', '[rootfs]\npath = "/"')


def test_the_root_starts_at_the_folder_of_the_profile(tmp_path: Path) -> None:
    assert settings_of(tmp_path, '[rootfs]\npath = "image"').path.path == str(tmp_path / "image")
    assert settings_of(tmp_path).path.is_host


def test_the_host_s_root_is_known_by_every_name(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("/", "//", "/.", "/proc/self/root", "/usr/..", str(tmp_path / "link"), str(tmp_path / "link/.")):
        assert is_host_root(name), name
        assert settings_of(tmp_path, f'[rootfs]\npath = "{name}"\n').path.is_host, name
    for name in ("/usr", str(tmp_path), str(tmp_path / "missing"), str(tmp_path / "loop")):
        assert not is_host_root(name), name


def test_a_bind_mount_of_the_host_s_root_is_the_host_s_root(tmp_path: Path) -> None:
    require("root")
    subprocess.run(["mount", "--bind", "/", str(tmp_path)], check=True)
    try:
        assert is_host_root(str(tmp_path))
        assert not is_host_root(str(tmp_path / "usr"))
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
