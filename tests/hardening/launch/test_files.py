"""Paths and small files without `os.path` and `io`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.launch import files

PATHS = st.text(alphabet="ab./", min_size=1, max_size=12).filter(lambda text: not text.startswith("//"))


@given(PATHS)
def test_paths_are_what_os_makes_of_them(path: str) -> None:
    assert files.absolute(path) == os.path.abspath(path)
    assert files.base(path) == os.path.basename(path)
    assert files.encode(path) == os.fsencode(path)
    assert files.decode(os.fsencode(path)) == path


@pytest.mark.parametrize(
    ("directory", "name", "joined"),
    [("/a", "b", "/a/b"), ("/a/", "b/c", "/a/b/c"), ("/", "b", "/b"), ("/a", "/b", "/b"), (".", "b", "./b")],
)
def test_join(directory: str, name: str, joined: str) -> None:
    assert files.join(directory, name) == joined == os.path.join(directory, name)


@pytest.mark.parametrize(("path", "above"), [("/dev/null", "/dev"), ("/dev", "/"), ("/a/b/c", "/a/b")])
def test_parent(path: str, above: str) -> None:
    assert files.parent(path) == above == os.path.dirname(path)


def test_bytes_that_are_no_text_survive(tmp_path: Path) -> None:
    name = os.fsdecode(bytes(tmp_path) + b"/\xff")
    (tmp_path / "file").write_bytes(b"old text")
    files.write(str(tmp_path / "file"), "\udcff\n")
    assert files.read(str(tmp_path / "file")) == "\udcff\nd text"
    assert files.decode(files.encode(name)) == name


def test_exists_and_same(tmp_path: Path) -> None:
    link, file = tmp_path / "link", tmp_path / "file"
    link.symlink_to("nowhere")
    file.touch()
    assert files.exists(str(link))
    assert files.exists(str(file))
    assert not files.exists(str(tmp_path / "nothing"))
    assert files.same(os.stat(file), os.lstat(file))
    assert not files.same(os.lstat(link), os.stat(file))


def test_nothing_is_made_by_writing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.write(str(tmp_path / "new"), "text")
    with pytest.raises(FileNotFoundError):
        files.read(str(tmp_path / "new"))
