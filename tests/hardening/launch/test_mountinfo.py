"""Lines of mountinfo, with names that the kernel escapes and such that it does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hardening.launch import mountinfo
from tests.support.features import require
from tests.support.users import ordinary, program

#: In names of mount points.
ODD = (" ", "\t", "\n", "\\", "#", "\f", "\v", "\r", "\x1c", "\x1d", "\x1e", "\x7f", "\x85", "\u2028", "\xfc", "\\040",
       " - ", "\udcff")  # fmt: skip
READ = """
import sys
from hardening.launch import mountinfo
found = sorted(mount.place for mount in mountinfo.read() if mount.place.startswith(sys.argv[1]))
sys.exit(found != sorted(sys.argv[2:]))
"""


def test_fields() -> None:
    line = "36 35 98:0 /a\\040b /mnt\\0122\\134 rw,noatime shared:1 master:2 - ext3 /dev/root rw,errors=continue"
    (found,) = mountinfo.parse([line, "36 35 98:0 / /short", ""])
    assert (found.device, found.top, found.place) == ("98:0", "/a b", "/mnt\n2\\")
    assert (found.options, found.tags) == (("rw", "noatime"), ("shared:1", "master:2"))
    assert (found.kind, found.data) == ("ext3", ("rw", "errors=continue"))


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
