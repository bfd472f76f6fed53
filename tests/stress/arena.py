"""A place where everything that appears or stays is of the scenario: mounts, control groups, /tmp, orphans.

As root, the scenario runs in a mount namespace and a cgroup namespace of its own, below a control group of its own in every
hierarchy. An ordinary user could leave nothing behind in those anyway.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from hardening.base.linux import abi, kernel
from tests.support.users import REPOSITORY

#: Holds the scenario itself, so that its own group can be divided (cgroups(7), no internal processes).
OWN = "harness"
#: Empty at the beginning, so that what a launch leaves there shows.
EMPTY = (Path("/tmp"), Path("/dev/shm"))


def run(scenario: Callable[[], int]) -> int:
    """Run a scenario in a child of this process, inside an arena: its exit code. Orphans of its launches fall to it."""
    group = f"hardening-stress-{os.getpid()}"
    places = _groups(group) if os.geteuid() == 0 else []
    child = os.fork()
    if child == 0:
        code = 70
        try:
            ctypes.CDLL(None).prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            ctypes.CDLL(None).prctl(abi.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
            if os.geteuid() == 0:
                _enter(places)
            code = scenario()
        except BaseException:  # noqa: BLE001 - shown, and this copy of the caller must not go on
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    # Whoever ends this process ends the scenario, and its groups go all the same.
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGKILL))
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        for place, _ in places:
            _remove(place)


def _groups(name: str) -> list[tuple[Path, Path]]:
    """A new control group in every hierarchy, and where that hierarchy is mounted."""
    own = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        own.update(dict.fromkeys((word.removeprefix("name=") for word in controllers.split(",")), path))
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ")
        if kind not in ("cgroup", "cgroup2"):
            continue
        mount = Path(before.split(" ")[4])
        key = next((word.removeprefix("name=") for word in options.split(",") if word.removeprefix("name=") in own), "")
        above = mount / own[key].strip("/")
        place = above / name
        for made in (place, place / OWN):
            made.mkdir()
            for file in ("cpuset.cpus", "cpuset.mems"):
                if kind == "cgroup" and (made / file).exists():
                    (made / file).write_text((made.parent / file).read_text())
        found.append((place, mount))
    return found


def _enter(places: list[tuple[Path, Path]]) -> None:
    for place, _ in places:
        (place / "cgroup.procs").write_text(str(os.getpid()))
    kernel.unshare(abi.CLONE_NEWNS | abi.CLONE_NEWCGROUP)
    # What a launch lets escape from its own namespace shows here, and what happens outside does not.
    for propagation in ("--make-rprivate", "--make-rshared"):
        subprocess.run(["mount", propagation, "/"], check=True)
    for place, mount in places:
        subprocess.run(["mount", "--bind", str(place), str(mount)], check=True)
        (mount / OWN / "cgroup.procs").write_text(str(os.getpid()))
    for directory in EMPTY:
        kept = {
            path: kernel.open_tree(abi.AT_FDCWD, bytes(path), abi.OPEN_TREE_CLONE) for path in program_in(directory)
        }
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1777", "stress", str(directory)], check=True)
        for path, tree in kept.items():
            path.mkdir(parents=True)
            target = os.open(path, os.O_PATH)
            kernel.move_mount(tree, target)
            os.close(tree)
            os.close(target)


def program_in(directory: Path) -> list[Path]:
    """What lies below an empty directory all the same: the clone, its environment, and the interpreter of that."""
    needed = {REPOSITORY, Path(sys.prefix), Path(sys.base_prefix)}
    return [path for path in needed if directory in path.parents and needed.isdisjoint(path.parents)]


def _remove(group: Path) -> None:
    """Remove a group and those below it, once their processes are gone."""
    for place in sorted(group.glob("**/"), reverse=True):
        for _ in range(200):
            try:
                place.rmdir()
                break
            except OSError:
                time.sleep(0.01)
