"""Paths and small files without `os.path` and `io`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.launch import files

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
