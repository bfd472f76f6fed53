"""A control group for one container: cgroup v2, or the per-controller hierarchies of v1 and hybrid hosts."""

from __future__ import annotations

import errno

from hardening.base import files
from hardening.base.files import Opened
from hardening.base.linux.system import os
from hardening.errors import LaunchError
from hardening.launch.cgroup.hierarchy import groups_anywhere, lock, names_below, read_hierarchies, subgroups
from hardening.launch.cgroup.limits import EVERY, UNIFIED
from hardening.launch.cgroup.removal import CLAIMED, MADE, each_group, kill_and_remove, remove_if_empty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from hardening.launch.cgroup.hierarchy import Hierarchy
    from hardening.launch.cgroup.limits import Limit

#: Why a group cannot be had. EBUSY: it has processes, or groups of its own. The others: another launch claims it just now.
TAKEN = (errno.EBUSY, errno.EWOULDBLOCK, errno.ENOENT, errno.EEXIST)
_BOTH = "set it in a member of /linux/resources that version 1 has as well"


class Cgroup:
    """The groups of one container, one a hierarchy that limits something.

    ``tell`` hears of each group before it is made, and once it is this container's alone: words for `remove_left`.
    """

    def __init__(self, tell: Callable[[str], None] | None = None) -> None:
        self._directories: list[str] = []  # the deepest last
        self._claims: list[int] = []
        self._tell = tell or (lambda _word: None)

    def create(self, path: str, needs: dict[str, list[Limit]]) -> None:
        """Make the groups and write the limits; `LaunchError` when this host or caller cannot."""
        hierarchies = read_hierarchies()
        unified = next((entry for entry in hierarchies if entry.unified), None)
        wanted: dict[str, list[str]] = {}
        for controller, limits in needs.items():
            hierarchy = next((entry for entry in hierarchies if controller in entry.controllers), None)
            if controller == EVERY:
                hierarchy = unified
            if hierarchy is None:
                raise LaunchError(
                    f"no cgroup hierarchy of this host has the controller {controller!r}",
                    origin=f"config.json:{limits[0].pointer}",
                    hint="leave the limit out, or start the host with it: /proc/cgroups shows what its kernel has",
                )
            for limit in limits:
                if limit.pointer.startswith(UNIFIED) and not hierarchy.unified:
                    reason = (
                        f"this host has the controller {controller!r} in a hierarchy of version 1, without this file"
                    )
                    raise LaunchError(reason, origin=f"config.json:{limit.pointer}", hint=_BOTH)
            wanted.setdefault(hierarchy.mount, []).append(controller)
        if not wanted and unified is not None:
            wanted[unified.mount] = []
        for hierarchy in hierarchies:
            if hierarchy.mount in wanted:
                self._make(hierarchy, path, wanted[hierarchy.mount], needs)

    def _make(
        self,
        hierarchy: Hierarchy,
        path: str,
        controllers: list[str],
        needs: dict[str, list[Limit]],
    ) -> None:
        names = names_below(hierarchy, path)
        directory = hierarchy.mount
        origin = "config.json:/linux/cgroupsPath"
        try:
            for index, name in enumerate(names):
                if hierarchy.unified:
                    _enable(directory, controllers)
                directory = files.join(directory, name)
                if not files.exists(directory):
                    self._tell(f"{MADE}{directory}")
                if index == len(names) - 1:
                    self._claims.append(_claim(directory))
                elif not _make_directory(directory):
                    continue
                self._directories.append(directory)
                if index == len(names) - 1:
                    self._tell(f"{CLAIMED}{directory}")
                _inherit_cpuset(directory, hierarchy)
            for limit in [limit for controller in controllers for limit in needs[controller]]:
                if limit.unified == hierarchy.unified:
                    origin = f"config.json:{limit.pointer}"
                    if not files.exists(files.join(directory, limit.file)):
                        raise LaunchError(f"control groups of this host have no {limit.file}", origin=origin)
                    files.write(files.join(directory, limit.file), limit.value)
        except OSError as error:
            raise LaunchError(
                f"the cgroup {directory} cannot be set up: {error.strerror}",
                origin=origin,
                hint="run as root, or in a delegated cgroup (systemd-run --user --scope -p Delegate=yes), or leave"
                " resources out",
            ) from error

    def enter(self, pid: int) -> None:
        """Move a process into the groups."""
        for directory in self.leaves():
            files.write(files.join(directory, "cgroup.procs"), str(pid))

    def leaves(self) -> list[str]:
        """The groups that the container is in, one a hierarchy."""
        names = self._directories
        return [name for name in names if not any(files.is_below(other, name) for other in names)]

    def remove(self) -> None:
        """Kill what is left inside and remove the groups that `create` made. `OSError` when one cannot be removed, once the
        others are."""
        leaves = self.leaves()
        try:
            each_group(
                lambda directory: kill_and_remove(directory) if directory in leaves else remove_if_empty(directory),
                reversed(self._directories),
            )
        finally:
            self._directories.clear()
            for claim in self._claims:
                os.close(claim)
            self._claims.clear()


def _make_directory(directory: str, mode: int = 0o755) -> bool:
    """Make a group, unless it is there; whether it is new."""
    try:
        os.mkdir(directory, mode)
    except FileExistsError:
        return False
    return True


def _claim(directory: str) -> int:
    """Make a group, and hold a lock (flock(2)) on it that ends with this process: the descriptor.

    A group that is there already, empty and not held, is what a killed launch has left: it is removed first, for its
    limits are not known. `LaunchError` for any other.
    """
    taken = taken_by_another(directory)
    try:
        # Whoever can open a group can lock it: nobody else can until it is locked.
        if not _make_directory(directory, 0o700):
            with Opened(lock(directory)):
                os.rmdir(directory)
            os.mkdir(directory, 0o700)
        try:
            held = lock(directory)
            os.fchmod(held, 0o755)
            return held
        except OSError as error:
            if error.errno not in TAKEN:
                remove_if_empty(directory)
            raise
    except OSError as error:
        if error.errno in TAKEN:
            raise taken from error
        raise


def _enable(directory: str, controllers: list[str]) -> None:
    enabled = files.read(f"{directory}/cgroup.subtree_control").split()
    missing = [controller for controller in controllers if controller not in (*enabled, EVERY)]
    if missing:
        files.write(f"{directory}/cgroup.subtree_control", " ".join(f"+{controller}" for controller in missing))


def _inherit_cpuset(directory: str, hierarchy: Hierarchy) -> None:
    """A new group of the v1 cpuset controller is empty, and takes no process until it is filled."""
    if hierarchy.unified or "cpuset" not in hierarchy.controllers:
        return
    for name in ("cpuset.cpus", "cpuset.mems"):
        files.write(files.join(directory, name), files.read(files.join(files.parent(directory), name)).strip())


def group_in_use(path: str) -> str:
    """A group of a path, wherever another runtime may look for that, which has processes or which a launch holds; '' where
    there is none."""
    return next((directory for directory in groups_anywhere(path) if _is_in_use(directory)), "")


def _is_in_use(directory: str) -> bool:
    try:
        with Opened(lock(directory)) as here:
            if files.exists(f"{directory}/cgroup.events"):  # of version 2, which counts those below as well
                return "populated 1" in files.read(f"{directory}/cgroup.events")
            below = [f"{directory}/{name}" for name in subgroups(here)]
        return bool(files.read(f"{directory}/cgroup.procs").strip()) or any(map(_is_in_use, below))
    except FileNotFoundError:  # it goes
        return False
    except OSError:
        return True


def taken_by_another(directory: str) -> LaunchError:
    """That a group is another container's."""
    return LaunchError(
        f"the cgroup {directory} exists: another container uses it",
        origin="config.json:/linux/cgroupsPath",
        hint=f"see {directory}/cgroup.procs for its processes",
    )
