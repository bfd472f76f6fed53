"""Mountinfo held against the settings; every loosened line is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardening_rootfs.verify import parse, verify
from tests.plugins.rootfs.stacks import settings_of

STRICT = """\
66 49 254:0 /run/b/rootfs / ro,relatime - ext4 /dev/vda rw
67 66 254:0 /usr /usr ro,nosuid,nodev,relatime - ext4 /dev/vda rw
68 66 254:0 /srv/my\\040data /data ro,nosuid,nodev,relatime - ext4 /dev/vda rw
69 68 0:50 / /data/inner ro,nosuid,nodev,relatime - tmpfs tmpfs rw
75 66 0:40 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw,hidepid=invisible,subset=pid
76 66 0:41 / /dev ro,nosuid,noexec - tmpfs tmpfs rw,size=64k,mode=755
77 76 0:42 / /dev/pts rw,nosuid,noexec,relatime - devpts devpts rw,mode=620,ptmxmode=666
78 76 0:43 / /dev/shm rw,nosuid,nodev,noexec,relatime - tmpfs shm rw,size=16384k
82 66 0:45 / /tmp rw,nosuid,nodev,noexec,relatime - tmpfs tmpfs rw,size=65536k
83 66 0:46 / /run rw,nosuid,nodev,noexec,relatime - tmpfs tmpfs rw,size=16384k
84 66 0:47 / /var/tmp rw,nosuid,nodev,noexec,relatime - tmpfs tmpfs rw,size=65536k
90 67 0:6 /null /usr/secret rw,relatime master:16 - devtmpfs devtmpfs rw,mode=755"""
PROFILE = '[rootfs]\npath = "/srv"\nvolumes = ["/srv/data:/data:ro"]'


def broken(folder: Path, mountinfo: str, profile: str = PROFILE) -> set[str]:
    checks = list(verify(settings_of(folder, profile), {"mountinfo": mountinfo.splitlines()}))
    assert checks
    return {check.leaf for check in checks if not check.holds}


def test_what_was_asked_for_holds(tmp_path: Path) -> None:
    assert broken(tmp_path, STRICT) == set()


@pytest.mark.parametrize(
    ("strict", "loose", "leaf"),
    [
        ("/ ro,relatime - ext4", "/ rw,relatime - ext4", "rootfs.read_only"),
        ("/usr ro,", "/usr rw,", "rootfs.read_only"),
        ("/dev ro,", "/dev rw,", "rootfs.read_only"),
        ("/usr ro,nosuid,nodev,relatime -", "/usr ro,nosuid,nodev,relatime shared:7 -", "rootfs.propagation"),
        ("/usr ro,nosuid,nodev,relatime -", "/usr ro,nosuid,nodev,relatime master:7 -", "rootfs.propagation"),
        ("/data ro,", "/data rw,", "rootfs.volumes./data"),
        ("/data ro,nosuid,", "/data ro,", "rootfs.volumes./data"),
        ("/data/inner ro,", "/data/inner rw,", "rootfs.volumes./data"),
        ("/tmp rw,nosuid,nodev,noexec,relatime", "/tmp rw,nosuid,nodev,relatime", "rootfs.tmpfs./tmp"),
        ("tmpfs tmpfs rw,size=65536k\n83", "tmpfs tmpfs rw\n83", "rootfs.tmpfs./tmp"),
        ("tmpfs tmpfs rw,size=65536k\n83", "tmpfs tmpfs rw,size=99999k\n83", "rootfs.tmpfs./tmp"),
        ("/ /run rw", "/ /elsewhere ro", "rootfs.tmpfs./run"),
        ("hidepid=invisible,", "", "rootfs.proc.hidepid"),
        ("hidepid=invisible", "hidepid=noaccess", "rootfs.proc.hidepid"),
        (",subset=pid", "", "rootfs.proc.subset"),
        ("/ /run rw", "/ /sys rw", "rootfs.sys"),
    ],
)
def test_what_is_loosened_is_noticed(tmp_path: Path, strict: str, loose: str, leaf: str) -> None:
    assert strict in STRICT
    assert leaf in broken(tmp_path, STRICT.replace(strict, loose))


def test_nothing_mounted_is_nothing_enforced(tmp_path: Path) -> None:
    assert {"rootfs.read_only", "rootfs.tmpfs./tmp", "rootfs.proc.subset"} <= broken(tmp_path, "")


def test_a_secret_that_is_seen_is_noticed(tmp_path: Path) -> None:
    profile = '[rootfs]\nhidden_paths = ["/etc/passwd"]'
    assert "rootfs.hidden_paths" not in broken(tmp_path, STRICT, profile)
    etc = "\n91 66 254:0 /etc /etc ro,nosuid,nodev,relatime - ext4 /dev/vda rw"
    assert "rootfs.hidden_paths" in broken(tmp_path, STRICT + etc, profile)
    mask = "\n92 91 0:6 /null /etc/passwd ro,relatime - devtmpfs devtmpfs rw"
    assert "rootfs.hidden_paths" not in broken(tmp_path, STRICT + etc + mask, profile)


def test_masked_and_read_only_paths_of_a_whole_proc(tmp_path: Path) -> None:
    profile = '[rootfs]\nproc.subset = ""\nmasked_paths = ["/proc/interrupts"]\nread_only_paths = ["/proc/sys"]'
    assert {"rootfs.masked_paths", "rootfs.read_only_paths"} <= broken(tmp_path, STRICT, profile)
    paths = (
        "\n92 75 0:6 /null /proc/interrupts ro,relatime - devtmpfs devtmpfs rw"
        "\n93 75 0:40 /sys /proc/sys ro,nosuid,nodev,noexec,relatime - proc proc rw"
    )
    assert not {"rootfs.masked_paths", "rootfs.read_only_paths"} & broken(tmp_path, STRICT + paths, profile)


def test_lines_are_read(tmp_path: Path) -> None:
    found = parse(
        [*STRICT.splitlines(), "1 2 0:1 / /with\\040space rw shared:1 master:2 - tmpfs none rw,size=1k", "junk"]
    )
    item = found["/with space"]
    assert item.fields == ("shared:1", "master:2")
    assert item.data["size"] == "1k"
    assert item.writable
    assert not parse(["1 2 0:1 / /x rw - tmpfs none ro"])["/x"].writable
    on_top = parse(["1 2 0:1 / /x rw - tmpfs none rw", "2 1 0:2 / /x ro - ext4 none rw"])["/x"]
    assert on_top.kind == "ext4"
