"""The directory of one launch: locked from its beginning, and what is left in one that nobody has locked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hardening.base import files, locks
from hardening.errors import LaunchError
from hardening.launch.container import directory
from hardening.launch.container.container_state import KILLED, ContainerEntry, describe, ended
from hardening.launch.container.directory import BLANK, BUNDLE, RUNTIME, LaunchDirectory, any_left, has_ended
from hardening.launch.request import LaunchRequest


def entry(state: Path, identity: str) -> ContainerEntry:
    request = LaunchRequest(id=identity, state=str(state), detach=True)
    made = ContainerEntry(LaunchDirectory(request.directory), describe(request, {}))
    made.create("")
    return made


def test_it_is_locked_and_passed_through_by_mapped_ids_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        lock = directory.make(str(tmp_path / "launches/one"))
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "launches", tmp_path / "launches/one")] == [0o711] * 2
    assert not any_left(str(tmp_path))
    with pytest.raises(FileExistsError):
        directory.make(str(tmp_path / "launches/one"))
    os.close(lock)
    assert any_left(str(tmp_path))


def test_what_stands_in_the_place_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "launches").symlink_to(tmp_path)
    with pytest.raises(LaunchError, match="cannot make the launch's directory"):
        LaunchDirectory(str(tmp_path / "launches/one")).make()


def test_a_lock_that_another_process_took_is_named_as_its_own(tmp_path: Path) -> None:
    made = LaunchDirectory(str(tmp_path / "launches/one"))
    made.make()

    def owners() -> list[int]:
        # Of this descriptor alone: /proc/locks is read in pieces, while others lock what they like (proc_pid_fdinfo(5)).
        lines = [line.split() for line in Path(f"/proc/self/fdinfo/{made.fd}").read_text().splitlines()]
        return [int(words[5]) for words in lines if words[0] == "lock:" and words[2] == "FLOCK"]

    assert owners() == [os.getpid()]
    child = os.fork()
    if child == 0:
        made.adopt()
        os._exit(0 if owners() == [os.getpid()] and locks.is_locked(made.path) else 1)
    assert os.waitpid(child, 0)[1] == 0
    os.close(made.fd)


def test_an_end_is_told_from_none() -> None:
    assert not has_ended(b"")
    assert not has_ended(BLANK)
    assert has_ended(ended(0, killed=False).encode())
    assert len(ended(KILLED, killed=True).encode()) == len(BLANK)


@pytest.mark.parametrize("rest", [None, BUNDLE, RUNTIME])
def test_a_container_that_has_ended_is_kept_and_not_left_unless_something_else_is(
    tmp_path: Path, rest: str | None
) -> None:
    made = entry(tmp_path, "one")
    made.finish(0)
    if rest:
        (tmp_path / "launches/one" / rest).mkdir()
    assert not any_left(str(tmp_path))
    os.close(made._fd)
    assert any_left(str(tmp_path)) is bool(rest)


def test_a_file_is_none_of_a_launch(tmp_path: Path) -> None:
    (tmp_path / "launches").mkdir()
    (tmp_path / "launches/file").touch()
    assert not any_left(str(tmp_path))


@pytest.mark.parametrize("kind", ["fifo", "link", "dangling", "directory"])
def test_what_stands_in_the_place_of_the_end_is_damage_and_nothing_that_is_left(tmp_path: Path, kind: str) -> None:
    made = entry(tmp_path, "one")
    path = tmp_path / "launches/one/exit"
    path.unlink()
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case _:
            path.symlink_to("/dev/zero" if kind == "link" else "nothing")
    with pytest.raises(OSError, match=r"is not a regular file|Too many levels"):
        files.open_file(str(path))
    os.close(made._fd)
    assert not any_left(str(tmp_path))
    made.remove()
    assert not path.parent.exists()
