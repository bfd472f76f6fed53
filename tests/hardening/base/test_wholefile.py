"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hardening.base import files, wholefile
from hardening.base.linux import children
from hardening.errors import ImageError, LaunchError
from tests.support.features import require

NAMES = ("signature-1", "signature-2")
WAYS: tuple[Callable[[Path], object], ...] = (
    lambda path: wholefile.write(path, b"new" * 1000),
    lambda path: wholefile.add(path.parent, b"new" * 1000, (path.name, "other"), 0o644),
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """A limit of the file size (setrlimit(2), RLIMIT_FSIZE) stands for a full disk: write(2) takes the part that fits."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_is_made_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    wholefile.write(path, b"old")
    assert (path.read_bytes(), mode(path)) == (b"old", 0o644)
    path.chmod(0o640)
    wholefile.write(path, b"new")
    assert (path.read_bytes(), mode(path)) == (b"new", 0o640)
    wholefile.write(path, b"", 0o600)
    assert (path.read_bytes(), mode(path)) == (b"", 0o600)
    assert os.listdir(tmp_path) == ["file"]


def test_it_can_be_written_in_another_place(tmp_path: Path) -> None:
    (tmp_path / "stage").mkdir()
    (tmp_path / "names").mkdir(0o755)
    wholefile.write(tmp_path / "names/file", b"x", 0o600, within=tmp_path / "stage")
    assert (os.listdir(tmp_path / "stage"), os.listdir(tmp_path / "names")) == ([], ["file"])


@pytest.mark.parametrize("umask", [0, 0o077, 0o777])
def test_the_mode_is_the_one_that_is_asked_for_whatever_the_umask(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        wholefile.write(tmp_path / "secret", b"x", 0o600)
        files.create(str(tmp_path / "public"), b"x", 0o644)
    finally:
        os.umask(before)
    assert [mode(tmp_path / name) for name in ("secret", "public")] == [0o600, 0o644]


@pytest.mark.parametrize("call", ["write(place / 'file', data, 0o644)", "add(place, data, ('file', 'other'), 0o644)"])
def test_who_is_killed_leaves_what_only_the_caller_can_read(call: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    script = f"""
import resource, signal
from pathlib import Path
from hardening.base import files, wholefile
place, data = Path({str(tmp_path)!r}), b"x" * 2000
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
wholefile.{call}
"""
    done = subprocess.run([sys.executable, "-B", "-c", f"import os; os.umask(0)\n{script}"], check=False)
    assert done.returncode == -signal.SIGXFSZ
    [left] = [path for path in tmp_path.iterdir() if path.name != "file"]
    assert left.name.startswith(files.PARTIAL)
    assert (left.stat().st_size, mode(left)) == (1000, 0o600)
    assert (tmp_path / "file").read_bytes() == b"old"


@pytest.mark.parametrize("way", WAYS, ids=["write", "add"])
def test_what_cannot_be_written_whole_leaves_nothing(way: Callable[[Path], object], tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with files_of_at_most(1000), pytest.raises(OSError, match="File too large"):
        way(tmp_path / "file")
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


@pytest.mark.parametrize("way", WAYS, ids=["write", "add"])
def test_where_the_names_cannot_be_made_durable_nothing_is_changed(
    way: Callable[[Path], object], tmp_path: Path
) -> None:
    """A folder that can be written to and not be listed cannot be opened to be synced (fsync(2))."""
    require("root")
    folder = tmp_path / "folder"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    folder.chmod(0o300)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)

        def work(writer: int) -> None:
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            try:
                way(Path("file"))
            except OSError as error:
                os.write(writer, str(error.errno).encode())

        assert children.ask(work) == (str(errno.EACCES).encode(), 0)
    assert list(folder.iterdir()) == []


def test_a_directory_in_the_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(IsADirectoryError):
        wholefile.write(tmp_path / "file", b"x")
    assert os.listdir(tmp_path) == ["file"]


def test_the_first_free_name_is_taken_and_no_other(tmp_path: Path) -> None:
    found = [wholefile.add(tmp_path, data, NAMES, 0o644) for data in (b"a", b"b", b"c")]
    assert found == [tmp_path / "signature-1", tmp_path / "signature-2", None]
    assert [(tmp_path / name).read_bytes() for name in NAMES] == [b"a", b"b"]
    assert sorted(os.listdir(tmp_path)) == list(NAMES)


def test_of_those_who_add_at_once_each_gets_a_name(tmp_path: Path) -> None:
    names = [str(number) for number in range(16)]
    threads = [threading.Thread(target=wholefile.add, args=(tmp_path, name.encode(), names, 0o644)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(path.read_text() for path in tmp_path.iterdir()) == sorted(names)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_without_room_and_a_quota_have_a_remedy_of_their_own(number: int) -> None:
    with (
        pytest.raises(ImageError) as caught,
        wholefile.errors_as(ImageError, "cannot be kept", origin="/place", hint="look"),
    ):
        raise OSError(number, os.strerror(number))
    assert str(caught.value) == f"/place: cannot be kept: {os.strerror(number)}\nhint: free space on that disk"


def test_every_other_failure_has_the_hint_of_who_writes() -> None:
    with (
        pytest.raises(LaunchError) as caught,
        wholefile.errors_as(LaunchError, "cannot be kept", origin="/place", hint="look"),
    ):
        Path("/proc/nothing").write_bytes(b"")
    assert str(caught.value) == "/place: cannot be kept: No such file or directory\nhint: look"


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero"), tmp_path):
        with pytest.raises(OSError, match="is not a regular file"):
            wholefile.read(path)
    (tmp_path / "file").write_bytes(b"12345")
    assert wholefile.read(tmp_path / "file") == b"12345"
    assert wholefile.read(tmp_path / "file", 2) == b"123"


def test_a_pipe_that_was_handed_over_is_read_to_its_end() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"one")
    os.close(writer)
    assert wholefile.read(f"/dev/fd/{reader}") == b"one"
    os.close(reader)


@pytest.mark.timeout(10)
def test_nobody_waits_for_the_writer_of_a_fifo_that_was_handed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(tmp_path / "fifo", os.O_WRONLY)
    os.write(writer, b"one")
    os.close(writer)
    assert wholefile.read(f"/dev/fd/{reader}") == b"one"
    os.close(reader)
