"""What a full disk, or damage, does to one container is that container's alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardening.base.locks import is_locked
from hardening.launch.oci.ociprogram import RuntimeProgram
from tests.support.detached import Caller, caller
from tests.support.disks import small_disk
from tests.support.features import require
from tests.support.forking import typed
from tests.support.patience import until

pytestmark = pytest.mark.system


@pytest.fixture
def person() -> Iterator[Caller]:
    require("root")
    with caller() as found:
        yield found


@pytest.mark.sampled(kinds=lambda row: [(row["size"] % 8, row["size"] // 16)])
@pytest.mark.parametrize("size", range(100, 148, 4))
def test_a_launch_on_a_disk_that_fills_up_fails_with_one_message_and_leaves_nothing(person: Caller, size: int) -> None:
    """From where the bundle has no room to where all has: each write in between is the first that fails once."""
    with small_disk(person.folder / "disk", f"size={size}k,nr_inodes=400") as disk:
        here = {**person.environment, "HARDENING_STATE": str(disk / "state")}

        def call(*words: str) -> subprocess.CompletedProcess[str]:
            return typed(None, *words, cwd=person.folder, env=here)

        fresh = ("--fresh",) if size % 8 else ()  # without, the bundle lies in the cache, with what says of it
        done = call("run", "-q", *fresh, "-d", "--name", "n", "--", "sh", "-c", "sleep 600", "x" * 6000)
        listed = call("ps", "-aq")
        assert listed.returncode == 0, listed.stderr
        if done.returncode == 0:
            assert listed.stdout == done.stdout
        else:
            assert done.returncode == 125
            lines = [line for line in done.stderr.splitlines() if not line.startswith("hint: ")]
            assert len(lines) == 1, done.stderr
            assert "No space left on device" in lines[0]
            assert not [
                *disk.glob("state/launches/*"),
                *disk.glob("state/launches/.*"),
                *disk.glob("state/cache/*/*/.*"),
            ]
        removed = call("rm", "-f", "-a")
        assert removed.returncode == 0, removed.stderr
        assert call("ps", "-aq").stdout == ""
        until(lambda: not list(disk.glob("state/launches/*")))


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


@pytest.mark.sampled(kinds=lambda row: [row["damage"] in (fifo, link)])
@pytest.mark.parametrize("damage", [torn, empty, other_types, fifo, link])
def test_a_damaged_entry_blocks_nothing_and_goes(person: Caller, damage: object) -> None:
    broken = person.start("sleep", "600", options=("--name", "one"))
    other = person.start("sleep", "600", options=("--name", "two"))
    command = person.one(broken)["pid"]
    damage(person.state / "launches" / broken / "container.json")  # type: ignore[operator]
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


def other_member(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | {"created": "x"}))


#: No regular file stands there any more.
SPECIAL = (fifo, link, dangling, directory, device)
DAMAGES = (empty, torn, other_types, *SPECIAL)
#: Every file of a detached container that has ended, with each damage; of a description the name may be readable still.
ONE_FILE = [(name, damage) for name in ("container.json", "exit", "log", "log.1", "lost") for damage in DAMAGES]
ONE_FILE.append(("container.json", other_member))


@pytest.mark.parametrize("how", ["by name", "by id", "all"])
def test_a_container_of_which_any_one_file_is_damaged_is_listed_and_goes(person: Caller, how: str) -> None:
    """Also by its name, wherever that can be read: it is taken until the container goes."""
    place = person.state / "launches"
    whole = person.start("true", options=("--name", "whole"))
    person.say("wait", whole)
    description = json.loads((place / whole / "container.json").read_text())
    # So short a command may have ended before its process was written down, and one without is no container that ran.
    description["process"] = description["launcher"]
    (place / whole / "log.1").write_bytes((place / whole / "log").read_bytes())
    names = {}
    for number, (name, damage) in enumerate(ONE_FILE):
        identity = f"{number:032x}"
        shutil.copytree(place / whole, place / identity)
        said = names[identity] = f"{name.replace('.', '-')}-{damage.__name__.replace('_', '-')}"
        (place / identity / "container.json").write_text(json.dumps(description | {"id": identity, "name": said}))
        damage(place / identity / name)
        if name == "container.json" and damage is not other_member:
            names[identity] = ""
    table = person.say("ps", "-a")
    assert [name or identity for identity, name in names.items() if (name or identity) not in table] == [], table
    named = {identity: name for identity, name in names.items() if name}
    assert len(named) == len(ONE_FILE) - len(DAMAGES)
    if how == "by name":
        done = person.call("rm", "-f", *named.values(), "another")
        assert (done.returncode, done.stdout.split()) == (0, [*named.values()]), done.stderr
        assert "no container whose name can be read is 'another'; damaged are: " in done.stderr
        assert {path.name for path in place.iterdir()} == {whole, *(names.keys() - named.keys())}
    elif how == "by id":
        assert person.say("rm", "-f", *names).split() == [name or identity for identity, name in names.items()]
        assert {path.name for path in place.iterdir()} == {whole}
    else:
        person.say("rm", "-f", "-a")
        assert not [*place.iterdir()]


def test_nothing_is_written_through_a_hard_link_in_the_place_of_a_file(person: Caller) -> None:
    """How a command ended goes into no other file of the caller's, which is what its end would be written over."""
    victim = person.folder / "victim"
    victim.write_text("mine\n" * 100)
    before = victim.read_bytes()
    broken = person.start("sleep", "600")
    entry = person.state / "launches" / broken
    for name in ("exit", ".container.json"):
        (entry / name).unlink(missing_ok=True)
        os.link(victim, entry / name)
    assert person.call("stop", "-t", "0", broken).returncode == 0
    until(lambda: not is_locked(str(entry)))
    assert victim.read_bytes() == before
    assert person.say("rm", "-f", broken) == broken
    assert victim.read_bytes() == before


def test_what_stands_in_the_place_of_a_file_blocks_nothing_and_goes(person: Caller) -> None:
    """Each command ends, within the minute that `Caller.call` gives it."""
    broken = {person.start("sleep", "600"): damage for damage in (fifo, link, dangling, directory, device)}
    for identity, damage in broken.items():
        for name in ("exit", "log"):
            damage(person.state / "launches" / identity / name)
    assert person.call("prune").returncode == 0
    for identity in broken:
        assert "is not a regular file" in (said := person.call("logs", identity).stderr) or "symbolic links" in said
    other = person.start("true")
    assert person.say("wait", other) == "0"
    assert {item["id"] for item in person.listed()} == {*broken, other}
    assert person.say("rm", "-f", *broken).split() == [*broken]
    assert [path.name for path in (person.state / "launches").iterdir()] == [other]


@pytest.mark.parametrize("damage", [fifo, link, dangling, directory, device])
def test_a_killed_launcher_is_followed_whatever_stands_in_the_place_of_its_exit_code(
    person: Caller, damage: object
) -> None:
    """The guard writes the end in its place: it waits for nobody, and writes through no link."""
    broken = person.start("sleep", "600")
    entry = person.state / "launches" / broken
    command = person.one(broken)["pid"]
    damage(entry / "exit")  # type: ignore[operator]
    os.kill(json.loads((entry / "container.json").read_text())["launcher"]["pid"], signal.SIGKILL)
    until(lambda: not Path(f"/proc/{command}").exists())
    until(lambda: not is_locked(str(entry)))  # by itself: a reader would wake who waits for one
    done = person.call("wait", broken)
    assert done.stdout == "137\n"
    assert f"{broken}: how it ended cannot be read: " in done.stderr
    assert person.say("rm", broken) == broken


def deep(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"[" * 200_000)


def nul(path: Path) -> None:
    named(path, "\0a")


def half_a_pair(path: Path) -> None:
    named(path, "\ud800a")


def named(path: Path, group: str) -> None:
    """A configuration of this control group in the place of a file, which may be a link."""
    path.unlink()
    path.write_text(json.dumps({"linux": {"cgroupsPath": group}}))


def every_file(person: Caller) -> Iterator[Path]:
    """Each file of bundles, cache entries and containers of other runtimes, in one of which all others are whole."""
    state = person.state
    for word in ("a", "b", "c", "d"):
        person.say("run", "-q", "-e", f"{word}=1", "--", "true")
    slots = sorted(path.parent for path in state.glob("cache/*/*/entry.json"))
    whole = slots.pop()
    files = [path.relative_to(whole) for path in whole.rglob("*") if path.is_file()]
    assert {str(path) for path in files} == {"entry.json", "bundle/config.json", "bundle/seccomp.bpf"}
    yield from (slot / file for slot, file in zip(slots, files, strict=True))
    for number, file in enumerate(("config.json", "seccomp.bpf")):
        kept = state / "launches" / f"b{number:011x}" / "bundle"
        shutil.copytree(whole / "bundle", kept, symlinks=True, dirs_exist_ok=True)
        yield kept / file
    program = state / "program"
    shutil.copy("/usr/bin/true", program)
    for number, name in enumerate(("program", "group", "view.json", "process.json", "log")):
        identity = f"{number:012x}"
        place = state / "launches" / identity / "runtime"
        place.parent.mkdir(parents=True)
        RuntimeProgram(str(program), identity, str(place), frozenset()).make_state({})
        (place / "process.json").write_text(json.dumps({"pid": os.getpid(), "start": 1}))
        (place / "log").touch()
        (place / "root" / identity).mkdir(parents=True)
        yield place / name


@pytest.mark.sampled(kinds=lambda row: [row["damage"] in SPECIAL])
@pytest.mark.parametrize("damage", [*DAMAGES, deep, nul, half_a_pair])
def test_any_damaged_file_of_what_is_kept_blocks_nothing(person: Caller, damage: object) -> None:
    """Each command ends, within the minute that `Caller.call` gives it, and has one message at most for a file."""
    damaged = [*every_file(person)]
    for path in damaged:
        if not (path.is_symlink() and damage in (empty, torn, other_types)):  # a link has no content of its own
            damage(path)  # type: ignore[operator]
    runtimes = {str(path.parent) for path in damaged if path.parent.name == "runtime"}
    for words in (
        ("ps", "-a"),
        ("prune",),
        *(("run", "-q", "-e", f"{word}=1", "--", "true") for word in "abcd"),
        ("cache", "list"),
    ):
        done = person.call(*words)
        told = [line for line in done.stderr.splitlines() if "hint: " not in line]
        assert done.returncode == 0 or (words, done.returncode) == (("prune",), 125), done.stderr
        assert len(told) <= len(runtimes), done.stderr
        assert all(any(place in line for place in runtimes) for line in told), done.stderr
        assert not [*person.state.glob("launches/*/bundle")]
    cleared = person.call("cache", "clear")
    assert (cleared.returncode, cleared.stderr) == (0, "")
    assert not [*person.state.glob("cache/*/*")]


@pytest.mark.parametrize("kept", ["launches/one/bundle", "cache/key/entry/bundle"])
def test_a_damaged_name_of_a_control_group_leads_nowhere_else(person: Caller, kept: str) -> None:
    """Upwards out of the hierarchies, an empty directory would be removed, and one on another mount below them, too."""
    outside = person.folder / "outside"
    outside.mkdir()
    place = person.state / kept
    place.mkdir(parents=True)
    config = place / "config.json"
    for name in (f"{'../' * 9}{outside}", f"/{'../' * 9}{outside}", f"a/../{'../' * 9}{outside}"):
        place.mkdir(exist_ok=True, parents=True)
        config.touch()
        named(config, name)
        for words in (("ps", "-a"), ("cache", "clear")):
            assert person.call(*words).returncode == 0
        assert not place.exists()
        assert outside.is_dir()
