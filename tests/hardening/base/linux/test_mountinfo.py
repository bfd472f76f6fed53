"""Lines of mountinfo, with names that the kernel escapes and such that it does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hardening.base.linux import mountinfo
from tests.support.features import require
from tests.support.users import ordinary, program

#: In names of mount points.
ODD = (" ", "\t", "\n", "\\", "#", "\f", "\v", "\r", "\x1c", "\x1d", "\x1e", "\x7f", "\x85", "\u2028", "\xfc", "\\040",
       " - ", "\udcff")  # fmt: skip
READ = """
import sys
from hardening.base.linux import mountinfo
found = sorted(mount.place for mount in mountinfo.read() if mount.place.startswith(sys.argv[1]))
sys.exit(found != sorted(sys.argv[2:]))
"""


def test_fields() -> None:
    line = "36 35 98:0 /a\\040b /mnt\\0122\\134 rw,noatime shared:1 master:2 - ext3 /dev/root rw,errors=continue"
    (found,) = mountinfo.parse([line, "36 35 98:0 / /short", ""])
    assert (found.device, found.top, found.place) == ("98:0", "/a b", "/mnt\n2\\")
    assert (found.options, found.tags) == (("rw", "noatime"), ("shared:1", "master:2"))
    assert (found.kind, found.data) == ("ext3", ("rw", "errors=continue"))


def test_what_is_seen_is_told_by_what_each_is_mounted_in() -> None:
    """As the kernel numbers them where one was made before what it was moved over."""

    def seen(*mounts: str) -> list[str]:
        return [
            found.number for found in mountinfo.seen(mountinfo.parse(f"{mount} rw - ext4 x rw" for mount in mounts))
        ]

    root = "20 1 8:1 / /"
    assert seen(root, "21 20 8:2 / /a/b", "22 20 8:1 /y /a", "23 21 8:3 / /a/b/c", "24 20 8:4 / /ab") == [
        "20",
        "22",
        "24",
    ]
    assert seen(root, "21 22 8:2 / /a", "22 20 8:3 / /a", "23 22 8:4 / /a/b", "24 21 8:5 / /a/b") == ["20", "21", "24"]
    assert seen("1 1 0:1 / /", "20 1 8:1 / /", "21 20 8:2 / /a") == ["20", "21"]
    # In a chroot what the first are mounted in is not there; and of what no kernel tells there is an end.
    assert seen("21 20 8:2 / /a/b", "22 21 8:1 /y /a/b/c") == ["21", "22"]
    assert (
        seen(root, "21 20 8:2 / /a", "22 21 8:2 / /a", "21 22 8:2 / /a", "30 31 8:2 / /b", "31 30 8:2 / /b")[0] == "20"
    )


@pytest.mark.system
def test_mounts_of_odd_names_are_read_and_disturb_nobody(tmp_path: Path) -> None:
    require("root")
    places = [f"{tmp_path}/a{name}b" for name in ODD]
    for place in places:
        os.mkdir(place)
    (tmp_path / "data").mkdir()
    mount = 'for place; do mount -n -t tmpfs tmpfs "$place"; done\n'
    read = '"$PYTHON" -c "$READ" "$FOLDER" "$@"\n"$HARDENING" run -q --fresh -v "$FOLDER/data:/data:ro" -- echo runs'
    environment = {"PYTHON": sys.executable, "READ": READ, "FOLDER": str(tmp_path), "HARDENING": program(ordinary()),
                   "PATH": os.environ["PATH"], "HARDENING_STATE": f"{tmp_path}/state"}  # fmt: skip
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-e", "-c", mount + read, "sh", *places],
        env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "runs\n"), done.stderr
