"""Paths as a process in the root sees them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from hardening.base.files import is_below
from hardening.errors import ProfileError
from hardening.testing.laws import check_kind
from hardening_rootfs.paths import RootKind, followed, is_host_root, resolve
from tests.plugins.rootfs.stacks import composed, settings_of
from tests.support.features import require


def test_links_are_followed_inside_the_root(tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "var").mkdir()
    (tmp_path / "var/run").symlink_to("/run")
    (tmp_path / "out").symlink_to("../../../usr")
    root = str(tmp_path)
    assert resolve(root, "/bin").path == "/usr/bin"
    assert resolve(root, "/out/bin").path == "/usr/bin"


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


def test_a_place_is_written_by_where_links_of_the_caller_s_and_root_s_lead(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    assert followed(str(tmp_path / "link")) == str(tmp_path / "there")
    assert followed(str(tmp_path / "missing")) == str(tmp_path / "missing")  # the launch tells of it


def test_no_place_is_written_by_a_link_that_somebody_else_has_laid(tmp_path: Path) -> None:
    """Another container, in a volume of its own: `realpath` would make it the place that was judged."""
    require("root")
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    os.chown(tmp_path / "link", 100_000, 100_000, follow_symlinks=False)
    with pytest.raises(ProfileError, match=r"link cannot be shown: the link link belongs to uid 100000"):
        followed(str(tmp_path / "link"))


def test_no_place_of_another_mount_namespace_is_taken_for_one_of_that_name_here(tmp_path: Path) -> None:
    require("userns")
    script = f"mount -t tmpfs tmpfs {tmp_path} && echo mounted && exec sleep 600"
    with subprocess.Popen(["unshare", "-Urm", "sh", "-c", script], stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "mounted\n"
            with pytest.raises(ProfileError, match="leads to a path with another name than"):
                followed(f"/proc/{other.pid}/root{tmp_path}")
        finally:
            other.kill()
