"""A path inside a root leads where the kernel says, and never out of the root."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.base.files import MAX_LINKS, Opened
from hardening.base.linux import abi, kernel
from hardening.base.linux.resolution import PathResolution, resolve

NAMES = ("a", "b", "c")
PATHS = st.lists(st.sampled_from((*NAMES, "..")), min_size=1, max_size=5).map("/".join)
TARGETS = st.builds(str.__add__, st.sampled_from(("", "/")), PATHS)
#: A name in the root, or in a directory of it, and what is there: a directory, a file, or a link.
ENTRIES = st.lists(st.tuples(PATHS, st.one_of(st.just("directory"), st.just("file"), TARGETS)), max_size=9)


def fill(root: Path, entries: list[tuple[str, str]]) -> None:
    for path, what in entries:
        place = root / path
        if ".." in path or not place.parent.is_dir() or os.path.realpath(place.parent) != str(place.parent):
            continue
        if not os.path.lexists(place):
            if what == "directory":
                place.mkdir()
            elif what == "file":
                place.touch()
            else:
                place.symlink_to(what)


def asked(root: Path, path: str) -> str | int:
    """Where the kernel goes, inside the root; else its error."""
    with Opened(os.open(root, os.O_PATH)) as top:
        try:
            with Opened(kernel.openat2(top, os.fsencode(path), os.O_PATH, abi.IN_ROOT)) as found:
                return os.readlink(f"/proc/self/fd/{found}").removeprefix(str(root)) or "/"
        except OSError as error:
            return error.errno or 0


@given(ENTRIES, PATHS)
def test_a_path_leads_where_the_kernel_says(entries: list[tuple[str, str]], path: str) -> None:
    with TemporaryDirectory() as folder:
        root = Path(folder).resolve() / "root"
        root.mkdir()
        fill(root, entries)
        found, wanted = resolve(path, str(root)), asked(root, path)
        if isinstance(wanted, str):
            assert (found.path, found.missing, found.problem) == (wanted, (), "")
        elif wanted == errno.ELOOP:
            assert found.problem == "too many symbolic links"
        else:
            assert wanted in (errno.ENOENT, errno.ENOTDIR)
            assert found.missing
            assert found.problem or ".." not in found.path
            assert found.problem or os.path.realpath(f"{root}{found.existing}") == f"{root}{found.existing}".rstrip("/")


def test_what_is_missing_are_the_last_names(tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "run").symlink_to("/gone/run")
    found = resolve("/bin/sh", str(tmp_path))
    assert (found.path, found.missing, found.existing) == ("/usr/bin/sh", ("sh",), "/usr/bin")
    assert found.names == ("/bin", "/usr", "/usr/bin", "/usr/bin/sh")
    dangling = resolve("run/x", str(tmp_path))
    assert (dangling.path, dangling.missing, dangling.existing) == ("/gone/run/x", ("gone", "run", "x"), "/")


def test_the_root_is_its_own_parent(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("../../../../etc")
    assert resolve("/", str(tmp_path)) == PathResolution("/", ())
    assert resolve("../..", str(tmp_path)) == PathResolution("/", ())
    assert resolve("out", str(tmp_path)).path == "/etc"
    assert resolve("out", str(tmp_path)).missing == ("etc",)


def test_there_is_no_way_back_from_what_is_not_there(tmp_path: Path) -> None:
    """runc takes such a link by its words alone, and would mount at /etc."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "tmp").symlink_to("gone/../etc")
    (tmp_path / "run").symlink_to("file/../etc")
    assert resolve("/tmp", str(tmp_path)).problem == "a .. leads back from /gone, which is no directory"
    assert resolve("/run", str(tmp_path)).problem == "a .. leads back from /file, which is no directory"
    assert resolve("/file/x", str(tmp_path)).missing == ("x",)


@pytest.mark.parametrize(("number", "problem"), [(MAX_LINKS, ""), (MAX_LINKS + 1, "too many symbolic links")])
def test_as_many_links_are_followed_as_the_kernel_follows(tmp_path: Path, number: int, problem: str) -> None:
    (tmp_path / "0").mkdir()
    for index in range(number):
        (tmp_path / str(index + 1)).symlink_to(str(index))
    assert resolve(str(number), str(tmp_path)).problem == problem
    assert (asked(tmp_path, str(number)) == errno.ELOOP) == bool(problem)


def test_a_circle_of_links_ends_with_all_its_names(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("/a")
    found = resolve("a", str(tmp_path))
    assert found.problem == "too many symbolic links"
    assert {*found.names} == {"/a", "/b"}


@pytest.mark.parametrize("name", ["nul\0", "\ud800", "x" * 300])
def test_what_no_name_can_be_is_missing(tmp_path: Path, name: str) -> None:
    assert resolve(f"{name}/y", str(tmp_path)).missing == (name, "y")
