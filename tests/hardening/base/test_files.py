"""Paths and small files without `os.path` and `io`."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hardening
from hardening.base import files
from tests.support.features import require

PATHS = st.text(alphabet="ab./", min_size=1, max_size=12).filter(lambda text: not text.startswith("//"))
#: Takes a name with everything in it that could be mistaken (PR_SET_NAME), says so, and waits.
NAMED = (
    "import ctypes, sys; ctypes.CDLL(None).prctl(15, b'a) Z 1 (b) c'); print('x', end='', flush=True); sys.stdin.read()"
)


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


def test_a_directory_has_just_its_mode_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        assert files.make_directory(str(tmp_path / "new"), 0o711)
        assert not files.make_directory(str(tmp_path / "new"), 0o700)
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode & 0o7777 == 0o711


def test_a_durable_file_is_synced_in_the_folder_that_it_is_seen_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "below").mkdir()
    monkeypatch.chdir("/")
    with files.Opened(os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)) as folder:
        files.replace("below/file", b"x", folder=folder, durable=True)
    assert (tmp_path / "below/file").read_bytes() == b"x"


def test_nothing_is_made_by_writing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.write(str(tmp_path / "new"), "text")
    with pytest.raises(FileNotFoundError):
        files.read(str(tmp_path / "new"))


def test_what_the_kernel_says_of_a_process_follows_its_name_whatever_that_is() -> None:
    """The name of this one has parentheses and spaces; without job control it has the terminal of its caller, if any."""
    process = subprocess.Popen(
        ["/usr/bin/python3", "-I", "-S", "-c", NAMED], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"x"
        fields = files.process(process.pid)
        assert fields[files.STATE] in ("R", "S")
        assert fields[files.TERMINAL] == files.process("self")[files.TERMINAL]
        assert not int(fields[files.FLAGS]) & 0x40  # PF_FORKNOEXEC: it has executed a program
        assert fields[files.STARTTIME] == Path(f"/proc/{process.pid}/stat").read_text().split(") ")[-1].split()[19]
        assert files.started(process.pid) == int(fields[files.STARTTIME])
    finally:
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert files.started(process.pid) is None, "a zombie"
        process.communicate()
    assert files.started(process.pid) is None


def test_a_process_that_only_forked_has_its_flag() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert int(files.process(child)[files.FLAGS]) & 0x40
    os.waitpid(child, 0)


@pytest.mark.parametrize("kind", ["link", "dangling", "hard link", "fifo", "directory", "device"])
def test_nothing_is_written_through_what_stands_in_the_place_of_a_file(tmp_path: Path, kind: str) -> None:
    path, other = tmp_path / "file", tmp_path / "other"
    other.write_text("mine\n")
    match kind:
        case "link":
            path.symlink_to(other)
        case "dangling":
            path.symlink_to("nothing")
        case "hard link":
            path.hardlink_to(other)
        case "fifo":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case _:
            require("root")
            os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    for flags in (0, os.O_APPEND, os.O_CREAT, os.O_CREAT | os.O_APPEND):
        with pytest.raises(OSError, match=r"not a regular file|has other names, too \(hard links\)"):
            files.open_own(str(path), flags)
    assert (other.read_text(), (tmp_path / "nothing").exists()) == ("mine\n", False)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.mknod(path, stat.S_IFSOCK | 0o600)])
def test_what_is_no_file_is_not_replaced(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "there")
    before = os.lstat(tmp_path / "there")
    with pytest.raises(OSError, match="not a regular file"):
        files.replace(str(tmp_path / "there"), b"data")
    assert os.lstat(tmp_path / "there") == before
    assert os.listdir(tmp_path) == ["there"]


def test_a_file_that_is_missing_is_made_only_where_that_is_asked(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.open_own(str(tmp_path / "file"), 0)
    os.close(files.open_own(str(tmp_path / "file"), os.O_CREAT))
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600
    os.close(files.open_own(str(tmp_path / "file"), 0))


def test_who_opens_a_file_to_write_it_that_may_be_there_looks_whether_it_has_other_names() -> None:
    """All others make a new one (O_EXCL), or open one that is only locked."""
    package = Path(hardening.__file__).parent
    sources = [*package.rglob("*.py"), *(package.parent / "plugins").rglob("*.py")]
    found = {
        path.name
        for path in sources
        for line in path.read_text().splitlines()
        if "os.O_CREAT" in line and not re.search(r"O_EXCL|\b_?LOCK\b|open_own|open_log|& os\.O_CREAT", line)
    }
    assert not found
