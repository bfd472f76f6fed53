"""Copies of what a command may write to."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hardening.base import programs
from hardening.base.linux import abi, children, kernel
from hardening.errors import HardeningError
from hardening.images.ids import Ids
from hardening.mechanism.fragment import Spec
from hardening.why import copies
from tests.support.features import require
from tests.support.runs import workplace
from tests.support.users import User, ordinary

OWN = Ids(owner=(os.geteuid(), os.getegid()))


def document(*mounts: dict[str, Any], **root: Any) -> dict[str, Any]:
    """A configuration with these mounts."""
    return {
        "ociVersion": "1.2.0",
        "root": {"path": "rootfs", "readonly": True, **root},
        "process": {"args": ["true"], "cwd": "/", "user": {"uid": 0, "gid": 0}, "noNewPrivileges": True},
        "mounts": list(mounts),
        "linux": {"namespaces": [{"type": "mount"}]},
    }


def bind(source: Path, *options: str) -> dict[str, Any]:
    """A mount of a place at itself."""
    return {"destination": str(source), "type": "bind", "source": str(source), "options": ["rbind", *options]}


def _spec(found: dict[str, Any]) -> Spec:
    return Spec(json.dumps(found).encode(), {}, {})


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A folder with a file that has two names, in a folder."""
    place = tmp_path / "volume"
    (place / "inner").mkdir(parents=True)
    (place / "inner/file").write_text("content")
    (place / "inner/file").chmod(0o640)
    os.link(place / "inner/file", place / "other")
    return place


def test_what_can_be_written_is_told_from_what_is_only_shown(volume: Path) -> None:
    shown = document(bind(volume), bind(volume / "inner", "rro"), bind(Path("/dev/null")))
    assert copies.writable(shown) == (copies.Writable("/mounts/0/source", str(volume)),)
    assert copies.writable(document(path=str(volume), readonly=False)) == (copies.Writable("/root/path", str(volume)),)


def test_what_the_kernel_shows_of_itself_is_not_copied() -> None:
    assert copies.writable(document(bind(Path("/proc")), bind(Path("/proc/sys")))) == ()


def test_a_copy_that_takes_too_long_is_told(volume: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "_PATIENCE", 0.0)
    with pytest.raises(HardeningError, match=r"cannot be copied within 0 seconds"):
        copies.made(_spec(document(bind(volume))), str(tmp_path), OWN)


def test_a_copy_stands_in_with_all_that_lies_in_it(volume: Path, tmp_path: Path) -> None:
    launch = tmp_path / "launch"
    launch.mkdir()
    spec = _spec(document(bind(volume / "inner"), bind(volume)))
    made = copies.made(spec, str(launch), OWN).spec.document
    inner, whole = (Path(mount["source"]) for mount in made["mounts"])
    assert whole.is_relative_to(launch)
    assert inner == whole / "inner"
    assert (inner / "file").read_text() == "content"
    assert (inner / "file").stat().st_mode & 0o777 == 0o640
    assert (inner / "file").samefile(whole / "other")
    (inner / "file").write_text("changed")
    assert (volume / "other").read_text() == "content"
    copies.remove(str(launch))
    assert not list(launch.iterdir())


def test_nobody_else_enters_the_directory_of_the_copies() -> None:
    require("root")
    with workplace() as place:
        private = place / "private"
        private.mkdir(0o700)
        (private / "key").write_text("secret")
        (private / "key").chmod(0o644)
        (private / "tool").write_bytes(Path("/bin/true").read_bytes())
        (private / "tool").chmod(0o4755)
        made = copies.made(
            _spec(document(bind(private / "key"), bind(private / "tool"))), str(place), Ids()
        ).spec.document
        key, tool = (mount["source"] for mount in made["mounts"])
        assert Path(key).read_text() == "secret"
        assert subprocess.run([tool]).returncode == 0
        for argv in (["cat", key], ["sh", "-c", '"$0"', tool]):
            done = subprocess.run(
                argv, user=65534, group=65534, extra_groups=[], capture_output=True, text=True, cwd="/"
            )
            assert "Permission denied" in done.stderr, argv


def test_a_link_in_the_place_of_a_directory_is_not_followed(volume: Path, tmp_path: Path) -> None:
    require("root")
    (tmp_path / "secret").mkdir()
    tree = copies.opened(str(volume))
    try:
        (volume / "inner").rename(volume / "moved")
        (volume / "inner").symlink_to(tmp_path / "secret")  # as cp(1) finds it that has seen a directory there
        with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
            os.listdir(f"/proc/self/fd/{tree}/inner")
        assert os.listdir(f"/proc/self/fd/{tree}/moved") == ["file"]
    finally:
        os.close(tree)
    (volume / "link").symlink_to(volume / "moved")
    with pytest.raises(OSError, match="a link created since this was composed"):
        copies.opened(str(volume / "link/file"))


def test_no_caller_copies_what_a_link_shows_that_takes_the_place_of_a_directory(
    volume: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/key").write_text("secret")
    (volume / "inner").rename(volume / "moved")
    (volume / "inner").symlink_to(tmp_path / "secret")
    run = programs.run

    def late(argv: list[str], *rest: Any, **options: Any) -> Any:
        """As cp(1) copies names that it has seen before."""
        *_, source, target = argv
        os.mkdir(target)
        return run(
            ["cp", "-a", *(f"{source}/{name}" for name in ("inner/key", "gone", "other")), target], *rest, **options
        )

    monkeypatch.setattr(programs, "run", late)
    (tmp_path / "launch").mkdir()
    made = copies.made(_spec(document(bind(volume))), str(tmp_path / "launch"), OWN).spec.document["mounts"][0][
        "source"
    ]
    assert os.listdir(made) == ["other"], "and what is gone by then ends no run"


def test_a_link_is_copied_as_one(volume: Path, tmp_path: Path) -> None:
    (volume / "link").symlink_to("/etc/shadow")
    (tmp_path / "launch").mkdir()
    made = copies.made(
        _spec(document(bind(volume), bind(volume / "other"))), str(tmp_path / "launch"), OWN
    ).spec.document
    assert os.readlink(f"{made['mounts'][0]['source']}/link") == "/etc/shadow"


@pytest.mark.parametrize("option", ["rw", "ro"])
def test_what_has_somebody_who_reads_it_is_not_passed_on(tmp_path: Path, option: str) -> None:
    fifo, address = tmp_path / "fifo", tmp_path / "socket"
    os.mkfifo(fifo)
    with socket.socket(socket.AF_UNIX) as service:
        service.bind(str(address))
        for place, what in ((fifo, "a named pipe"), (address, "a socket")):
            with pytest.raises(copies.NotCopied, match=f"{place} is {what}") as caught:
                copies.made(_spec(document(bind(place, option))), str(tmp_path), OWN)
            assert "--in-place" in str(caught.value.hint)
    copies.require_copies(document(bind(tmp_path), bind(Path("/dev/null"))))  # a copy has pipes of its own


def test_too_much_is_not_copied(volume: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "MOST_FILES", 2)
    with pytest.raises(copies.NotCopied, match="which is too much to be copied for each run") as caught:
        copies.made(_spec(document(bind(volume))), str(tmp_path), OWN)
    assert caught.value.hint is not None
    assert "--in-place" in caught.value.hint
    copies.require_copies(document(bind(volume, "ro")))


def test_a_copy_tells_in_what_it_is_unlike() -> None:
    require("root")
    user = ordinary()
    with workplace(user) as place:
        volume, launch = place / "volume", place / "launch"
        for folder in (volume, launch):
            folder.mkdir()
            os.chown(folder, user.uid, user.gid)
        for name, mode in (("shown", 0o644), ("secret", 0o600)):
            (volume / name).write_text("root's")
            (volume / name).chmod(mode)
        (volume / "own").write_text("the user's")
        os.chown(volume / "own", user.uid, user.gid)
        spec = _spec(document(bind(volume)))
        assert copies.made(spec, str(place), Ids()).unlike == ()
        (place / "one").mkdir()
        assert copies.made(_spec(document(bind(volume / "own"))), str(place / "one"), Ids()).unlike == (), (
            "a single file"
        )
        told = children.ask(lambda to: _tell_as(user, to, spec, launch))[0].decode()
        assert sorted(told.splitlines()) == [f"{volume}/secret is missing", f"{volume}/shown has another owner"]


def _tell_as(user: User, to: int, spec: Spec, launch: Path) -> None:
    os.setgroups([])
    os.setgid(user.gid)
    os.setuid(user.uid)
    kernel.prctl(abi.PR_SET_DUMPABLE, 1)  # or its namespace could not be entered
    os.write(to, "\n".join(copies.made(spec, str(launch), Ids(owner=(user.uid, user.gid))).unlike).encode())


def test_a_mount_in_a_volume_and_one_without_room_are_told(volume: Path, tmp_path: Path) -> None:
    require("root")
    launch = tmp_path / "launch"
    launch.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", launch], check=True)
    subprocess.run(["mount", "--bind", "-o", "ro", volume / "inner", volume / "inner"], check=True)
    try:
        made = copies.made(_spec(document(bind(volume))), str(launch), Ids())
        told = copies.difference(document(bind(volume)), made.unlike, succeeded=False)
        full = copies.full(str(launch))
    finally:
        subprocess.run(["umount", volume / "inner", launch], check=True)
    assert made.unlike == (f"{volume}/inner is a mount of its own",)
    assert made.unlike[0] in told
    assert "--in-place" in told
    assert "they had room for" in full
    assert copies.full(str(launch)) == ""


def test_what_the_host_refuses_is_refused_in_a_copy() -> None:
    require("root")
    with workplace() as place:
        (place / "volume").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,noexec,nodev,nosuid", "tmpfs", place / "volume"], check=True)
        try:
            made = copies.made(_spec(document(bind(place / "volume", "rw"))), str(place), Ids()).spec.document
            assert {"ro", "nosuid", "nodev", "noexec"} <= set(made["mounts"][0]["options"][2:])
            other = place / "other"
            other.mkdir()
            root = _spec(document(path=str(place / "volume"), readonly=False))
            assert copies.made(root, str(other), Ids()).spec.document["root"]["readonly"] is True
        finally:
            subprocess.run(["umount", place / "volume"], check=True)


def test_what_a_copy_has_not_is_told_where_it_may_be_why(volume: Path) -> None:
    shown = document(bind(volume))
    assert copies.difference(shown, succeeded=True) == copies.difference(shown, succeeded=False) == ""
    assert copies.difference(document(), succeeded=True, always=True) == ""
    assert f"copies of volumes ({volume}); with --in-place" in copies.difference(shown, succeeded=True, always=True)
    with socket.socket(socket.AF_UNIX) as service:
        service.bind(str(volume / "service"))
    assert f"{volume}/service is a socket" in copies.difference(shown, succeeded=False)
    assert copies.difference(shown, succeeded=True) == ""


def test_an_attribute_that_no_copy_has_is_told(volume: Path) -> None:
    require("root")
    kept = volume / "inner/file"
    subprocess.run(["chattr", "+i", kept], check=True)
    try:
        told = copies.difference(document(bind(volume)), succeeded=True)
    finally:
        subprocess.run(["chattr", "-i", kept], check=True)
    assert f"{kept} is immutable" in told
