"""What `hardening explain /PATH` says is what the command finds there."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.support.features import require
from tests.support.forking import typed
from tests.support.runs import workplace
from tests.support.users import ordinary

pytestmark = pytest.mark.system

#: seen, and whether it can be written; None where that is not asked of what is not seen
PATHS = {
    "/etc/passwd": (True, False, "rootfs.path"),
    "/etc/shadow": (False, None, "rootfs.hidden_paths./etc/shadow"),
    "/root": (False, None, "rootfs.hidden_paths./root"),
    "/proc/kcore": (False, None, "rootfs.masked_paths./proc/kcore"),
    "/proc/sys/kernel/core_pattern": (True, False, "rootfs.proc.hidepid"),
    "/tmp": (True, True, "rootfs.tmpfs./tmp"),
    "/data/file": (True, True, "rootfs.volumes./data"),
    "/fixed/file": (True, False, "rootfs.volumes./fixed"),
}
#: A directory with nothing in it, and a file without content, show nothing.
LOOK = 'for p; do if [ -d "$p" ]; then s=$(ls -A "$p"); [ "$p" = /tmp ] && s=x; else s=$(head -c 1 "$p" 2>&-); fi; w=n; [ -w "$p" ] && w=y; echo "$p ${s:+seen} $w"; done'  # noqa: E501


def _called(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return typed(None, *words, cwd=".", env={**os.environ, "HARDENING_STATE": str(folder / "state")})


def _hardening(folder: Path, *words: str) -> str:
    done = _called(folder, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _writable(explained: str) -> dict[str, Any]:
    """What is said of whether a path can be written."""
    return next(item for item in json.loads(explained)["answers"] if item["asked"] == "writable")


def _code(folder: Path, *words: str) -> int:
    return _called(folder, *words).returncode


def test_what_is_said_of_a_path_is_what_the_command_finds() -> None:
    require("root")
    require("userns")
    require("idmapped")
    with workplace() as folder:
        shown = folder / "shown"
        shown.mkdir()
        (shown / "file").write_text("content\n")
        profile = folder / "mine.toml"
        profile.write_text(
            f'extends = ["default"]\n[rootfs]\nvolumes.add = ["{shown}:/data:idmap", "{shown}:/fixed:ro,idmap"]\n'
        )
        stack = ("-p", str(profile))
        seen = _hardening(folder, "run", "-q", *stack, "--", "sh", "-c", LOOK, "sh", *PATHS)
        found = {line.split(" ")[0]: line.split(" ")[1:] for line in seen.splitlines()}
        for path, (is_seen, writable, leaf) in PATHS.items():
            answers = json.loads(_hardening(folder, "explain", *stack, "--json", path))["answers"]
            told = {item["asked"]: item["answer"] for item in answers}
            assert answers[0]["leaf"] == leaf, path
            assert told["seen"].startswith("no") is not is_seen, path
            assert (found[path][0] == "seen") is is_seen, path
            if writable is not None:
                assert told["writable"].startswith("yes") is writable, path
                assert (found[path][1] == "y") is writable, path


#: by profile, what is asked of a path that shows or permits nothing; `/shared` is a file of the test's that all may write
WANTED = [
    ("default", "/var/log", "seen"),
    ("default", "/shared", "writable"),
    ("strict", "/shared", "writable"),
    ("strict", "/var/log", "seen"),
    ("strict", "/proc/cmdline", "seen"),
    ("strict", "/sys/kernel", "seen"),
    ("default", "/dev/kmsg", "seen"),
]
ASK = {"seen": 'if [ -d "$1" ]; then [ -n "$(ls -A "$1")" ]; else [ -e "$1" ]; fi', "writable": 'echo more >>"$1"'}


@pytest.mark.sampled("profile", "asked")
@pytest.mark.parametrize(("profile", "path", "asked"), WANTED)
def test_the_loosening_that_is_offered_for_a_path_is_what_the_command_then_finds(
    profile: str, path: str, asked: str
) -> None:
    require("root")
    require("userns")
    if path == "/dev/kmsg":
        require("kmsg")
    Path("/srv").mkdir(exist_ok=True)
    with workplace() as folder, TemporaryDirectory(dir="/srv") as shown:
        Path(shown).chmod(0o755)
        (Path(shown) / "shared").touch()
        (Path(shown) / "shared").chmod(0o666)
        path = path.replace("/shared", f"{shown}/shared")
        look = ("--", "sh", "-c", ASK[asked], "sh", path)
        run = ("run", "-q", "-p", profile)
        assert _code(folder, *run, *look) != 0
        answers = json.loads(_hardening(folder, "explain", "-p", profile, "--json", path))["answers"]
        (way,) = (item["loosening"] for item in answers if item["asked"] == asked)
        assert _code(folder, *run, *way["options"], *look) == 0
        (folder / "later.toml").write_text(f'extends = ["{profile}"]\n{way["toml"]}')
        assert _code(folder, "run", "-q", "-p", str(folder / "later.toml"), *look) == 0


@pytest.mark.sampled(kinds=lambda row: [])
@pytest.mark.parametrize("profile", ["default", "strict"])
def test_where_the_owner_is_unmapped_a_volume_is_offered_that_maps_it(profile: str) -> None:
    """To write, and to read what others may not; of a volume that maps no owner nobody is told that it can be written."""
    require("root")
    require("userns")
    require("idmapped")
    Path("/srv").mkdir(exist_ok=True)
    with workplace() as folder, TemporaryDirectory(dir="/srv") as owned:
        Path(owned).chmod(0o750)
        (Path(owned) / "file").write_text("content")
        explained = ("explain", "--json", "-p", profile)
        options = _writable(_hardening(folder, *explained, owned))["loosening"]["options"]
        run = ("run", "-q", "-p", profile)
        assert _code(folder, *run, *options, "--", "sh", "-c", 'cat "$1"/file && echo >"$1"/new', "sh", owned) == 0
        unmapped = [word.replace(",idmap", "") for word in options]
        assert _code(folder, *run, *unmapped, "--", "touch", f"{owned}/other") != 0
        found = _writable(_hardening(folder, *explained, *unmapped, owned))
        assert found["answer"] == "no: its owner is unmapped"
        profiled = folder / "mine.toml"
        profiled.write_text(f'extends = ["default"]\n[rootfs]\nvolumes.add = ["{owned}:/data:ro"]\n')
        found = _writable(_hardening(folder, "explain", "--json", "-p", str(profiled), "/data"))
        options = found["loosening"]["options"]
        assert _code(folder, "run", "-q", "-p", str(profiled), *options, "--", "touch", "/data/third") == 0


@pytest.mark.parametrize("mode", [0o644, 0o600])
@pytest.mark.parametrize("profile", ["default", "strict"])
def test_of_a_hidden_directory_the_one_file_is_offered_that_is_asked_for(profile: str, mode: int) -> None:
    require("root")
    require("userns")
    require("idmapped")
    with workplace() as folder, TemporaryDirectory(dir="/var/log") as logs:
        file = Path(logs, "one")
        file.write_text("content")
        file.chmod(mode)
        Path(logs, "other").touch()
        (answer,) = json.loads(_hardening(folder, "explain", "--json", "-p", profile, str(file)))["answers"]
        look = ("--", "sh", "-c", 'cat "$1" && [ "$(find /var/log -type f)" = "$1" ]', "sh", str(file))
        assert _code(folder, "run", "-q", "-p", profile, *answer["loosening"]["options"], *look) == 0


def test_who_cannot_map_owners_is_told_so() -> None:
    user = ordinary()
    require("root")
    Path("/srv").mkdir(exist_ok=True)
    with workplace(user) as folder, TemporaryDirectory(dir="/srv") as owned:
        Path(owned).chmod(0o755)
        Path(owned, "file").touch()  # else a place in memory would do
        environment = {**user.environment, "HARDENING_STATE": str(folder / "state")}
        done = typed(user, "explain", "--json", owned, cwd=folder, env=environment)
        way = _writable(done.stdout)["loosening"]
        assert not way["options"]
        assert "only root can make id-mapped mounts" in way["barrier"]


#: what a layer says of `/shared/file`, what is asked of it, and whether something permits it
SAID = [
    ("rootfs", 'masked_paths.add = ["{}"]', "seen", True),
    ("limits.rootfs", 'masked_paths.add = ["{}"]', "seen", False),
    ("rootfs", 'hidden_paths.add = ["{}"]', "seen", True),
    ("limits.rootfs", 'hidden_paths.add = ["{}"]', "seen", False),
    ("rootfs", 'read_only_paths.add = ["{}"]\nvolumes.add = [{{source = "{}", target = "{}", options = ["rw"]}}]',
     "writable", True),
    ("rootfs", "", "writable", True),
]  # fmt: skip


@pytest.mark.sampled("file", "asked", "permitted")
@pytest.mark.parametrize("file", ["file", "of:two"])
@pytest.mark.parametrize(("table", "said", "asked", "permitted"), SAID)
def test_a_masked_path_is_permitted_by_what_is_offered_or_nothing_is(
    table: str, said: str, asked: str, permitted: bool, file: str
) -> None:
    require("root")
    require("userns")
    Path("/srv").mkdir(exist_ok=True)
    with workplace() as folder, TemporaryDirectory(dir="/srv") as shown:
        Path(shown).chmod(0o755)
        path = Path(shown, file)
        path.write_text("content")
        path.chmod(0o666)
        profile = folder / "mine.toml"
        profile.write_text(f'extends = ["default"]\n[{table}]\n{said.format(path, path, path)}\n')
        look = ("--", "sh", "-c", 'test -s "$1"' if asked == "seen" else 'echo more >>"$1"', "sh", str(path))
        run = ("run", "-q", "-p", str(profile))
        assert _code(folder, *run, *look) != 0
        answers = json.loads(_hardening(folder, "explain", "-p", str(profile), "--json", str(path)))["answers"]
        (way,) = (item["loosening"] for item in answers if item["asked"] == asked)
        if permitted:
            assert _code(folder, *run, *way["options"], *look) == 0, way
        else:
            assert not way["options"]
            assert way["barrier"].startswith("the limit true at ")


def test_no_loosening_is_offered_for_a_path_that_a_limit_binds_nor_for_one_that_can_be_had() -> None:
    with workplace() as folder:
        for path, barrier in (("/root", "the limit true at "), ("/etc/shadow", "the limit true at "), ("/tmp", None)):
            answers = json.loads(_hardening(folder, "explain", "--json", path))["answers"]
            ways = [item["loosening"] for item in answers if item["asked"] != "executable" and item["loosening"]]
            assert [way["options"] or way["barrier"].startswith(barrier) for way in ways] == [True] * bool(barrier)
        text = _hardening(folder, "explain", "/root")
        assert "\nno loosening to have it seen: the limit true at " in text
