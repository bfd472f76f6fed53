"""Links on the way to a source: followed where they are root's or the caller's."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from hardening.base import links
from tests.support.features import require


def found(path: object) -> str:
    """Where a path leads."""
    fd = links.find(str(path))
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "real/inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real/up").symlink_to("../link/inner")
    (tmp_path / "absolute").symlink_to(tmp_path / "link/inner")
    (tmp_path / "loop").symlink_to("loop")
    return tmp_path


@pytest.mark.parametrize(
    "path", ["real/inner", "link/inner", "link/../link//./inner", "real/up", "absolute", "link/inner/"]
)
def test_own_links_are_followed(tree: Path, path: str) -> None:
    assert found(tree / path) == str(tree / "real/inner")


def test_links_of_proc_are_followed_as_the_kernel_does(tree: Path) -> None:
    assert found(f"/proc/self/root{tree}/link") == str(tree / "real")
    assert found("/proc/self/cwd") == os.getcwd()


@pytest.mark.parametrize(
    ("path", "number"), [("loop", errno.ELOOP), ("link/none", errno.ENOENT), ("none", errno.ENOENT)]
)
def test_what_cannot_be_found_has_the_errno_of_the_kernel_and_leaves_nothing_open(
    tree: Path, path: str, number: int
) -> None:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(OSError, match=os.strerror(number)) as error:
        links.find(str(tree / path))
    assert error.value.errno == number
    assert os.listdir("/proc/self/fd") == before


def test_a_link_of_somebody_else_is_refused(tree: Path) -> None:
    require("root")
    os.chown(tree / "link", 1234, 1234, follow_symlinks=False)
    for path in ("link", "link/inner", "real/up", "absolute"):
        with pytest.raises(links.ForeignLinkError, match="the link link belongs to uid 1234"):
            links.find(str(tree / path))
    assert found(tree / "real/inner") == str(tree / "real/inner")
