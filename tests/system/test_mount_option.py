"""`hardening.mechanism.roles.RIGHTS` is all that somebody changes who adds an option that a mount may have."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hardening.launch.config.config_mounts import ATTRIBUTES, OPPOSITES
from hardening.mechanism.roles import RIGHTS
from tests.support.runs import workplace

pytestmark = pytest.mark.system

#: The whole program with a line more in the table.
PROGRAM = """
import sys
from hardening.mechanism import roles
roles.RIGHTS["symfollow"] = "nosymfollow"
from hardening.whole import main
sys.exit(main())
"""
LOOK = 'cat /data/link; echo "$?"; grep " /data " /proc/self/mountinfo'
Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder() -> Iterator[Path]:
    with workplace() as folder:
        data = folder / "data"
        data.mkdir()
        (data / "file").write_text("seen\n")
        (data / "link").symlink_to("file")
        for name, option in (("without", ""), ("with", ":symfollow")):
            text = f'extends = ["default"]\n[rootfs]\nvolumes.add = ["{data}:/data{option}"]\n'
            (folder / f"{name}.toml").write_text(text)
        yield folder


@pytest.fixture
def call(folder: Path) -> Call:
    def call(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "HARDENING_STATE": str(folder / "state")}
        argv = [sys.executable, "-I", "-c", PROGRAM, *words]
        return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120, check=False)

    return call


def held(call: Call, folder: Path, receipt: str) -> dict[str, Any]:
    """What a receipt says of the volume, held against the profile without the option."""
    done = call("receipt", "--json", "-p", str(folder / "without.toml"), str(folder / receipt))
    rows = json.loads(done.stdout)["checks"]
    return next(row for row in rows if row["leaf"] == "rootfs.volumes./data")


def test_it_is_composed_enforced_and_verified(call: Call, folder: Path) -> None:
    receipts = ("--receipt", str(folder / "strict"))
    done = call("run", "-q", "-p", str(folder / "without.toml"), *receipts, "--", "sh", "-c", LOOK)
    code, mount = done.stdout.splitlines()
    assert (code, "nosymfollow" in mount) == ("1", True), done.stderr
    assert held(call, folder, "strict")["result"] == "holds"
    receipts = ("--receipt", str(folder / "loose"))
    done = call("run", "-q", "-p", str(folder / "with.toml"), *receipts, "--", "sh", "-c", LOOK)
    seen, code, mount = done.stdout.splitlines()
    assert (seen, code, "nosymfollow" in mount) == ("seen", "0", False), done.stderr
    row = held(call, folder, "loose")
    assert row["result"] == "does not hold"
    assert "not nosymfollow" in row["kernel"]


def test_it_is_shown_limited_and_a_loosening(call: Call, folder: Path) -> None:
    shown = call("explain", "-p", str(folder / "with.toml"), "rootfs.volumes./data").stdout
    assert "rw,nosuid,nodev,exec,symfollow,rbind,rprivate" in shown
    limit = folder / "limit.toml"
    limit.write_text('[limits.rootfs]\nvolume_options = ["rw", "exec"]\n')
    done = call("run", "-p", str(limit), "-p", str(folder / "with.toml"), "--", "true")
    assert "it has the option symfollow" in done.stderr
    volume = f"{folder}/data:/data"
    done = call("run", "-p", str(folder / "without.toml"), "-v", f"{volume}:symfollow", "--", "true")
    assert "symfollow,rbind,rprivate is looser than" in done.stderr


def test_a_foreign_configuration_loses_it(call: Call, folder: Path) -> None:
    entry = {"destination": "/data", "type": "bind", "source": str(folder / "data"), "options": ["rbind", "symfollow"]}
    process = {"args": ["/bin/true"], "cwd": "/", "user": {"uid": 0, "gid": 0}}
    foreign = {"ociVersion": "1.0.2", "process": process, "root": {"path": "/"}, "mounts": [entry]}
    (folder / "config.json").write_text(json.dumps(foreign))
    words = ("-q", "-o", str(folder / "tightened.json"), str(folder / "config.json"))
    found = {}
    for name in ("without", "with"):
        done = call("apply", "-p", str(folder / f"{name}.toml"), *words)
        assert done.returncode == 0, done.stderr
        mounts = json.loads((folder / "tightened.json").read_text())["mounts"]
        found[name] = next(mount["options"] for mount in mounts if mount["destination"] == "/data")
    assert "rnosymfollow" in found["without"]
    assert "rnosymfollow" not in found["with"]


def test_the_launcher_knows_every_option() -> None:
    assert {OPPOSITES[right] for right in RIGHTS} == {ATTRIBUTES[without] for without in RIGHTS.values()}
