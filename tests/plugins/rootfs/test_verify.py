"""Mountinfo, and what is visible, held against the settings; every loosened line is noticed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from hardening.assemble.spec import to_json
from hardening.mechanism.mechanism import State
from hardening_rootfs.mounted import MountLocation, cover, on_host, read
from hardening_rootfs.settings import MASKED
from hardening_rootfs.verify import verify
from tests.plugins.rootfs.stacks import composed, context_of, spec_of

HOST = """\
1 1 254:0 / / rw,relatime - ext4 /dev/vda rw
2 1 0:50 / {place}/data/inner rw,relatime - tmpfs tmpfs rw
3 1 0:60 / /tmp-of-the-host rw,relatime - tmpfs tmpfs rw"""
STRICT = """\
66 49 254:0 {place}/root / ro,nodev,relatime - ext4 /dev/vda rw
68 66 254:0 {place}/data /data ro,nosuid,nodev,relatime - ext4 /dev/vda rw
69 68 0:50 / /data/inner ro,nosuid,nodev,relatime - tmpfs tmpfs rw
75 66 0:40 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw,hidepid=invisible,subset=pid
76 66 0:41 / /dev ro,nosuid,noexec - tmpfs tmpfs rw,size=64k,mode=755
77 76 0:42 / /dev/pts rw,nosuid,noexec,relatime - devpts devpts rw,mode=620,ptmxmode=666
78 76 0:43 / /dev/shm rw,nosuid,nodev,noexec,relatime - tmpfs shm rw,size=16384k
79 76 0:44 / /dev/mqueue rw,nosuid,nodev,noexec,relatime - mqueue mqueue rw
80 76 0:6 /zero /dev/zero rw,relatime master:16 - devtmpfs devtmpfs rw,mode=755
82 66 0:45 / /tmp rw,nosuid,nodev,noexec,relatime - tmpfs tmpfs rw,size=65536k,nr_inodes=65536
83 66 0:46 / /run rw,nosuid,nodev,noexec,relatime - tmpfs tmpfs rw,size=16384k,nr_inodes=16k,mode=755
84 66 0:47 / /var/tmp rw,nosuid,nodev,noexec,relatime - tmpfs tmpfs rw,size=65536k,nr_inodes=65536"""
DEVICES = {"/dev/null": "1:3", "/dev/zero": "1:5"}
MASKS = """
92 66 0:6 /null /key ro,relatime - devtmpfs devtmpfs rw
93 66 0:70 / /private ro,relatime - tmpfs tmpfs rw"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A root that has every mount point, and something to be masked; and a directory with another mount in it."""
    for name in ("data/inner", "proc", "dev", "sys", "tmp", "run", "var/tmp", "private"):
        (tmp_path / "root" / name).mkdir(parents=True)
    (tmp_path / "root/key").write_text("a key")
    (tmp_path / "data/inner").mkdir(parents=True)
    return tmp_path.resolve()


def profile(place: Path, more: str = "") -> str:
    return f'[rootfs]\npath = "{place}/root"\nread_only = true\nvolumes = ["{place}/data:/data:ro"]\n{more}'


def lines(
    place: Path, mountinfo: str, more: str = "", host: str = HOST, namespaces: Sequence[object] = (), **observed: Any
) -> dict[str, State]:
    """What comes of each leaf; the worst counts."""
    text = profile(place, more)
    composition = composed(place, text)
    # Without a skeleton: the root is as it is.
    spec = spec_of(place, text)
    document = spec.document
    document["root"]["path"] = f"{place}/root"
    document["process"] = {}
    document["linux"]["namespaces"] = namespaces
    document["mounts"] = [item for item in document["mounts"] if not item["source"].startswith(f"{place}/root")]
    index = {item["destination"]: number for number, item in enumerate(document["mounts"])}
    before = {item["destination"]: number for number, item in enumerate(spec.document["mounts"])}
    leaves = {f"/mounts/{index[key]}": spec.leaves[f"/mounts/{before[key]}"] for key in index}
    within = attrs.evolve(context_of(composition), spec=attrs.evolve(spec, config=to_json(document), leaves=leaves))
    receipt = {
        "mountinfo": mountinfo.format(place=place).splitlines(),
        "caller_mountinfo": host.format(place=place).splitlines(),
        "observed": {"paths": dict.fromkeys(MASKED, "absent"), "devices": DEVICES, "nodes": {}, **observed},
    }
    settings = composition.settings["rootfs"]
    return {
        line.leaf: line.state for line in sorted(verify(settings, within, receipt), key=lambda line: not line.holds)
    }


def broken(place: Path, mountinfo: str, more: str = "", **given: Any) -> set[str]:
    return {leaf for leaf, state in lines(place, mountinfo, more, **given).items() if state is not State.HOLDS}


def test_what_was_asked_for_holds(place: Path) -> None:
    assert broken(place, STRICT) == set()


@pytest.mark.parametrize(
    ("entry", "made"), [({}, True), ({"path": ""}, True), ({"path": "/proc/1/ns/ipc"}, False)], ids=repr
)
def test_a_namespace_that_was_made_has_message_queues_of_its_own(
    entry: dict[str, str], made: bool, place: Path
) -> None:
    host = f"{HOST}\n4 1 0:44 / /queues rw,relatime - mqueue mqueue rw"
    assert bool(broken(place, STRICT, host=host, namespaces=[{"type": "ipc", **entry}])) is made


@pytest.mark.parametrize(
    ("strict", "loose", "leaf"),
    [
        ("/ ro,nodev,relatime - ext4", "/ rw,nodev,relatime - ext4", "rootfs.read_only"),
        ("{place}/root / ro", "{place}/other / ro", "rootfs.path"),
        ("/dev ro,", "/dev rw,", "rootfs.read_only"),
        ("{place}/root / ro,nodev,relatime -", "{place}/root / ro,nodev,relatime shared:7 -", "rootfs.propagation"),
        ("{place}/root / ro,nodev,relatime -", "{place}/root / ro,nodev,relatime master:7 -", "rootfs.propagation"),
        ("/data ro,", "/data rw,", "rootfs.volumes./data"),
        ("/data ro,nosuid,", "/data ro,", "rootfs.volumes./data"),
        ("/data ro,nosuid,", "/data ro,idmapped,nosuid,", "rootfs.volumes./data"),
        ("/data ro,nosuid,nodev,relatime -", "/data ro,nosuid,nodev,relatime shared:3 -", "rootfs.volumes./data"),
        ("254:0 {place}/data /data", "254:0 /etc /data", "rootfs.volumes./data"),
        ("254:0 {place}/data /data", "254:1 {place}/data /data", "rootfs.volumes./data"),
        ("/data/inner ro,", "/data/inner rw,", "rootfs.volumes.*"),
        ("0:50 / /data/inner", "0:51 / /data/inner", "rootfs.volumes.*"),
        ("/data/inner ro", "/data/more ro", "rootfs.volumes.*"),
        ("0:6 /zero /dev/zero", "0:6 /kmsg /dev/kmsg", "rootfs.volumes.*"),
        ("/tmp rw,nosuid,nodev,noexec,relatime", "/tmp rw,nosuid,nodev,relatime", "rootfs.tmpfs./tmp"),
        ("size=65536k,nr_inodes=65536\n83", "nr_inodes=65536\n83", "rootfs.tmpfs./tmp"),
        ("size=65536k,nr_inodes=65536\n83", "size=99999k,nr_inodes=65536\n83", "rootfs.tmpfs./tmp"),
        ("size=65536k,nr_inodes=65536\n83", "size=65536k\n83", "rootfs.tmpfs./tmp"),
        ("nr_inodes=16k,mode=755", "nr_inodes=16k,mode=777", "rootfs.tmpfs./run"),
        ("0:46 / /run", "0:60 / /run", "rootfs.tmpfs./run"),
        ("/ /run rw", "/ /elsewhere ro", "rootfs.tmpfs./run"),
        ("size=16384k\n79", "size=32768k\n79", "rootfs.shm_size"),
        ("hidepid=invisible,", "", "rootfs.proc.hidepid"),
        ("hidepid=invisible", "hidepid=noaccess", "rootfs.proc.hidepid"),
        (",subset=pid", "", "rootfs.proc.subset"),
        ("/ /run rw", "/ /sys rw", "rootfs.sys"),
    ],
)
def test_what_is_loosened_is_noticed(place: Path, strict: str, loose: str, leaf: str) -> None:
    assert strict in STRICT
    assert leaf in broken(place, STRICT.replace(strict, loose))


def test_any_other_mount_is_noticed(place: Path) -> None:
    assert "rootfs.volumes.*" in broken(place, STRICT, devices=DEVICES | {"/dev/zero": "1:11"})
    assert lines(place, STRICT, devices=None)["rootfs.volumes.*"] is State.NOT_SEEN
    assert broken(place, STRICT, nodes={"/dev/zero": "c 1:5"}) == set()
    for other in ({"/dev/zero": "c 1:11"}, {"/dev/zero": "b 1:5"}, {"/dev/x": "c 1:5"}):
        assert broken(place, STRICT, nodes=other) == {"rootfs.devices.*"}
    assert lines(place, STRICT, nodes=None)["rootfs.devices.*"] is State.NOT_SEEN
    # Nobody has looked for those in the root's own file system, and there they work.
    assert lines(place, STRICT.replace("ro,nodev,", "ro,", 1))["rootfs.devices.*"] is State.NOT_SEEN
    # A name alone makes no device, and no mask.
    for inside in ("/dev/null", "/dev/x", "/dev/x/null", "/dev/random", "/tmp/null"):
        for top in ("/t/null", "/null", "/random"):
            line = f"95 66 0:90 {top} {inside} rw,nosuid,nodev,noexec,relatime - tmpfs tmpfs rw"
            assert "rootfs.volumes.*" in broken(place, f"{STRICT}\n{line}", devices=DEVICES | {"/dev/null": "none"})
    for line in ("254:0 /etc /srv ro,nosuid,nodev,noexec", "0:6 /null /etc/hosts ro", "0:90 / /tmp/more ro,nosuid"):
        kind = "devtmpfs" if "null" in line else "ext4"
        assert "rootfs.volumes.*" in broken(place, f"{STRICT}\n95 66 {line},relatime - {kind} x rw")


def test_a_mount_of_the_host_that_a_composed_one_covers_came_with_what_lies_below_it(place: Path) -> None:
    host = f"{HOST}\n4 1 0:61 / {{place}}/data/tmp/deep rw,relatime - tmpfs tmpfs rw"
    line = "95 {} 0:61 / /data/tmp/deep ro,nosuid,nodev,relatime - tmpfs tmpfs rw"
    over = "96 68 0:48 / /data/tmp rw,nosuid,nodev,noexec,relatime - tmpfs tmpfs rw,size=65536k,nr_inodes=65536"
    more = 'tmpfs.add = ["/data/tmp:size=64M"]'
    (place / "data/tmp/deep").mkdir(parents=True)
    assert broken(place, f"{STRICT}\n{line.format(68)}\n{over}", more, host=host) == set()
    # In the one that covers, it is another one's.
    assert broken(place, f"{STRICT}\n{over}\n{line.format(96)}", more, host=host) == {"rootfs.volumes.*"}


def test_nothing_mounted_is_nothing_enforced(place: Path) -> None:
    assert {"rootfs.read_only", "rootfs.path", "rootfs.tmpfs./tmp", "rootfs.proc.subset"} <= broken(place, "")


TWO = 'masked_paths = ["/key", "/private"]'


def test_a_mask_is_what_covers_a_path_and_what_is_visible_there(place: Path) -> None:
    assert "rootfs.masked_paths.*" in broken(place, STRICT, TWO)
    hidden = {"/key": "null", "/private": "empty"}
    assert broken(place, STRICT + MASKS, TWO, paths=hidden) == set()
    for shown in ({"/key": "shown"}, {"/private": "shown"}):
        assert lines(place, STRICT + MASKS, TWO, paths=hidden | shown)["rootfs.masked_paths.*"] is State.DIFFERS
    for line in ("254:0 {place}/data /private ro", "0:70 / /private rw"):
        other = f"\n92 66 0:6 /null /key ro,relatime - devtmpfs devtmpfs rw\n93 66 {line},relatime - tmpfs tmpfs rw"
        assert "rootfs.masked_paths.*" in broken(place, STRICT + other, TWO)
    unreadable = {"/key": "null", "/private": "unreadable"}
    below = STRICT + "\n92 66 0:6 /null /key ro,relatime - devtmpfs devtmpfs rw"
    assert lines(place, below, TWO, paths=unreadable)["rootfs.masked_paths.*"] is State.NOT_SEEN


def test_a_mask_over_a_composed_mount_is_not_taken_for_it(place: Path) -> None:
    more = 'masked_paths = ["/data"]'
    mask = "\n94 68 0:71 / /data ro,relatime - tmpfs tmpfs rw"
    assert broken(place, STRICT + mask, more, paths={"/data": "empty"}) == set()
    other = STRICT.replace("254:0 {place}/data /data", "254:0 /etc /data")
    assert broken(place, other + mask, more, paths={"/data": "empty"}) >= {"rootfs.volumes./data"}
    # Nothing was to be masked there.
    assert broken(place, STRICT + mask, paths={"/data": "empty"}) >= {"rootfs.volumes./data"}


@pytest.mark.parametrize("pattern", ["/data/*/key", "/*/inner/key"])
def test_a_pattern_is_looked_for_in_volumes(place: Path, pattern: str) -> None:
    (place / "data/inner/key").write_text("a key")
    more = f'masked_paths = ["{pattern}"]'
    assert "rootfs.masked_paths.*" in broken(place, STRICT, more)
    covered = STRICT + "\n92 69 0:6 /null /data/inner/key ro,relatime - devtmpfs devtmpfs rw"
    assert broken(place, covered, more, paths={"/data/inner/key": "null"}) == set()


def test_masked_and_read_only_paths_of_a_whole_proc(place: Path) -> None:
    more = 'proc.subset = ""\nmasked_paths = ["/proc/interrupts"]\nread_only_paths = ["/proc/sys"]'
    strict = STRICT.replace(",subset=pid", "")
    assert {"rootfs.masked_paths.*", "rootfs.read_only_paths.*"} <= broken(place, strict, more, paths={})
    paths = (
        "\n92 75 0:6 /null /proc/interrupts ro,relatime - devtmpfs devtmpfs rw"
        "\n93 75 0:40 /sys /proc/sys ro,nosuid,nodev,noexec,relatime - proc proc rw"
    )
    assert broken(place, strict + paths, more, paths={"/proc/interrupts": "null"}) == set()
    other = paths.replace("0:40 /sys /proc/sys ro", "0:99 /sys /proc/sys ro")
    assert "rootfs.volumes.*" in broken(place, strict + other, more, paths={"/proc/interrupts": "null"})


def test_lines_are_read() -> None:
    found = read(["1 2 0:1 / /with\\040space rw shared:1 master:2 - tmpfs none rw,size=1k", "junk"])
    (item,) = found
    assert item.place == "/with space"
    assert item.fields == ("shared:1", "master:2")
    assert item.size == 1024
    assert item.writable
    assert not read(["1 2 0:1 / /x rw - tmpfs none ro"])[0].writable
    on_top = cover("/x/y", read(["1 2 0:1 / /x rw - tmpfs none rw", "2 1 0:2 / /x ro - ext4 none rw"]))
    assert on_top is not None
    assert on_top.kind == "ext4"


def test_a_path_of_the_host_is_a_part_of_a_file_system(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to("a")
    inner = tmp_path.resolve() / "a"
    mounts = read(["1 1 254:0 /sub / rw - ext4 x rw", f"2 1 8:1 / {inner} rw - ext4 y rw"])
    assert on_host(str(tmp_path / "link" / "b"), mounts) == MountLocation("8:1", "/b")
    assert on_host("/etc", mounts) == MountLocation("254:0", "/sub/etc")
    assert on_host("/etc", []) is None
