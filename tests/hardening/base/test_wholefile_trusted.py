"""`hardening/base/wholefile.py`: files that decide what is permitted are read only where nobody else could have put them."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from hardening.base import wholefile
from hardening.base.wholefile import Owner
from hardening.errors import ProfileError
from tests.support import features

STRANGER = 48000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    return tmp_path


def written(path: Path) -> Path:
    path.write_bytes(b"text")
    path.chmod(0o644)
    return path


def read(path: Path, *, owner: Owner = Owner.ANY) -> bytes:
    return wholefile.read_trusted(path, "the file", 100, hint="look", owner=owner)


def refused(path: Path, *, owner: Owner = Owner.ANY) -> str:
    with pytest.raises(ProfileError) as caught:
        read(path, owner=owner)
    assert caught.value.hint
    return str(caught.value)


def test_a_file_of_ones_own_is_read(folder: Path) -> None:
    assert read(written(folder / "a"), owner=Owner.OWN) == b"text"


def test_a_directory_far_above_counts_too(folder: Path) -> None:
    (folder / "a/b").mkdir(parents=True, mode=0o755)
    path = written(folder / "a/b/file")
    (folder / "a").chmod(0o777)
    assert f"{folder}/a can be written by others" in refused(path)
    (folder / "a").chmod(0o777 | stat.S_ISVTX)
    assert read(path) == b"text"


def test_the_directories_of_a_link_count_as_those_of_its_target_do(folder: Path) -> None:
    (folder / "safe").mkdir(mode=0o755)
    (folder / "open").mkdir(mode=0o755)
    target = written(folder / "safe/file")
    (folder / "open/link").symlink_to(target)
    assert read(folder / "open/link") == b"text"
    (folder / "open").chmod(0o777)
    assert f"{folder}/open can be written by others" in refused(folder / "open/link")


def test_a_link_between_directories_counts(folder: Path) -> None:
    (folder / "safe/inner").mkdir(parents=True, mode=0o755)
    written(folder / "safe/inner/file")
    (folder / "open").mkdir()
    (folder / "open").chmod(0o777)
    (folder / "open/way").symlink_to(folder / "safe/inner")
    assert f"{folder}/open can be written by others" in refused(folder / "open/way/file")


def test_a_stranger_s_link_or_directory_is_refused(folder: Path) -> None:
    features.require("root")
    (folder / "theirs").mkdir(mode=0o755)
    target = written(folder / "file")
    (folder / "theirs/link").symlink_to(target)
    os.chown(folder / "theirs", STRANGER, STRANGER)
    assert f"{folder}/theirs belongs to another user (uid {STRANGER})" in refused(folder / "theirs/link")
    (folder / "link").symlink_to(target)
    os.lchown(folder / "link", STRANGER, STRANGER)
    assert f"the link {folder}/link belongs to another user (uid {STRANGER})" in refused(folder / "link")


def test_a_stranger_s_file_in_their_own_directory_is_read_by_path_only(folder: Path) -> None:
    features.require("root")
    (folder / "theirs").mkdir(mode=0o755)
    path = written(folder / "theirs/file")
    for name in (folder / "theirs", path):
        os.chown(name, STRANGER, STRANGER)
    assert read(path) == b"text"
    assert "the file belongs to another user" in refused(path, owner=Owner.OWN)


def test_what_is_too_large_or_no_file(folder: Path) -> None:
    path = folder / "large"
    path.write_bytes(bytes(101))
    path.chmod(0o644)
    assert "larger than 100 bytes" in refused(path)
    os.mkfifo(folder / "fifo", 0o644)
    assert "not a regular file" in refused(folder / "fifo")
    (folder / "loop").symlink_to("loop")
    assert "cannot read the file" in refused(folder / "loop")


def test_inside_a_user_namespace_unmapped_owners_are_not_told_apart(folder: Path) -> None:
    """There the host's root is nobody in particular: whoever runs there could use no installed profile otherwise."""
    features.require("root")
    features.require("userns")
    path = written(folder / "file")
    code = (
        "import sys; sys.path[:0] = sys.argv[2].split(':'); from pathlib import Path; from hardening.base import wholefile;"
        "print(wholefile.read_trusted(Path(sys.argv[1]), 'the file', 9, hint='', owner=wholefile.Owner.OWN))"
    )
    command = ["unshare", "--user", "--", sys.executable, "-c", code, str(path), ":".join(sys.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("b'text'\n", 0), done.stderr
