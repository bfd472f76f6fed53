"""What a full disk, or damage, does to one container is that container's alone."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardening.launch.held import is_held
from tests.support.detached import Caller, caller
from tests.support.disks import small_disk
from tests.support.features import require
from tests.support.patience import until

pytestmark = pytest.mark.system


@pytest.fixture
def person() -> Iterator[Caller]:
    require("root")
    with caller() as found:
        yield found


@pytest.mark.parametrize("size", range(100, 148, 4))
def test_a_launch_on_a_disk_that_fills_up_fails_with_one_message_and_leaves_nothing(person: Caller, size: int) -> None:
    """From where the bundle has no room to where all has: each write in between is the first that fails once."""
    with small_disk(person.folder / "disk", f"size={size}k,nr_inodes=400") as disk:
        here = {**person.environment, "HARDENING_STATE": str(disk / "state")}

        def call(*words: str) -> subprocess.CompletedProcess[str]:
            argv = [person.program, *words]
            return subprocess.run(
                argv, env=here, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
            )

        done = call("run", "-q", "--fresh", "-d", "--name", "n", "--", "sh", "-c", "sleep 600", "x" * 6000)
        listed = call("ps", "-aq")
        assert listed.returncode == 0, listed.stderr
        if done.returncode == 0:
            assert listed.stdout == done.stdout
        else:
            assert done.returncode == 125
            lines = [line for line in done.stderr.splitlines() if not line.startswith("hint: ")]
            assert len(lines) == 1, done.stderr
            assert "No space left on device" in lines[0]
            assert not [*disk.glob("state/containers/*"), *disk.glob("state/containers/.*")]
        removed = call("rm", "-f", "-a")
        assert removed.returncode == 0, removed.stderr
        assert call("ps", "-aq").stdout == ""
        until(lambda: not list(disk.glob("state/bundles/*")))


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def other_types(path: Path) -> None:
    path.write_text('{"id": 1, "name": [], "command": [1], "created": "x"}')


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("damage", [torn, empty, other_types, fifo, link])
def test_a_damaged_entry_blocks_nothing_and_goes(person: Caller, damage: object) -> None:
    broken = person.start("sleep", "600", options=("--name", "one"))
    other = person.start("sleep", "600", options=("--name", "two"))
    command = person.one(broken)["pid"]
    damage(person.state / "containers" / broken / "container.json")  # type: ignore[operator]
    found = {item["id"]: item["status"] for item in person.listed()}
    assert found == {broken: "damaged", other: "running"}
    assert "damaged" in person.say("ps", "-a")
    third = person.start("true", options=("--name", "three"))
    person.say("wait", third)
    assert person.say("stop", "-t", "0", "two") == "two"
    assert person.say("rm", "two") == "two"
    refused = person.call("rm", broken)
    assert refused.returncode == 2
    assert "still running" in refused.stderr
    assert person.say("rm", "-f", broken) == broken
    until(lambda: not Path(f"/proc/{command}").exists())
    assert [item["id"] for item in person.listed()] == [third]


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("nothing")


def directory(path: Path) -> None:
    path.unlink()
    (path / "below/it").mkdir(parents=True)
    (path / "file").touch()


def device(path: Path) -> None:
    path.unlink()
    os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 5))  # /dev/zero, which has no end


def test_what_stands_in_the_place_of_a_file_blocks_nothing_and_goes(person: Caller) -> None:
    """Each command ends, within the minute that `Caller.call` gives it."""
    broken = {person.start("sleep", "600"): damage for damage in (fifo, link, dangling, directory, device)}
    for identity, damage in broken.items():
        for name in ("exit", "log"):
            damage(person.state / "containers" / identity / name)
    assert person.call("tidy").returncode == 0
    for identity in broken:
        assert "is not a regular file" in (said := person.call("logs", identity).stderr) or "symbolic links" in said
    other = person.start("true")
    assert person.say("wait", other) == "0"
    assert {item["id"] for item in person.listed()} == {*broken, other}
    assert person.say("rm", "-f", *broken).split() == [*broken]
    assert [path.name for path in (person.state / "containers").iterdir()] == [other]


@pytest.mark.parametrize("damage", [fifo, link, dangling, directory, device])
def test_a_killed_stage_is_followed_whatever_stands_in_the_place_of_its_exit_code(
    person: Caller, damage: object
) -> None:
    """The guard writes the end in its place: it waits for nobody, and writes through no link."""
    broken = person.start("sleep", "600")
    entry = person.state / "containers" / broken
    command = person.one(broken)["pid"]
    damage(entry / "exit")  # type: ignore[operator]
    os.kill(json.loads((entry / "container.json").read_text())["stage"]["pid"], signal.SIGKILL)
    until(lambda: not Path(f"/proc/{command}").exists())
    until(lambda: not is_held(str(entry)))  # by itself: a reader would wake who waits for one
    assert person.say("wait", broken) == "137"
    assert person.say("rm", broken) == broken
