"""What `hardening explain /PATH` says is what the command finds there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.features import require
from tests.support.runs import workplace

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


def _hardening(folder: Path, *words: str) -> str:
    program = str(Path(sys.executable).parent / "hardening")
    environment = {**os.environ, "HARDENING_STATE": str(folder / "state")}
    done = subprocess.run([program, *words], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


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
