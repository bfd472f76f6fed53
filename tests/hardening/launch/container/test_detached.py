"""Detaching: the process that waits and the one that stays, with a launch that is a function of the test."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from hardening.base import files, locks
from hardening.errors import LaunchError
from hardening.launch.container import detached
from hardening.launch.container.directory import LaunchDirectory
from hardening.launch.request import LaunchRequest
from hardening.launch.supervise.run_observer import RunObserver
from tests.support.patience import until

DOCUMENT = {"process": {"args": ["job"]}}


@pytest.fixture
def asked(tmp_path: Path) -> LaunchRequest:
    return LaunchRequest(id="one", state=str(tmp_path), detach=True)


def run(asked: LaunchRequest, run_bundle: Callable[[RunObserver | None], int]) -> int:
    return detached.run(asked, LaunchDirectory(asked.directory), run_bundle)


def launch(then: Callable[[RunObserver], int]) -> Callable[[RunObserver | None], int]:
    """A launch that is prepared as a real one is; ``then`` is what it does then."""

    def run(observer: RunObserver | None) -> int:
        assert observer is not None
        observer.prepare(DOCUMENT)
        return then(observer)

    return run


def test_the_id_is_printed_at_the_start_and_the_end_is_kept(
    asked: LaunchRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    def then(observer: RunObserver) -> int:
        observer.started(os.getpid())
        observer.write(1, b"said\n")
        return 5

    assert run(asked, launch(then)) == 0
    assert capfd.readouterr().out == "one\n"
    os.wait()
    folder = Path(asked.directory)
    assert json.loads((folder / "exit").read_text())["code"] == 5
    assert json.loads((folder / "container.json").read_text())["process"]["pid"] > 0
    assert (folder / "log").read_text().endswith(" stdout F said\n")


def test_a_failure_is_the_callers_and_nothing_is_left(asked: LaunchRequest, capfd: pytest.CaptureFixture[str]) -> None:
    def then(observer: RunObserver) -> int:
        raise LaunchError("it cannot be", origin="here", hint="let it", exit_code=126)

    with pytest.raises(LaunchError, match="here: it cannot be\nhint: let it") as caught:
        run(asked, launch(then))
    assert caught.value.exit_code == 126
    os.wait()
    assert capfd.readouterr().out == ""
    assert not Path(asked.directory).exists()


def test_a_start_that_cannot_be_written_down_says_what_to_do(
    asked: LaunchRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **_named: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def then(observer: RunObserver) -> int:
        monkeypatch.setattr(files, "replace", full)
        observer.started(os.getpid())
        return 137

    with pytest.raises(LaunchError, match="No space left on device\nhint: free space") as caught:
        run(asked, launch(then))
    assert caught.value.exit_code == 125
    os.wait()


def test_an_interruption_before_the_start_is_a_failure(asked: LaunchRequest) -> None:
    with pytest.raises(LaunchError, match="the launch was interrupted") as caught:
        run(asked, launch(lambda observer: 130))
    assert caught.value.exit_code == 130
    os.wait()
    assert not Path(asked.directory).exists()


def test_a_launcher_that_is_killed_before_the_start_is_a_failure(asked: LaunchRequest) -> None:
    def then(observer: RunObserver) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    with pytest.raises(LaunchError, match="the launcher exited with -9 before the command ran"):
        run(asked, launch(then))
    assert not Path(asked.directory).exists()


def test_a_failure_after_the_start_goes_to_the_log(asked: LaunchRequest, capfd: pytest.CaptureFixture[str]) -> None:
    def then(observer: RunObserver) -> int:
        observer.started(os.getpid())
        raise LaunchError("it broke", exit_code=125)

    assert run(asked, launch(then)) == 0
    os.wait()
    assert (Path(asked.directory) / "log").read_text().endswith(" stderr F hardening: it broke\n")
    assert json.loads((Path(asked.directory) / "exit").read_text())["code"] == 125


def test_a_command_whose_id_nobody_would_learn_is_ended(asked: LaunchRequest, tmp_path: Path) -> None:
    """The process that waits is killed before the start; the launch is told to end its command, and leaves nothing."""
    gone = tmp_path / "gone"
    told = tmp_path / "told"

    def then(observer: RunObserver) -> int:
        until(gone.exists)
        told.write_text(str(observer.started(os.getpid())))
        return 137

    waiting = os.fork()
    if waiting == 0:
        run(asked, launch(then))
        os._exit(0)
    until(Path(asked.directory).exists)
    os.kill(waiting, signal.SIGKILL)
    os.waitpid(waiting, 0)
    gone.touch()
    until(lambda: not Path(asked.directory).exists())
    assert told.read_text() == "False"


def test_a_container_that_removes_itself(asked: LaunchRequest, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(asked.changed(auto_remove=True), launch(lambda observer: observer.started(os.getpid()) - 1)) == 0
    os.wait()
    assert capfd.readouterr().out == "one\n"
    assert not Path(asked.directory).exists()


def test_a_container_that_is_being_removed_at_its_end_ends_as_its_command_did(asked: LaunchRequest) -> None:
    def end_without(path: Path) -> int:
        def then(observer: RunObserver) -> int:
            observer.started(os.getpid())
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            return 5

        assert run(asked, launch(then)) == 0
        return os.waitstatus_to_exitcode(os.wait()[1])

    folder = Path(asked.directory)
    assert end_without(folder / "exit") == 5
    assert (folder / "log").read_text().endswith(f" stderr F hardening: {folder}: No such file or directory\n")
    shutil.rmtree(folder)
    assert end_without(folder) == 5
    assert not folder.exists()


def test_the_launcher_keeps_no_descriptor_of_the_caller_and_reads_nothing(
    asked: LaunchRequest, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    lock = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)  # what the launch itself holds
    seen = tmp_path / "seen"

    def then(observer: RunObserver) -> int:
        observer.started(os.getpid())
        until(seen.exists)
        kept = {os.readlink(f"/proc/self/fd/{number}") for number in (0, lock)}
        return int(kept == {"/dev/null"} and os.getsid(0) == os.getpid() and os.getcwd() == "/")

    assert run(asked, launch(then)) == 0
    os.close(writer)
    assert os.read(reader, 1) == b""  # nobody else has the other end
    assert locks.is_locked(asked.directory)
    seen.touch()
    os.wait()
    os.close(reader)
    os.close(lock)
    assert json.loads((Path(asked.directory) / "exit").read_text())["code"] == 1
    assert not locks.is_locked(asked.directory)
