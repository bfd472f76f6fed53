"""Looks: each sees the changes that it is there for, and raises nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hardening.launch import fingerprints


def look(kind: str, path: Path, before: str = "") -> str:
    return fingerprints.take(kind, f"{before}{path}")


Change = Callable[[Path], object]


def _rewrite(path: Path) -> None:
    path.write_text("two")
    os.utime(path, ns=(0, 0))


def _relink(path: Path) -> None:
    path.unlink()
    path.symlink_to("more")


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("name", lambda path: path.chmod(0o600)),
        ("name", lambda path: path.unlink()),
        ("name", lambda path: (path.unlink(), path.mkdir())),
        ("name", lambda path: (path.unlink(), path.symlink_to("x"))),
        ("file", lambda path: path.write_text("two")),
        ("file", lambda path: path.unlink()),
        ("code", _rewrite),
        ("code", lambda path: path.chmod(0o600)),
        ("code", lambda path: (path.rename(f"{path}.old"), path.write_text("one"))),
    ],
)
def test_a_change_of_a_file(tmp_path: Path, kind: str, change: Change) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    path.chmod(0o644)
    os.utime(path, ns=(0, 0))
    before = look(kind, path)
    assert look(kind, path) == before
    change(path)
    assert look(kind, path) != before


def test_a_link_is_looked_at_itself(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("one")
    before = look("name", tmp_path / "link")
    assert before.endswith(" one")
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("two")
    assert look("name", tmp_path / "link") != before


@pytest.mark.parametrize(
    "change",
    [
        lambda path: (path / "new").write_text(""),
        lambda path: (path / "file").unlink(),
        lambda path: ((path / "file").unlink(), (path / "file").mkdir()),
        lambda path: ((path / "link").unlink(), (path / "link").symlink_to("other")),
    ],
)
def test_a_change_of_a_listing(tmp_path: Path, change: Change) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("file")
    before = look("entries", tmp_path)
    (tmp_path / "file").write_text("more")
    assert look("entries", tmp_path) == before
    change(tmp_path)
    assert look("entries", tmp_path) != before


def test_a_directory_is_empty_or_not(tmp_path: Path) -> None:
    assert look("empty", tmp_path) == "yes"
    (tmp_path / "file").write_text("")
    assert look("empty", tmp_path) == "no"
    assert look("names", tmp_path) == "file"


def test_lines_by_how_they_begin(tmp_path: Path) -> None:
    path = tmp_path / "status"
    path.write_text("CapEff:\t1\nCapBnd:\t2\nThreads:\t1\n")
    argument = f"{path}\nCapEff:\nCapBnd:"
    before = fingerprints.take("lines", argument)
    assert before == "CapEff:\t1\nCapBnd:\t2"
    path.write_text("CapEff:\t1\nCapBnd:\t2\nThreads:\t9\n")
    assert fingerprints.take("lines", argument) == before
    path.write_text("CapEff:\t1\nCapBnd:\t3\nThreads:\t9\n")
    assert fingerprints.take("lines", argument) != before


def test_rights(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    path.chmod(0o700)
    assert look("access", path, "rx ") == "rx"
    path.chmod(0o600)
    assert look("access", path, "x ") == "-"


def test_packages_are_names_with_versions_and_links_with_content(tmp_path: Path) -> None:
    (tmp_path / "one-1.0.dist-info").mkdir()
    (tmp_path / "one.pth").write_text("/somewhere")
    before = look("packages", tmp_path)
    (tmp_path / "one.py").write_text("")
    assert look("packages", tmp_path) == before
    (tmp_path / "one.pth").write_text("/somewhat!")
    assert look("packages", tmp_path) != before
    changed = look("packages", tmp_path)
    (tmp_path / "one-1.0.dist-info").rename(tmp_path / "one-1.1.dist-info")
    assert look("packages", tmp_path) != changed
    changed = look("packages", tmp_path)
    # One that has brought nothing so far may do so from now on, under the same version.
    (tmp_path / "one-1.1.dist-info/entry_points.txt").write_text("")
    assert look("packages", tmp_path) != changed
    changed = look("packages", tmp_path)
    (tmp_path / "one-1.1.dist-info/entry_points.txt").write_text("[hardening]\none = one\n")
    assert look("packages", tmp_path) != changed


def test_the_value_of_a_variable_is_not_told() -> None:
    assert fingerprints.take("variable", "PATH") != "-"
    assert os.environ["PATH"] not in fingerprints.take("variable", "PATH")
    assert fingerprints.take("variable", "NO_SUCH_VARIABLE") == "-"


def test_mounts_have_no_numbers_of_their_own_namespace() -> None:
    assert "proc" in Path("/proc/self/mountinfo").read_text()
    first = fingerprints.take("mounts", "proc")
    assert first == fingerprints.take("mounts", "proc")
    assert first != fingerprints.take("mounts", "no-such-type")


def test_mounts_are_told_by_what_each_is_mounted_in_and_taken_along(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of a table may stay as they are where a mount is moved over another."""
    seen = []
    for lines in (
        "20 1 8:1 / / rw - ext4 x rw\n21 20 8:2 / /a rw - ext4 y rw\n22 21 8:3 / /a/b rw - ext4 z rw\n",
        "40 7 8:1 / / rw shared:9 - ext4 x rw\n51 40 8:2 / /a rw - ext4 y rw\n52 51 8:3 / /a/b rw master:4 - ext4 z rw\n",
        "20 1 8:1 / / rw - ext4 x rw\n21 20 8:2 / /a rw - ext4 y rw\n22 20 8:3 / /a/b rw - ext4 z rw\n",
        "20 1 8:1 / / rw - ext4 x rw\n21 20 8:2 / /a rw unbindable - ext4 y rw\n22 21 8:3 / /a/b rw - ext4 z rw\n",
    ):
        monkeypatch.setattr(fingerprints, "_read", lambda path, text=lines: text.encode())
        seen.append(fingerprints.take("mounts", ""))
    assert seen[0] == seen[1]
    assert len(set(seen)) == 3


@pytest.mark.parametrize(
    "kind", sorted(set(fingerprints.KINDS) - {"variable", "passed", "folder", "mounts", "lines", "access", "before"})
)
def test_nothing_blocks_and_nothing_raises(tmp_path: Path, kind: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert look(kind, tmp_path / "absent") == "-"
    assert look(kind, tmp_path / "pipe/below") == "-"
    assert look(kind, tmp_path / "pipe")
    assert look(kind, Path("/" + "x" * 300)).startswith("!")
    assert look(kind, Path("/dev/null"))


def test_a_tree_is_all_that_is_in_it(tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "inner").mkdir(parents=True)
    (top / "inner/file").write_text("")
    (top / "link").symlink_to("inner")
    seen = {fingerprints.tree(str(top))}
    for change in (
        lambda: (top / "inner/file").write_text("x"),
        lambda: (top / "inner/file").chmod(0o600),
        lambda: (top / "more").mkdir(),
        lambda: (top / "inner").chmod(0o700),
        lambda: _relink(top / "link"),
        lambda: (top / "inner/file").rename(top / "inner/other"),
    ):
        change()
        found = fingerprints.tree(str(top))
        assert found not in seen
        seen.add(found)
    with pytest.raises(OSError, match="No such file"):
        fingerprints.tree(str(tmp_path / "absent"))


@pytest.mark.parametrize(("kind", "words"), [("file", ""), ("lines", "\n")])
def test_what_is_too_large_to_be_looked_at_is_never_the_same(tmp_path: Path, kind: str, words: str) -> None:
    path = tmp_path / "large"
    path.touch()
    os.truncate(path, fingerprints.MAX_BYTES)
    argument = f"{path}{words}"
    assert fingerprints.take(kind, argument) == fingerprints.take(kind, argument)
    os.truncate(path, fingerprints.MAX_BYTES + 1)
    assert fingerprints.take(kind, argument) != fingerprints.take(kind, argument)


@pytest.mark.parametrize("argument", ["a\0b", "\ud800", "r a\0b", "a\0b\nc"])
@pytest.mark.parametrize("kind", fingerprints.KINDS)
def test_what_no_file_can_be_called_is_nowhere(kind: str, argument: str) -> None:
    if kind != "access" or argument.startswith("r "):
        assert fingerprints.take(kind, argument) == fingerprints.take(kind, argument)


def test_a_time_is_to_come_until_it_has_come() -> None:
    now = int(time.time())
    assert fingerprints.take("before", str(now + 3600)) == "yes"
    assert fingerprints.take("before", str(now - 1)) == "no"
    assert fingerprints.take("before", "soon").startswith("!")
