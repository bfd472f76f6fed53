"""Directories are removed however deep they are, and nothing beside them."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hardening.assemble import bundles
from hardening.base import trees
from hardening.images import removal
from hardening.launch.container import container_state
from hardening.launch.oci import ociprogram
from tests.support.features import require

DEPTH = 3000


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    """Far fewer than a deep directory has levels."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 32, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def deep(top: Path, depth: int = DEPTH) -> None:
    """Directories in one another, with a file in each, and one beside each."""
    here = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        os.mkdir("e", dir_fd=here)
        os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


@pytest.mark.usefixtures("few_descriptors")
def test_a_directory_is_removed_however_deep_it_is(tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()
    deep(tmp_path / "top")
    trees.remove(str(tmp_path / "top"))
    assert list(tmp_path.iterdir()) == []


def test_no_link_leads_out_of_it(tmp_path: Path) -> None:
    for name in ("out", "top", "top/a", "top/z"):
        (tmp_path / name).mkdir()
    (tmp_path / "out/file").touch()
    for name in ("link", "a/link", "z/link"):
        (tmp_path / "top" / name).symlink_to(tmp_path / "out")
    os.mkfifo(tmp_path / "top/fifo")
    trees.remove(b"top", folder := os.open(tmp_path, os.O_RDONLY))
    os.close(folder)
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "file"]
    (tmp_path / "link").symlink_to("out")
    with pytest.raises(NotADirectoryError):
        trees.remove(str(tmp_path / "link"))
    trees.remove(str(tmp_path / "none"))
    trees.remove(str(tmp_path / "none/none"))
    assert (tmp_path / "out/file").exists()


def test_directories_that_are_closed_to_their_owner(tmp_path: Path) -> None:
    (tmp_path / "top/a/b").mkdir(parents=True)
    (tmp_path / "top/a/b/file").touch()
    pid = os.fork()
    if pid == 0:  # whom modes bind
        status = 1
        try:
            if os.geteuid() == 0:
                for path in (tmp_path, *tmp_path.rglob("*")):
                    os.chown(path, 65534, 65534)
                os.chdir(tmp_path)
                os.setgroups([])
                os.setresuid(65534, 65534, 65534)
            else:
                os.chdir(tmp_path)
            for name in ("top/a/b", "top/a", "top"):
                os.chmod(name, 0)
            try:
                trees.remove("top")
            except PermissionError:
                trees.remove("top", closed=True)
                status = int(os.path.exists("top"))
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize(
    "remove",
    [
        trees.remove,
        lambda path: bundles.discard(Path(path)),
        container_state.remove,
        ociprogram.remove_rest,
        lambda path: removal.remove_tree(Path(path)),
    ],
)
def test_what_is_mounted_in_it_stays(remove: Callable[[str], None], tmp_path: Path) -> None:
    """A directory of the same file system, which no number of a device tells apart."""
    require("root")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").write_text("precious")
    (tmp_path / "top/a/mounted").mkdir(parents=True)
    (tmp_path / "top/a/file").touch()
    subprocess.run(["mount", "--bind", tmp_path / "kept", tmp_path / "top/a/mounted"], check=True)
    try:
        with suppress(OSError):
            remove(str(tmp_path / "top"))
        assert (tmp_path / "kept/file").read_text() == "precious"
        with pytest.raises(OSError, match="something is mounted on it"):
            trees.remove(str(tmp_path / "top"))
    finally:
        subprocess.run(["umount", tmp_path / "top/a/mounted"], check=True)
    remove(str(tmp_path / "top"))
    assert os.listdir(tmp_path) == ["kept"]
