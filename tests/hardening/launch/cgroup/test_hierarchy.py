"""Hierarchies of control groups."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hardening.launch.cgroup import hierarchy
from tests.support.features import require


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/a/./b", ["top/a/b"]),
        ("c", ["top/own/c"]),
        *((path, []) for path in ("", "/", ".", "../a", "/a/..", "/a/../../elsewhere")),
        *((path, []) for path in ("/plain", "/nothing", "\0a", "\ud800", "a" * 5000)),
    ],
)
def test_the_groups_that_a_path_stands_for(
    path: str, found: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the one that the caller runs in, nor a directory that is none."""
    for group in ("top", "top/a", "top/a/b", "top/own", "top/own/c", "elsewhere"):
        (tmp_path / group).mkdir()
        (tmp_path / group / "cgroup.procs").touch()
    (tmp_path / "top/plain").mkdir()
    top = hierarchy.Hierarchy(mount=str(tmp_path / "top"), controllers=(), unified=True, own="/own")
    monkeypatch.setattr(hierarchy, "read_hierarchies", lambda: (top,))
    assert [*hierarchy.groups_of(path)] == [str(tmp_path / name) for name in found]


def test_the_hierarchies_of_this_host() -> None:
    for entry in hierarchy.read_hierarchies():
        assert entry.mount.startswith("/")
        assert entry.own.startswith("/")


def test_a_hierarchy_that_another_mount_covers_is_not_in_use() -> None:
    require("root")
    code = (
        "from hardening.launch.cgroup import hierarchy; print([entry.mount for entry in hierarchy.read_hierarchies()])"
    )
    script = """mount -t tmpfs none /sys/fs/cgroup && "$@" && mount -t cgroup2 none /sys/fs/cgroup && "$@" &&
        mount -t tmpfs none /sys/fs/cgroup && "$@\""""
    words = ["unshare", "--mount", "sh", "-c", script, "sh", sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "['/sys/fs/cgroup']", "[]"]
