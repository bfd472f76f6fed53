"""Which controllers the caller can use, on hierarchies laid out by hand and on this host."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from hardening_process.cgroups import CONTROLLERS, Cgroups, examine, probe
from tests.support.users import ordinary

V2 = "30 20 0:25 / {} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"


def hierarchy(top: Path, path: str, controllers: str = "cpu memory pids") -> Path:
    """A directory for each cgroup on the way to ``path``, with the control files that the kernel makes."""
    directory = top
    for part in ("", *path.strip("/").split("/")):
        directory = directory / part
        directory.mkdir(exist_ok=True)
        (directory / "cgroup.controllers").write_text(controllers)
        for name in ("cgroup.procs", "cgroup.subtree_control"):
            (directory / name).write_text("")
    return directory


#: Imports come first: the interpreter and the clone may lie where an ordinary user cannot read them.
AS_ORDINARY = """
import os, sys
from hardening_process.cgroups import examine
mountinfo, membership, uid = sys.argv[1:]
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(int(uid)); os.setuid(int(uid))
found = examine(mountinfo, membership).controllers["pids"]
print(found.parent or found.problem)
"""


def as_ordinary(mountinfo: str, membership: str) -> str:
    """Where an ordinary user may make cgroups with the pids controller, or why not."""
    command = [sys.executable, "-c", AS_ORDINARY, mountinfo, membership, str(ordinary().uid)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def give(directory: Path, *, writable: bool) -> None:
    """Let an ordinary user write to a cgroup, or not, whoever runs the tests."""
    for path in (directory, directory / "cgroup.procs", directory / "cgroup.subtree_control"):
        if os.geteuid() == 0:
            os.chown(path, ordinary().uid if writable else 0, -1)
        path.chmod((0o644 if writable else 0o444) | (0o111 if path == directory else 0))


def test_a_unified_hierarchy_gives_the_cgroup_above_the_callers(tmp_path: Path) -> None:
    hierarchy(tmp_path, "/user.slice/session.scope")
    found = examine(V2.format(tmp_path), "0::/user.slice/session.scope\n")
    assert found.mode == "v2"
    assert {name: found.controllers[name].parent for name in CONTROLLERS} == dict.fromkeys(CONTROLLERS, "/user.slice")
    assert found.place("hardening-x") == "/user.slice/hardening-x"
    assert found.problem("pids") == ("", "")


def test_at_the_top_of_a_unified_hierarchy_the_top_serves(tmp_path: Path) -> None:
    hierarchy(tmp_path, "/")
    assert examine(V2.format(tmp_path), "0::/\n").place("x") == "/x"


def test_a_cgroup_namespace_cannot_divide_the_cgroup_it_lives_in(tmp_path: Path) -> None:
    """In a container the top of the hierarchy is an ordinary cgroup that holds the caller."""
    top = hierarchy(tmp_path, "/")
    (top / "cgroup.type").write_text("domain\n")
    where = V2.format(tmp_path), "0::/\n"
    assert "not delegated" in examine(*where).problem("pids")[0]
    (top / "cgroup.subtree_control").write_text("pids")
    assert examine(*where).problem("pids") == ("", "")
    assert examine(*where).problem("memory")[0]


def test_a_controller_that_is_not_handed_down_is_looked_for_above(tmp_path: Path) -> None:
    own = hierarchy(tmp_path, "/a/b/c")
    (own.parent / "cgroup.controllers").write_text("pids")
    found = examine(V2.format(tmp_path), "0::/a/b/c\n")
    assert found.controllers["pids"].parent == "/a/b"
    assert found.controllers["memory"].parent == "/a"


def test_a_missing_controller_is_named(tmp_path: Path) -> None:
    hierarchy(tmp_path, "/a", "cpu")
    found = examine(V2.format(tmp_path), "0::/a\n")
    assert "no memory controller" in found.problem("memory")[0]


def test_an_ordinary_user_has_only_what_is_delegated() -> None:
    """A process moves only below a cgroup that is writable to the caller: its own alone does not do."""
    top = Path(tempfile.mkdtemp(dir="/var/tmp"))
    top.chmod(0o755)
    own = hierarchy(top, "/user.slice/app.slice/own.scope")
    above = [own.parent, own.parent.parent, top]
    try:
        for directory in above:
            give(directory, writable=False)
        give(own, writable=True)
        where = V2.format(top), "0::/user.slice/app.slice/own.scope\n"
        assert as_ordinary(*where) == "the pids controller is not delegated to the caller"
        give(own.parent, writable=True)
        assert as_ordinary(*where) == "/user.slice/app.slice"
    finally:
        for directory in above:
            give(directory, writable=True)
        shutil.rmtree(top)


def test_hierarchies_of_version_1_serve_side_by_side(tmp_path: Path) -> None:
    lines, membership = [], []
    for number, name in enumerate(CONTROLLERS, 1):
        (tmp_path / name / "own").mkdir(parents=True)
        lines.append(f"3{number} 20 0:3{number} / {tmp_path / name} rw - cgroup cgroup rw,{name}")
        membership.append(f"{number}:{name}:/own")
    legacy = examine("\n".join(lines), "\n".join(membership))
    assert legacy.mode == "v1"
    assert {item.parent for item in legacy.controllers.values()} == {"/own"}
    assert legacy.place("hardening-x") == "hardening-x"
    assert not legacy.swap
    (tmp_path / "memory/memory.memsw.limit_in_bytes").write_text("")
    (tmp_path / "unified").mkdir()
    (tmp_path / "unified/cgroup.controllers").write_text("")
    hybrid = examine(V2.format(tmp_path / "unified") + "\n".join(lines), "\n".join([*membership, "0::/"]))
    assert hybrid.mode == "hybrid"
    assert hybrid.swap
    assert {item.version for item in hybrid.controllers.values()} == {1}


def test_a_host_without_cgroups_has_none() -> None:
    found = examine("20 1 8:1 / / rw - ext4 /dev/sda1 rw\n", "")
    assert (found.mode, dict(found.controllers)) == ("none", {})
    assert found.problem("pids")[0] == "this host has no pids controller"


def test_a_cgroup_outside_the_mount_is_the_mounted_one(tmp_path: Path) -> None:
    """In a container the mount shows a part of the tree, and /proc/self/cgroup may name what lies above."""
    hierarchy(tmp_path, "/")
    found = examine(V2.format(tmp_path).replace(" / ", " /docker/1 ", 1), "0::/../elsewhere\n")
    assert found.controllers["pids"].parent == "/"


def test_this_host_is_read() -> None:
    found = probe()
    assert isinstance(found, Cgroups)
    mounts = subprocess.run(["findmnt", "-rno", "FSTYPE"], capture_output=True, text=True, check=True).stdout.split()
    expected = {(True, True): "hybrid", (True, False): "v1", (False, True): "v2", (False, False): "none"}
    assert found.mode == expected["cgroup" in mounts, "cgroup2" in mounts]
