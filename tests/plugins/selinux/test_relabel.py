"""Relabelling: what is refused, that links and other file systems are left alone, and what ends up on the disk."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from pathlib import Path

import pytest

from hardening.errors import HostError, ProfileError
from hardening_selinux.labels import Label
from hardening_selinux.relabel import XATTR, refusal, relabel
from tests.support.features import require

LABEL = Label.parse("system_u:object_r:container_file_t:s0:c1,c2")
HOME = Path("/home/somebody")


def on_disk(path: Path) -> str:
    return os.getxattr(path, XATTR, follow_symlinks=False).decode().rstrip("\0")


def labelled(path: Path) -> bool:
    return XATTR in os.listxattr(path, follow_symlinks=False)


@pytest.mark.parametrize(
    "path",
    ["/", "/bin", "/boot", "/boot/grub", "/dev", "/dev/shm/x", "/etc", "/etc/app", "/home", "/home/other", "/lib", "/lib64",
     "/mnt", "/opt", "/proc", "/proc/1", "/root", "/run", "/run/user/1000", "/sbin", "/srv", "/sys", "/sys/kernel", "/tmp",
     "/usr", "/usr/share/app", "/var", "/var/lib", "/var/log", "/var/tmp", "/home/somebody"],
)  # fmt: skip
def test_places_that_are_refused(path: str) -> None:
    assert refusal(Path(path), HOME)


@pytest.mark.parametrize(
    "path", ["/srv/app", "/var/lib/app", "/home/somebody/data", "/opt/app/data", "/data", "/etcetera", "/run/app"]
)
def test_places_that_are_not(path: str) -> None:
    assert refusal(Path(path), HOME) == ""


def test_a_home_outside_of_home_is_refused_with_what_holds_it() -> None:
    home = Path("/data/people/ann")
    for path in ("/data", "/data/people", "/data/people/ann"):
        assert refusal(Path(path), home)
    assert refusal(Path("/data/people/ann/app"), home) == ""


def test_a_refused_place_is_an_error_whichever_way_it_is_named(tmp_path: Path) -> None:
    for path in (Path("/etc"), Path("/etc/"), Path("/usr/../etc"), tmp_path):
        with pytest.raises(ProfileError, match="is not relabelled"):
            relabel(path, LABEL, tmp_path)


def test_a_link_is_refused_and_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    link = tmp_path / "link"
    link.symlink_to(target)
    with pytest.raises(ProfileError, match="symbolic link"):
        relabel(link, LABEL, HOME)
    assert not labelled(target)


def test_a_missing_place_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot relabel"):
        relabel(tmp_path / "missing", LABEL, HOME)


def test_a_tree_is_labelled_and_links_lead_nowhere(tmp_path: Path) -> None:
    require("root")
    outside = tmp_path / "outside"
    outside.write_text("not ours")
    volume = tmp_path / "volume"
    (volume / "a/b").mkdir(parents=True)
    (volume / "a/b/file").write_text("x")
    (volume / "a/link").symlink_to(outside)
    (volume / "a/out").symlink_to(tmp_path)
    os.mkfifo(volume / "fifo")
    before = len(os.listdir("/proc/self/fd"))
    assert relabel(volume, LABEL, HOME) == 7
    for path in (volume, *volume.rglob("*")):
        assert on_disk(path) == str(LABEL), path
    assert not labelled(outside)
    assert not labelled(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before
    assert relabel(volume, LABEL, HOME) == 0
    (volume / "a/new").touch()
    assert relabel(volume, LABEL, HOME) == 1


def test_what_the_kernel_refuses_leaves_nothing_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "volume/a/b").mkdir(parents=True)
    (tmp_path / "volume/a/b/file").touch()

    def label(descriptor: int, _: Label) -> int:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise PermissionError(errno.EACCES, "refused")
        return 1

    monkeypatch.setattr("hardening_selinux.relabel._set", label)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(HostError, match="cannot relabel") as refused:
        relabel(tmp_path / "volume", LABEL, HOME)
    assert os.listdir("/proc/self/fd") == before, refused


def test_a_single_file(tmp_path: Path) -> None:
    require("root")
    file = tmp_path / "file"
    file.touch()
    assert relabel(file, LABEL, HOME) == 1
    assert on_disk(file) == str(LABEL)


def test_other_file_systems_below_are_left_alone(tmp_path: Path) -> None:
    require("root")
    below = tmp_path / "volume/below"
    below.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(below)], check=True)
    try:
        relabel(below.parent, LABEL, HOME)
        assert not labelled(below)
    finally:
        subprocess.run(["umount", str(below)], check=True)
    assert on_disk(below.parent) == str(LABEL)


def test_a_file_system_without_labels_is_an_error() -> None:
    """/proc keeps no labels without SELinux; asked past the refusals, which would stop it first."""
    require("root")
    from hardening_selinux.relabel import _set

    descriptor = os.open("/proc/version", os.O_PATH)
    try:
        with pytest.raises(OSError, match=r"not supported|not permitted|Permission"):
            _set(descriptor, LABEL)
    finally:
        os.close(descriptor)
