"""Standard output and error that the command opens by their names, whatever they are of the caller's."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from tests.support import bundles
from tests.support.bundles import Stance
from tests.support.features import require

pytestmark = pytest.mark.system

SCRIPT = "echo one >/dev/stdout && echo two >/dev/stderr && echo three && echo four >/proc/self/fd/1"
LINES = ["one", "two", "three", "four"]


def argv(folder: Path, stance: Stance, runtime: str, script: str = SCRIPT, *, uid: int = 0) -> list[str]:
    document = stance.config("sh", "-c", script)
    document["process"]["user"] = {"uid": uid, "gid": uid}
    bundle = bundles.write(folder / "bundle", document, user=stance.user)
    return bundles.launcher(bundle, runtime, stance.user)


def other_uid(stance: Stance) -> int:
    """Another user than root, where the stance has one."""
    return 0 if stance.name == "user-one-id" else 33


def test_a_pipe(folder: Path, stance: Stance, runtime: str) -> None:
    for uid in {0, other_uid(stance)}:
        words = argv(folder, stance, runtime, uid=uid)
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/",
            check=False,
        )
        assert (done.returncode, done.stdout.splitlines()) == (0, LINES)


def test_a_file_keeps_its_owner_and_mode_and_what_it_holds(folder: Path, stance: Stance, runtime: str) -> None:
    path = folder / "log"
    for uid in {0, other_uid(stance)}:
        path.write_text("zero\n")
        path.chmod(0o600)
        before = path.stat()
        with path.open("a") as file:
            words = argv(folder, stance, runtime, uid=uid)
            done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd="/", check=False)
        after = path.stat()
        assert done.returncode == 0, path.read_text()
        assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)
        assert path.read_text().splitlines()[-1] == "four"


def test_a_socket(folder: Path, stance: Stance, runtime: str) -> None:
    near, far = socket.socketpair()
    with near, far:
        words = argv(folder, stance, runtime, uid=other_uid(stance))
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=far.fileno(), stderr=far.fileno(), cwd="/", check=False
        )
        far.close()
        with near.makefile() as file:
            assert (done.returncode, file.read().splitlines()) == (0, LINES)


def test_output_that_is_lost_costs_the_exit_code(folder: Path, stance: Stance, runtime: str) -> None:
    for script, code in (("echo x", 125), ("echo x; exit 3", 3)):
        with Path("/dev/full").open("w") as full:
            words = argv(folder, stance, runtime, script)
            done = subprocess.run(
                words, stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, text=True, cwd="/"
            )
        assert done.returncode == code
        assert done.stderr == "hardening: output of the command could not be written: No space left on device\n"


@pytest.mark.parametrize("runtime", ["crun", "runc"], indirect=True)
@pytest.mark.parametrize("stance", ["root", "root-mapped"], indirect=True)
def test_another_runtime_gets_no_device_or_file_as_standard_input(folder: Path, stance: Stance, runtime: str) -> None:
    """It would give it to the container's user (fchown(2))."""
    device, file = folder / "zero", folder / "file"
    os.mknod(device, 0o644 | stat.S_IFCHR, os.makedev(1, 5))
    file.write_bytes(bytes(1_000_000))
    for path, script, shown in (
        (device, "head -c 300000 | wc -c", "300000"),
        (file, "wc -c", "1000000"),
        (file, "exec <&-; echo closed", "closed"),
    ):
        before = path.stat()
        document = stance.config("sh", "-c", script)
        document["process"]["user"] = {"uid": 33, "gid": 33}
        words = bundles.launcher(bundles.write(folder / "bundle", document), runtime, stdin=True)
        with path.open("rb") as given:
            done = subprocess.run(words, stdin=given, capture_output=True, text=True, cwd="/", check=False, timeout=60)
        after = path.stat()
        assert (done.returncode, done.stdout.strip()) == (0, shown), done.stderr
        assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)


@pytest.mark.parametrize("stance", ["root", "root-mapped"], indirect=True)  # whose pipe it is
def test_a_pipe_as_standard_input(folder: Path, stance: Stance) -> None:
    document = stance.config("sh", "-c", "read line </dev/stdin; echo $line")
    document["process"]["user"] = dict.fromkeys(("uid", "gid"), other_uid(stance))
    bundle = bundles.write(folder / "bundle", document, user=stance.user)
    assert bundles.launch(bundle, user=stance.user, text="said\n").stdout == "said\n"


def test_a_pipe_of_another_user(folder: Path, stance: Stance) -> None:
    """Whose permissions are not the caller's to change."""
    require("root")  # to give it away
    reader, writer = os.pipe()
    os.fchown(writer, 12345, 12345)
    words = argv(folder, stance, "native", uid=other_uid(stance))
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer, cwd="/", check=False)
    os.close(writer)
    with open(reader) as file:
        assert (done.returncode, file.read().splitlines()) == (0, LINES)
